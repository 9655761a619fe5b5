"""Verdicts over detached signatures: values, never an exception on hostile octets."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from . import _rpgp, _sequoia
from .cert import CLOCK_SKEW, key_of, one_signature
from .errors import BadMessage

# A thread of mail is signed by one or two people; each certificate costs up to 1 ms.
MAX_CERTS = 64


class SignatureState(StrEnum):
    """How far a signature may be believed. Only VALID is a reason to show a name."""

    VALID = "valid"
    INVALID = "invalid"  # wrong, damaged, or unreadable
    UNKNOWN_SIGNER = "unknown-signer"  # no certificate given has the key it names
    REFUSED_POLICY = "refused-policy"  # weak, or right but by a key or at a time it may not be


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """One verdict. Hex is upper case.

    `fingerprint` is of the signing certificate when VALID, else "". `key_hint` is the fingerprint
    or key id that the signature itself claims: for looking a certificate up, never for trust.
    `created` is the signature's own claim of its time, in seconds since 1970.
    """

    state: SignatureState
    fingerprint: str = ""
    key_hint: str = ""
    created: int | None = None


def verify_detached(
    data: bytes, signature: bytes, certs: Sequence[bytes], now: int
) -> SignatureVerdict:
    """The verdict over one binary signature packet of `data` by one of `certs`, at `now`."""
    try:
        one_signature(signature)
        facts = _sequoia.signature_facts(signature)
    except (BadMessage, _sequoia.LibraryRefused):
        return SignatureVerdict(SignatureState.INVALID)
    holders = [(key, cert) for cert in certs[:MAX_CERTS] if (key := key_of(cert, facts.issuer))]
    state, fingerprint = SignatureState.UNKNOWN_SIGNER, ""
    if holders:
        state, fingerprint = _judge(data, signature, holders, facts, now)
    return SignatureVerdict(state, fingerprint, facts.issuer, facts.created)


def _judge(
    data: bytes,
    signature: bytes,
    holders: Sequence[tuple[bytes, bytes]],
    facts: _sequoia.SignatureFacts,
    now: int,
) -> tuple[SignatureState, str]:
    """`holders` are (key body, certificate) of those that have the key the signature names."""
    try:
        fingerprint, _ = _sequoia.verify(data, signature, [cert for _, cert in holders])
    except _sequoia.LibraryRefused:
        # rpgp tells a wrong signature from a right one that the policy refuses; it trusts nothing
        if facts.weak_hash or _rpgp.signature_fits(data, signature, [key for key, _ in holders]):
            return SignatureState.REFUSED_POLICY, ""
        return SignatureState.INVALID, ""
    if facts.created is None or not _in_its_time(facts, now):
        return SignatureState.REFUSED_POLICY, ""
    return SignatureState.VALID, fingerprint


def _in_its_time(facts: _sequoia.SignatureFacts, now: int) -> bool:
    assert facts.created is not None
    return facts.created <= now + CLOCK_SKEW and (facts.expires is None or now < facts.expires)
