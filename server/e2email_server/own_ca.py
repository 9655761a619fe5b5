"""A certificate of our own for `init`: an authority, made for one signature, and its server.

The authority's key is thrown away after signing, so that nobody who finds it can speak for other
names; its constraints name what it signed for. It cannot renew: `init` makes a new one.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = datetime.timedelta(days=3650)
_BACKDATED = datetime.timedelta(days=1)  # clocks differ
_MAX_COMMON_NAME = 64  # X.520
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, repr=False)
class OwnCertificate:
    """PEM texts: the authority's certificate for clients, and the server's pair."""

    authority: bytes
    certificate: bytes
    key: bytes


def own_certificate(names: Sequence[str], today: datetime.datetime) -> OwnCertificate:
    """For these DNS names, localhost, 127.0.0.1 and ::1. The first name is the server's."""
    names = [*dict.fromkeys([*names, "localhost"])]
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(names, authority_key, today)
    certificate = _server(names, key, authority, authority_key, today)
    return OwnCertificate(
        authority.public_bytes(serialization.Encoding.PEM),
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _authority(
    names: Sequence[str], key: ec.EllipticCurvePrivateKey, today: datetime.datetime
) -> x509.Certificate:
    name = _name(f"e2email authority of {names[0]}")
    permitted: list[x509.GeneralName] = [x509.DNSName(dns) for dns in names]
    permitted += [x509.IPAddress(ipaddress.ip_network(address)) for address in _LOOPBACK]
    return (
        _builder(name, name, key, today)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server(
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    today: datetime.datetime,
) -> x509.Certificate:
    alternatives: list[x509.GeneralName] = [x509.DNSName(dns) for dns in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in _LOOPBACK]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(_name(names[0]), authority.subject, key, today)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:_MAX_COMMON_NAME])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, today: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - _BACKDATED)
        .not_valid_after(today + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
