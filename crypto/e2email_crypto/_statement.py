"""One account statement: fields, spelling, limits. Its door is `statement`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from . import _canonical, _fields
from .errors import StatementInvalid

VERSION = 1

STATEMENT_MAX = 64 * 1024  # octets; a household's is below 2 KiB, and it is stored for ever
CERTIFICATES_MAX = 16  # the recipients of one sealing: devices with a key of their own
SUBKEYS_MAX = 32  # encryption subkeys of one certificate in use at once
ADDRESSES_MAX = 100
DEVICES_MAX = 100
SEQUENCE_MAX = TIME_MAX = 2**53 - 1  # exact in every JSON reader


class Policy(StrEnum):
    """What the outer header of a stored mail shows."""

    SEALED = "sealed"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Fingerprints in upper-case hex: the certificate's, and of the subkeys mail is sealed to."""

    fingerprint: str
    encryption_subkeys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One state of an account. `previous` is `Entry.digest` of the entry before, None first."""

    sequence: int
    addresses: tuple[str, ...]  # the account's own first
    certificates: tuple[Certificate, ...]
    policy: Policy
    time: int  # seconds since 1970 by the maker's clock; for people, never a reason to trust
    previous: bytes | None = None
    device_keys: tuple[bytes, ...] = ()  # Ed25519, 32 bytes each
    recovery_key: bytes | None = None  # Ed25519, 32 bytes

    @property
    def account(self) -> str:
        return self.addresses[0]

    @property
    def fingerprints(self) -> frozenset[str]:
        return frozenset(cert.fingerprint for cert in self.certificates)

    @property
    def key_ids(self) -> frozenset[str]:
        """Key ids (16 upper-case hex digits) that PKESKs of sealed mail name: these, all, only."""
        return frozenset(
            key_id(subkey) for cert in self.certificates for subkey in cert.encryption_subkeys
        )

    def encode(self) -> bytes:
        """Canonical octets. Raises StatementInvalid where `decode` would."""
        octets = _canonical.encode(
            {
                "addresses": list(self.addresses),
                "certificates": [
                    {
                        "encryption_subkeys": list(cert.encryption_subkeys),
                        "fingerprint": cert.fingerprint,
                    }
                    for cert in self.certificates
                ],
                "device_keys": [key.hex() for key in self.device_keys],
                "policy": self.policy.value,
                "previous": self.previous.hex() if self.previous is not None else None,
                "recovery_key": self.recovery_key.hex() if self.recovery_key is not None else None,
                "sequence": self.sequence,
                "time": self.time,
                "version": VERSION,
            }
        )
        decode(octets)
        return octets


def key_id(fingerprint: str) -> str:
    """Of a v4 fingerprint the last 8 bytes, of a v6 one the first (RFC 9580, 5.5.4)."""
    return fingerprint[-16:] if len(fingerprint) == 40 else fingerprint[:16]


def decode(octets: bytes) -> Statement:
    """Raises StatementInvalid: not canonical, unknown version or field, a value outside limits."""
    if len(octets) > STATEMENT_MAX:
        raise StatementInvalid("the statement is too long")
    try:
        return _statement(_canonical.decode(octets))
    except ValueError as error:
        raise StatementInvalid(f"the statement is malformed: {error}") from None


def _statement(value: Any) -> Statement:
    addresses, certificates, devices, policy, previous, recovery, sequence, time = (
        _fields.versioned(
            value,
            VERSION,
            "addresses certificates device_keys policy previous recovery_key sequence time",
        )
    )
    statement = Statement(
        sequence=_fields.integer(sequence, 1, SEQUENCE_MAX),
        addresses=_fields.items(addresses, _fields.address, 1, ADDRESSES_MAX),
        certificates=_fields.items(certificates, _certificate, 1, CERTIFICATES_MAX),
        policy=Policy(policy),
        time=_fields.integer(time, 0, TIME_MAX),
        previous=_fields.optional(previous, _fields.hex32),
        device_keys=_fields.items(devices, _fields.hex32, 0, DEVICES_MAX),
        recovery_key=_fields.optional(recovery, _fields.hex32),
    )
    if len(statement.fingerprints) != len(statement.certificates):
        raise ValueError("a certificate is named twice")
    if (statement.previous is None) != (statement.sequence == 1):
        raise ValueError("the first entry has nothing before it, every other has")
    return statement


def _certificate(value: Any) -> Certificate:
    fingerprint, subkeys = _fields.record(value, "fingerprint encryption_subkeys")
    return Certificate(
        _fields.fingerprint(fingerprint),
        _fields.items(subkeys, _fields.fingerprint, 1, SUBKEYS_MAX),
    )
