"""The proxy's certificate: a small authority of this machine's own that signs one certificate.

The authority is constrained to localhost, 127.0.0.1 and ::1, and to what else the certificate names
where other machines are let in. Its key is thrown away after signing: whoever trusts it trusts
nothing else. Programs that match names find DNS:localhost.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
import ssl
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Programs are made to trust it by hand, so it lasts; below the 825 days that Apple's accept.
VALID = dt.timedelta(days=820)
RENEW_BEFORE = dt.timedelta(days=30)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM, all of it."""

    key: bytes = field(repr=False)
    certificate: bytes
    authority: bytes

    def usable_at(self, now: dt.datetime) -> bool:
        leaf = self._leaf
        return leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc - RENEW_BEFORE

    @property
    def made(self) -> dt.datetime:
        return self._leaf.not_valid_before_utc

    @property
    def names(self) -> tuple[str, ...]:
        """Names and addresses beside those of loopback."""
        found = self._leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        listed = [
            *found.get_values_for_type(x509.DNSName),
            *map(str, found.get_values_for_type(x509.IPAddress)),
        ]
        return tuple(one for one in listed if one not in LOOPBACK)

    def covers(self, names: Collection[str]) -> bool:
        return set(names) <= {*self.names, *LOOPBACK}

    @property
    def _leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate)


@dataclass(frozen=True, slots=True)
class Authority:
    """What people compare: SHA-256 of the authority, in hex, and from when to when it is good."""

    fingerprint: str
    begins: dt.datetime
    ends: dt.datetime


def describe(authority: bytes) -> Authority:
    """Of a PEM file. ValueError."""
    found = x509.load_pem_x509_certificate(authority)
    digest = found.fingerprint(hashes.SHA256()).hex().upper()
    return Authority(digest, found.not_valid_before_utc, found.not_valid_after_utc)


def with_colons(fingerprint: str) -> str:
    """As mail programs show it."""
    return ":".join(re.findall("..", fingerprint))


def make(now: dt.datetime, names: Sequence[str] = ()) -> Certificate:
    """A new authority, its one certificate, and no way to sign another.

    `names`: host names and addresses beside those of loopback.
    """
    signing, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    every = tuple(dict.fromkeys([*LOOPBACK, *names]))
    authority = _authority(signing, now, every)
    return Certificate(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        _leaf(key, signing, authority, now, every).public_bytes(serialization.Encoding.PEM),
        authority.public_bytes(serialization.Encoding.PEM),
    )


def _builder(subject: str, issuer: str, now: dt.datetime) -> x509.CertificateBuilder:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + VALID)
    )


_AUTHORITY_NAME = "e2email proxy on this machine"


def _split(names: Sequence[str]) -> tuple[list[x509.DNSName], list[_Address]]:
    hosts, addresses = [], []
    for one in names:
        try:
            addresses.append(ipaddress.ip_address(one))
        except ValueError:
            hosts.append(x509.DNSName(one))
    return hosts, addresses


def _authority(
    key: ec.EllipticCurvePrivateKey, now: dt.datetime, names: Sequence[str] = LOOPBACK
) -> x509.Certificate:
    hosts, addresses = _split(names)
    networks = [x509.IPAddress(ipaddress.ip_network(one)) for one in addresses]
    return (
        _builder(_AUTHORITY_NAME, _AUTHORITY_NAME, now)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([*hosts, *networks], None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    now: dt.datetime,
    names: Sequence[str] = LOOPBACK,
) -> x509.Certificate:
    hosts, addresses = _split(names)
    alternatives = [*hosts, *map(x509.IPAddress, addresses)]
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return (
        _builder("localhost", _AUTHORITY_NAME, now)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.value),
            critical=False,
        )
        .sign(signing, hashes.SHA256())
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def context(certificate: Certificate) -> ssl.SSLContext:
    """For the listeners. OpenSSL reads keys from paths only: from pipes, nothing is on disk."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    with _pipe(certificate.certificate) as chain, _pipe(certificate.key) as key:
        made.load_cert_chain(chain, key)
    return made


@contextmanager
def _pipe(content: bytes) -> Iterator[str]:
    """A path that gives `content` once. A PEM file is far below what a pipe holds (4 KiB)."""
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
