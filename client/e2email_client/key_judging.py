"""What is thought of a certificate from outside: whose it is, and whether mail may go to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from e2email_crypto import cert, gate
from e2email_crypto.errors import KeyRefused, OtherKey, Refusal
from e2email_crypto.gate import Recipient
from e2email_protocol.address import parse_address

SAID: Final = {
    Refusal.TOO_BIG: "is too big: above 64 KiB",
    Refusal.TOO_MANY_PACKETS: "is too big: more than 64 packets",
    Refusal.UNREADABLE: "cannot be read as one OpenPGP certificate",
    Refusal.SECRET_KEY: "is a secret key; only its owner should have it",
    Refusal.REVOKED: "is revoked: its owner says not to use it",
    Refusal.EXPIRED: "has expired",
    Refusal.NOT_YET_VALID: "is not valid yet",
    Refusal.WEAK: "is too weak to be used",
    Refusal.FORGED_BINDING: "is forged: a part of it is not signed by its primary key",
    Refusal.CANNOT_ENCRYPT: "cannot encrypt: it has no usable encryption key",
}
NOT_THEIRS: Final = "names another address: it has no valid user id for this one"


@dataclass(frozen=True, slots=True)
class Judged:
    """`fingerprint` is empty where the octets are no certificate within the caps."""

    fingerprint: str
    certificate: bytes = field(repr=False)
    refusal: Refusal | None  # why mail may not be encrypted to it
    theirs: bool  # a valid user id names the address


def judge(certificate: bytes, address: str | None, now: int) -> Judged:
    """A binary certificate. `address` in canonical form; None: somebody else vouches for whose."""
    try:
        info = cert.examine(cert.read_packets(certificate), now)
    except KeyRefused as refused:
        return Judged("", b"", refused.reason, theirs=False)
    theirs = address is None or any(cert.names(one, address) for one in info.user_ids)
    return Judged(info.fingerprint, certificate, refusal(certificate, now), theirs)


def refusal(certificate: bytes, now: int) -> Refusal | None:
    """Why mail may not be encrypted to it now."""
    try:
        gate.recipient(certificate, now)
    except KeyRefused as refused:
        return refused.reason
    return None


def recipient(fingerprint: str, certificate: bytes, now: int) -> Recipient | Refusal:
    """What mail is sealed to; a certificate under another's fingerprint is none."""
    try:
        found = gate.recipient(certificate, now)
    except KeyRefused as refused:
        return refused.reason
    return found if found.fingerprint == fingerprint else Refusal.UNREADABLE


def merged(known: bytes, news: bytes) -> bytes:
    """A certificate with what its own key newly signed in another copy of it."""
    if known == news:
        return known
    try:
        return cert.merge(known, news)
    except (OtherKey, KeyRefused):
        return known


def canonical(address: str) -> str:
    """The one form of an address in which contacts are named. Raises BadAddress."""
    local, domain = parse_address(address).key
    return f"{local}@{domain}"
