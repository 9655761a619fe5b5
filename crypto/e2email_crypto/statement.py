"""The key history: account statements in a chain, each vouched for by the one before it.

docs/specs/key-history.md. The server uses this too: signing is handed in, no secret key is here.
"""

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from . import _canonical, _fields, _sodium, _wire
from ._statement import (
    CERTIFICATES_MAX,
    DEVICES_MAX,
    STATEMENT_MAX,
    Certificate,
    Policy,
    Statement,
    decode,
    key_id,
)
from .cert import read_packets, verify_signed_by
from .errors import BadMessage, KeyRefused, SignatureInvalid, StatementInvalid
from .packets import key_facts

__all__ = [
    "CERTIFICATES_MAX",
    "DEVICES_MAX",
    "Authority",
    "Certificate",
    "Entry",
    "Policy",
    "Statement",
    "decode",
    "key_id",
    "sign_entry",
    "signed_octets",
    "verify_chain",
    "verify_next",
]

VERSION = 1  # of an entry
LABEL = b"e2email account statement v1\0"

ENTRY_MAX = 128 * 1024  # octets: a statement in base64 and a signature
ENTRIES_MAX = 1000  # a change a week for twenty years; each costs a verification
SIGNATURE_MAX = 8 * 1024  # an RSA-8192 signature with notations is below 2 KiB


class Authority(StrEnum):
    """Who vouches for an entry."""

    KEY = "key"  # the primary key of a certificate of the entry before
    RECOVERY = "recovery"  # the recovery key of the entry before
    FORCED = "forced"  # nobody but the server's administrator


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
            entry = _entry(_canonical.decode(octets))
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
    accepted: Container[bytes] = (),
    seen: Container[bytes] = (),
) -> Statement:
    """The newest statement of a whole chain, oldest entry first.

    `certificates` are those of all signers, binary, in any order. `accepted` are the digests of
    the `forced` entries that the caller has other grounds to take; any other forced one is refused.
    `seen` are digests of entries verified before: of what leads to the last of them nobody has to
    vouch again, who perhaps no longer could.
    Raises StatementInvalid: empty, too many entries, a gap, another account, a signature or
    authority that does not follow from the entry before.
    """
    known = {_fingerprint(data): data for data in certificates}
    newest: Entry | None = None
    found = list(islice(entries, ENTRIES_MAX + 1))
    if len(found) > ENTRIES_MAX:
        raise StatementInvalid("too many entries")
    proven = max(
        (at for at, one in enumerate(found, 1) if Entry.decode(one).digest in seen), default=0
    )
    for count, octets in enumerate(found, 1):
        newest = _follow(newest, octets, known, account, None if count <= proven else accepted)
    if newest is None:
        raise StatementInvalid("no entry")
    return decode(newest.statement)


def verify_next(
    before: bytes,
    octets: bytes,
    certificates: Iterable[bytes],
    account: str,
    *,
    accepted: Container[bytes] = (),
) -> Statement:
    """The statement of one entry that follows `before`, for whose place the caller vouches.

    For the server: it keeps entries it has verified, and only the certificates now in use.
    Raises StatementInvalid; `accepted` as in `verify_chain`.
    """
    known = {_fingerprint(data): data for data in certificates}
    return decode(_follow(Entry.decode(before), octets, known, account, accepted).statement)


def _follow(
    last: Entry | None,
    octets: bytes,
    known: Mapping[str, bytes],
    account: str,
    accepted: Container[bytes] | None,
) -> Entry:
    """The entry after `last`, checked against it; with no `accepted`, not who vouches for it."""
    entry = Entry.decode(octets)
    statement = decode(entry.statement)
    before = decode(last.statement) if last else None
    count = before.sequence + 1 if before else 1
    if (statement.sequence, statement.previous) != (count, last.digest if last else None):
        raise StatementInvalid(f"entry {count} does not follow the one before it")
    if account not in statement.addresses:
        raise StatementInvalid(f"entry {count} is of another account")
    if accepted is not None:
        _check_authority(entry, before, known, accepted)
    return entry


def _check_authority(
    entry: Entry,
    before: Statement | None,
    known: Mapping[str, bytes],
    accepted: Container[bytes],
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
            if entry.digest not in accepted:
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


def _entry(value: Any) -> Entry:
    authority, signature, signer, statement = _fields.versioned(
        value, VERSION, "authority signature signer statement"
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
