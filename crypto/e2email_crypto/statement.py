"""Account statements: who says which keys, addresses and policy an account has, in a chain.

docs/specs/key-history.md. The server uses this too: signing is handed in, no secret key is here.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from . import _canonical, _fields, _sodium, _wire
from .cert import read_packets, verify_signed_by
from .errors import BadMessage, KeyRefused, SignatureInvalid, StatementInvalid
from .packets import key_facts

VERSION = 1
LABEL = b"e2email account statement v1\0"

STATEMENT_MAX = 64 * 1024  # octets; a household's is below 2 KiB, and it is stored for ever
ENTRY_MAX = 128 * 1024  # a statement in base64 and a signature
ENTRIES_MAX = 1000  # a change a week for twenty years; each costs a verification
CERTIFICATES_MAX = 16  # the recipients of one sealing: devices with a key of their own
SUBKEYS_MAX = 32  # encryption subkeys of one certificate in use at once
ADDRESSES_MAX = 100
DEVICES_MAX = 100
SIGNATURE_MAX = 8 * 1024  # an RSA-8192 signature with notations is below 2 KiB
SEQUENCE_MAX = TIME_MAX = 2**53 - 1  # exact in every JSON reader


class Policy(StrEnum):
    """What the outer header of a stored mail shows."""

    SEALED = "sealed"
    BASELINE = "baseline"


class Authority(StrEnum):
    """Who vouches for an entry."""

    KEY = "key"  # the primary key of a certificate of the entry before
    RECOVERY = "recovery"  # the recovery key of the entry before
    FORCED = "forced"  # nobody but the server's administrator


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
        return _statement(_versioned(octets))
    except ValueError as error:
        raise StatementInvalid(f"the statement is malformed: {error}") from None


@dataclass(frozen=True, slots=True)
class Entry:
    """A statement's exact octets with what vouches for them."""

    statement: bytes
    authority: Authority
    signer: str = ""  # fingerprint of the signing certificate, for Authority.KEY
    signature: bytes = b""  # binary OpenPGP, or 64 bytes of Ed25519; none when forced

    @property
    def digest(self) -> bytes:
        """The head after this entry, which the next one repeats.

        The signature is left out: OpenPGP lets anyone change its unhashed part, and that must
        not look like another history.
        """
        fields = self.statement, self.authority.encode(), self.signer.encode()
        return hashlib.sha256(LABEL + _wire.pack(*fields)).digest()

    def encode(self) -> bytes:
        """What is stored and sent: one line of canonical JSON without a line end."""
        return _canonical.encode(
            {
                "authority": self.authority.value,
                "signature": _fields.base64_text(self.signature),
                "signer": self.signer,
                "statement": _fields.base64_text(self.statement),
                "version": VERSION,
            }
        )

    @classmethod
    def decode(cls, octets: bytes) -> "Entry":
        """Raises StatementInvalid. The statement inside is read, its signature is not checked."""
        if len(octets) > ENTRY_MAX:
            raise StatementInvalid("the entry is too long")
        try:
            entry = _entry(_versioned(octets))
        except ValueError as error:
            raise StatementInvalid(f"the entry is malformed: {error}") from None
        decode(entry.statement)
        return entry


def signed_octets(statement: bytes) -> bytes:
    """What a key signs. No mail or file begins like this: no other signature can be passed off."""
    return LABEL + statement


def sign_entry(statement: Statement, signer: str, sign: Callable[[bytes], bytes]) -> Entry:
    """An entry by the primary key of certificate `signer`; sign(data) gives a binary signature."""
    octets = statement.encode()
    return Entry(octets, Authority.KEY, signer, sign(signed_octets(octets)))


def verify_chain(
    entries: Iterable[bytes],
    certificates: Iterable[bytes],
    account: str,
    *,
    allow_forced: bool = False,
) -> Statement:
    """The newest statement of a whole chain, oldest entry first.

    `certificates` are those of all signers, binary, in any order. With `allow_forced` the caller
    has other grounds to accept an administrator's override; without, such an entry is refused.
    Raises StatementInvalid: empty, too many entries, a gap, another account, a signature or
    authority that does not follow from the entry before.
    """
    known = {_fingerprint(data): data for data in certificates}
    newest: Statement | None = None
    head: bytes | None = None
    for count, octets in enumerate(entries, 1):
        if count > ENTRIES_MAX:
            raise StatementInvalid("too many entries")
        newest, head = _follow(octets, newest, head, known, account, allow_forced)
    if newest is None:
        raise StatementInvalid("no entry")
    return newest


def verify_next(
    before: bytes, octets: bytes, certificates: Iterable[bytes], account: str
) -> Statement:
    """The statement of one entry that follows `before`, for whose place the caller vouches.

    For the server: it keeps entries it has verified, and only the certificates now in use.
    Raises StatementInvalid; an administrator's override is not taken here.
    """
    last = Entry.decode(before)
    known = {_fingerprint(data): data for data in certificates}
    return _follow(octets, decode(last.statement), last.digest, known, account, False)[0]


def _follow(
    octets: bytes,
    newest: Statement | None,
    head: bytes | None,
    known: Mapping[str, bytes],
    account: str,
    allow_forced: bool,
) -> tuple[Statement, bytes]:
    """(statement, digest) of the entry after `newest`, whose digest is `head`."""
    entry = Entry.decode(octets)
    statement = decode(entry.statement)
    count = newest.sequence + 1 if newest else 1
    if (statement.sequence, statement.previous) != (count, head):
        raise StatementInvalid(f"entry {count} does not follow the one before it")
    if account not in statement.addresses:
        raise StatementInvalid(f"entry {count} is of another account")
    _check_authority(entry, newest, known, allow_forced)
    return statement, entry.digest


def _check_authority(
    entry: Entry, before: Statement | None, known: Mapping[str, bytes], allow_forced: bool
) -> None:
    if before is None and entry.authority is not Authority.KEY:
        raise StatementInvalid("a first entry is signed by its own key and nothing else")
    # a first entry vouches for itself: it is pinned on first sight, not proved
    by = before or decode(entry.statement)
    data = signed_octets(entry.statement)
    match entry.authority:
        case Authority.KEY:
            _check_openpgp(entry, by, known, data)
        case Authority.RECOVERY:
            if by.recovery_key is None or not _sodium.verify(
                data, entry.signature, by.recovery_key
            ):
                raise StatementInvalid("not signed by the recovery key of the entry before")
        case Authority.FORCED:
            if not allow_forced:
                raise StatementInvalid("forced by an administrator, not signed")


def _check_openpgp(entry: Entry, by: Statement, known: Mapping[str, bytes], data: bytes) -> None:
    if entry.signer not in by.fingerprints:
        raise StatementInvalid("signed by a key that is not of the entry before")
    if entry.signer not in known:
        raise StatementInvalid("the certificate of a signer is missing")
    try:
        verify_signed_by(known[entry.signer], data, entry.signature)
    except SignatureInvalid:
        raise StatementInvalid("the signature does not verify") from None


def _fingerprint(certificate: bytes) -> str:
    """Of the primary key itself, so that no certificate can pass for another."""
    try:
        return key_facts(read_packets(certificate)[0].body).fingerprint
    except (KeyRefused, BadMessage):
        raise StatementInvalid("a certificate of the history cannot be read") from None


def _versioned(octets: bytes) -> dict[str, Any]:
    value = _canonical.decode(octets)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    version = value.get("version")
    if type(version) is not int or version != VERSION:  # True equals 1
        raise ValueError("unknown version")
    return value


def _statement(value: dict[str, Any]) -> Statement:
    addresses, certificates, devices, policy, previous, recovery, sequence, time, _ = (
        _fields.record(
            value,
            "addresses certificates device_keys policy previous recovery_key sequence time version",
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


def _entry(value: dict[str, Any]) -> Entry:
    authority, signature, signer, statement, _ = _fields.record(
        value, "authority signature signer statement version"
    )
    entry = Entry(
        statement=_fields.base64_octets(statement, STATEMENT_MAX),
        authority=Authority(authority),
        signer=_fields.fingerprint(signer) if signer else _fields.text(signer),
        signature=_fields.base64_octets(signature, SIGNATURE_MAX),
    )
    if bool(entry.signer) != (entry.authority is Authority.KEY):
        raise ValueError("a signer is named for a key's signature and for nothing else")
    if bool(entry.signature) != (entry.authority is not Authority.FORCED):
        raise ValueError("a forced entry has no signature, every other has")
    return entry
