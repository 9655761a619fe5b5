"""OpenPGP certificates as facts: caps first, then two libraries, one judgement per subkey.

pysequoia judges the certificate (revocation, policy, expiry of the primary key), rpgp's arithmetic
and our own rules judge each subkey. Neither is enough alone (measured; see the gate).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from . import _rpgp, _sequoia, keytree, packets
from .errors import BadKey, BadMessage, KeyRefused, Refusal, SignatureInvalid, TooLarge
from .keytree import SUBKEY_BINDING, SUBKEY_REVOCATION

# pysequoia is quadratic in unbound user ids: 64 KiB of them cost 0.16 s, 256 KiB 2.5 s; and 500
# of 20 octets 2.5 s. Both caps hold before any library sees the octets.
MAX_CERT = 64 * 1024
MAX_CERT_PACKETS = 64
# the largest post-quantum signature (SLH-DSA-256s) is 30 KiB
MAX_SIGNATURE = 64 * 1024
BINARY_DOCUMENT, TEXT_DOCUMENT = 0, 1  # RFC 9580, 5.2.1

# Clocks differ; a key made a moment ago on another machine is not from the future.
CLOCK_SKEW = 60

# RFC 9580, 9.5 and 13.2: what must not bind a key any more.
BAD_HASHES = frozenset({"none", "md5", "sha1", "ripemd160"})
# RFC 9580, 9.1. No Elgamal, no DSA, no RSA limited to one use.
RSA = 1
ENCRYPTING = frozenset({RSA, 18, 25, 26})  # ECDH, X25519, X448
RSA_BITS = range(2048, 8192 + 1)
# What pysequoia and rpgp both verify. No Brainpool.
_SIGNING = frozenset({RSA, 19, 22, 27, 28})  # ECDSA, EdDSA, Ed25519, Ed448
_ON_CURVES = frozenset({19, 22})
_CURVES = frozenset(map(bytes.fromhex, (
    "2a8648ce3d030107", "2b81040022", "2b81040023", "2b06010401da470f01",
)))  # fmt: skip  # NIST P-256, P-384, P-521, Ed25519
_REFUSED_PRIMARIES = frozenset({2, 3, 16, 17, 20})

_CERT_TAGS = frozenset({
    packets.PUBLIC_KEY, packets.PUBLIC_SUBKEY, packets.USER_ID, packets.USER_ATTRIBUTE,
    packets.SIGNATURE, packets.TRUST, packets.MARKER, packets.PADDING,
})  # fmt: skip
_KEY_TAGS = frozenset({packets.PUBLIC_KEY, packets.PUBLIC_SUBKEY})
_SECRET_TAGS = frozenset({packets.SECRET_KEY, packets.SECRET_SUBKEY})


class SubkeyState(StrEnum):
    """Whether mail may be encrypted to a subkey, and if not, why."""

    USABLE = "usable"
    UNBOUND = "unbound"  # no signature of the primary key over it verifies
    REVOKED = "revoked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WEAK = "weak"
    NOT_FOR_ENCRYPTION = "not-for-encryption"


@dataclass(frozen=True, slots=True)
class Subkey:
    """One subkey. Times are seconds since 1970; `expires` None: never."""

    fingerprint: str
    key_id: str
    created: int
    expires: int | None
    state: SubkeyState


@dataclass(frozen=True, slots=True)
class CertInfo:
    """What a certificate says and how far it may be believed. Hex is upper case."""

    fingerprint: str
    key_id: str
    version: int
    created: int
    expires: int | None
    revoked: bool
    weak: bool  # the primary key's algorithm or size, or the hash of what binds it
    bound: bool  # a self-signature that the policy accepts
    forged: bool  # some signature that claims to be the key's own does not verify
    known: bool  # the primary key's algorithm and curve; of another, nothing verifies
    user_ids: tuple[str, ...]  # with a valid self-signature, not revoked
    subkeys: tuple[Subkey, ...]


def inspect_cert(data: bytes, now: int) -> CertInfo:
    """Facts of one binary certificate at `now` (seconds since 1970); BadKey if unreadable."""
    try:
        return examine(read_packets(data), now)
    except KeyRefused as refused:
        raise BadKey(str(refused)) from None


def read_packets(data: bytes) -> list[packets.Packet]:
    """The packets of exactly one public certificate within the caps; KeyRefused otherwise."""
    if len(data) > MAX_CERT:
        raise KeyRefused(Refusal.TOO_BIG)
    try:
        found = packets.split(data, MAX_CERT_PACKETS)
    except TooLarge:
        raise KeyRefused(Refusal.TOO_MANY_PACKETS) from None
    except BadMessage:
        raise KeyRefused(Refusal.UNREADABLE) from None
    tags = [p.tag for p in found]
    if _SECRET_TAGS.intersection(tags):
        raise KeyRefused(Refusal.SECRET_KEY)
    if tags[:1] != [packets.PUBLIC_KEY] or packets.PUBLIC_KEY in tags[1:]:
        raise KeyRefused(Refusal.UNREADABLE)
    if not _CERT_TAGS.issuperset(tags):
        raise KeyRefused(Refusal.UNREADABLE)
    return found


def examine(found: list[packets.Packet], now: int) -> CertInfo:
    """Facts of a certificate given as packets; KeyRefused(UNREADABLE) if a library gives up."""
    raw = b"".join(p.raw for p in found)
    try:
        primary = packets.key_facts(found[0].body)
        subkeys = [packets.key_facts(p.body) for p in found if p.tag == packets.PUBLIC_SUBKEY]
        standing = _sequoia.standing(raw, with_user_ids=True)
        arithmetic = _rpgp.bindings(b"".join(p.raw for p in found if _own(found[0], p)))
    except (BadMessage, _sequoia.LibraryRefused, _rpgp.LibraryRefused):
        raise KeyRefused(Refusal.UNREADABLE) from None
    judged = {sub.fingerprint: sub for sub in arithmetic.subkeys}
    return CertInfo(
        fingerprint=primary.fingerprint,
        key_id=primary.key_id,
        version=primary.version,
        created=primary.created,
        expires=standing.expires,
        revoked=standing.revoked,
        weak=_weak_primary(primary)
        or (not standing.bound and not arithmetic.self_hashes.isdisjoint(BAD_HASHES)),
        bound=standing.bound,
        forged=not arithmetic.all_valid,
        known=_known(found[0].body),
        user_ids=standing.user_ids,
        subkeys=tuple(_judge(facts, judged, now) for facts in subkeys),
    )


def _known(primary: bytes) -> bool:
    """Whether both libraries know the key's algorithm and curve."""
    algorithm = primary[5]
    if primary[0] == 4 and algorithm in _ON_CURVES:
        return primary[7 : 7 + primary[6]] in _CURVES
    return algorithm in _SIGNING


def _own(primary: packets.Packet, packet: packets.Packet) -> bool:
    """False for a certification that names another key: nothing here depends on one.

    Over a subkey nobody else signs anything, and the name may stand where anybody can change it: a
    revocation must not be overlooked for that.
    """
    if packet.tag != packets.SIGNATURE or keytree.claimed_by(primary, packet):
        return True
    told = keytree.claims(packet)
    return told is not None and told.kind in (SUBKEY_BINDING, SUBKEY_REVOCATION)


def _weak_primary(primary: packets.KeyFacts) -> bool:
    if primary.algorithm in _REFUSED_PRIMARIES:
        return True
    return primary.algorithm == RSA and primary.bits not in RSA_BITS


def _judge(facts: packets.KeyFacts, judged: Mapping[str, _rpgp.Subkey], now: int) -> Subkey:
    """The newest valid binding decides; any valid revocation, of whatever reason, is final."""
    found = judged.get(facts.fingerprint, _rpgp.Subkey(facts.fingerprint, (), frozenset()))
    newest = _newest(found.bindings, now)
    expires = None
    if newest and newest.lifetime:
        expires = facts.created + newest.lifetime
    state = _state(facts, found, newest, expires, now)
    return Subkey(facts.fingerprint, facts.key_id, facts.created, expires, state)


def _newest(bindings: Iterable[_rpgp.Binding], now: int) -> _rpgp.Binding | None:
    alive = [
        b
        for b in bindings
        if not b.revokes
        and b.hash_name not in BAD_HASHES
        and b.created is not None
        and b.created <= now + CLOCK_SKEW
        and (b.expires is None or b.created + b.expires > now)
    ]
    return max(alive, key=lambda b: b.created or 0, default=None)


def _state(
    facts: packets.KeyFacts,
    found: _rpgp.Subkey,
    newest: _rpgp.Binding | None,
    expires: int | None,
    now: int,
) -> SubkeyState:
    too_young = facts.created > now + CLOCK_SKEW
    # rpgp does not verify Ed25519 over SHA-1 at all, so those have no valid binding
    unbound = not found.bindings and not found.hashes & BAD_HASHES
    weak = newest is None or (facts.algorithm == RSA and facts.bits not in RSA_BITS)
    not_for_it = (newest and not newest.encrypts) or facts.algorithm not in ENCRYPTING
    reasons = (
        (unbound, SubkeyState.UNBOUND),
        (any(b.revokes for b in found.bindings), SubkeyState.REVOKED),
        (too_young, SubkeyState.NOT_YET_VALID),
        (weak, SubkeyState.WEAK),
        (not_for_it, SubkeyState.NOT_FOR_ENCRYPTION),
        (expires is not None and expires <= now, SubkeyState.EXPIRED),
    )
    return next((state for applies, state in reasons if applies), SubkeyState.USABLE)


def verify_signed_by(cert: bytes, data: bytes, signature: bytes) -> None:
    """Returns if the primary key of `cert` itself made this detached binary signature of `data`.

    For statements, which only the primary key may sign. The certificate is judged as of the
    signature's own time, so a statement stays valid after the key has expired; a certificate that
    was revoked as compromised proves nothing. Raises SignatureInvalid for every failure.
    """
    try:
        primary = packets.key_facts(read_packets(cert)[0].body)
        one_binary_signature(signature)
        signed_by = _sequoia.verify(data, signature, [cert])
    except (KeyRefused, BadMessage, _sequoia.LibraryRefused):
        raise SignatureInvalid("not a signature by this primary key") from None
    if signed_by != (primary.fingerprint, primary.fingerprint):
        raise SignatureInvalid("not a signature by this primary key")


def one_binary_signature(signature: bytes) -> None:
    """BadMessage unless this is one signature packet of type binary document."""
    if one_signature(signature) != BINARY_DOCUMENT:
        raise BadMessage("not a signature of a binary document")


def one_signature(signature: bytes) -> int:
    """The type of the one signature packet, of a document; BadMessage for anything else."""
    if len(signature) > MAX_SIGNATURE:
        raise BadMessage("a signature that is too long")
    try:
        found = packets.split(signature, 1)
    except TooLarge:
        raise BadMessage("more than one signature packet") from None
    if [p.tag for p in found] != [packets.SIGNATURE] or len(found[0].body) < 2:
        raise BadMessage("not a signature packet")
    version, kind = found[0].body[:2]
    if version not in (4, 6) or kind not in (BINARY_DOCUMENT, TEXT_DOCUMENT):
        raise BadMessage("not a signature of a document")
    return kind


def key_of(cert: bytes, issuer: str) -> bytes | None:
    """The body of the key of this fingerprint or key id (upper hex) in a certificate, if any."""
    try:
        keys = [p.body for p in read_packets(cert) if p.tag in _KEY_TAGS]
        found = [(packets.key_facts(body), body) for body in keys]
    except (KeyRefused, BadMessage):
        return None
    return next((b for f, b in found if issuer in (f.fingerprint, f.key_id)), None)


def names(user_id: str, address: str) -> bool:
    """Whether a user id is `address` or `name <address>`; ASCII letters in either case."""
    text = user_id.rstrip()
    if text.endswith(">"):
        text = text[text.rfind("<") + 1 : -1]
    return text.strip().encode().lower() == address.encode().lower()
