"""The gate: whether mail may be encrypted to a certificate, and to which of its subkeys.

pysequoia encrypts to expired subkeys and to revoked or expired primary keys; rpgp and PGPy encrypt
to an attacker's subkey. So nothing is sealed to a certificate as it came: what passes here is a
*reduced* certificate that holds the usable encryption subkeys only, and a probe has been sealed to
it. Judge again daily, and at `good_until`.

Known gaps, on the safe side: every valid revocation of a subkey is final; post-quantum subkeys are
not seen (rpgp cannot read them); a primary key that itself encrypts is refused.
"""

from dataclasses import dataclass

from . import _sequoia, packets
from .cert import CLOCK_SKEW, CertInfo, Subkey, SubkeyState, examine, read_packets
from .errors import KeyRefused, Refusal


@dataclass(frozen=True, slots=True)
class Recipient:
    """A certificate that passed, reduced to what mail is sealed to.

    `key_ids` are exactly the encryption keys every message to it names (16 upper-case hex digits);
    `good_until` is the nearest expiry in seconds since 1970, None if nothing in it expires.
    """

    fingerprint: str
    key_ids: frozenset[str]
    reduced: bytes
    good_until: int | None


def recipient(cert: bytes, now: int) -> Recipient:
    """Judge one binary certificate at `now` (seconds since 1970), which is about the present.

    pysequoia judges by the system's clock whatever `now` is; both must agree. Raises KeyRefused
    with the reason. Costs 0.3 to 2.5 ms for usual keys.
    """
    found = read_packets(cert)
    info = examine(found, now)
    judge_primary(info, now)
    usable = [s for s in info.subkeys if s.state is SubkeyState.USABLE]
    if not usable:
        raise KeyRefused(_why_none(info))
    key_ids, reduced = _sealable(found, usable)
    # pysequoia sees revocations made with SHA-1, which rpgp does not verify: what both accept
    both = [s for s in usable if s.key_id in key_ids]
    if both and len(both) < len(usable):
        key_ids, reduced = _sealable(found, both)
    if not both or key_ids != {s.key_id for s in both}:
        raise KeyRefused(Refusal.CANNOT_ENCRYPT)
    return Recipient(info.fingerprint, key_ids, reduced, _nearest_expiry(info, both))


def judge_primary(info: CertInfo, now: int) -> None:
    """Raises KeyRefused with what is wrong of the certificate as a whole at `now`."""
    if info.created > now + CLOCK_SKEW:
        raise KeyRefused(Refusal.NOT_YET_VALID)
    if info.revoked:
        raise KeyRefused(Refusal.REVOKED)
    if info.weak:
        raise KeyRefused(Refusal.WEAK)
    if not info.bound:
        raise KeyRefused(Refusal.FORGED_BINDING if info.known else Refusal.CANNOT_ENCRYPT)
    if info.expires is not None and info.expires <= now:
        raise KeyRefused(Refusal.EXPIRED)


# The first of these that any subkey has is told; the others are less use to whoever repairs it.
_REASONS = {
    SubkeyState.EXPIRED: Refusal.EXPIRED,
    SubkeyState.REVOKED: Refusal.REVOKED,
    SubkeyState.WEAK: Refusal.WEAK,
    SubkeyState.NOT_YET_VALID: Refusal.NOT_YET_VALID,
    SubkeyState.UNBOUND: Refusal.FORGED_BINDING,
}


def _why_none(info: CertInfo) -> Refusal:
    states = {s.state for s in info.subkeys}
    return next((_REASONS[s] for s in _REASONS if s in states), Refusal.CANNOT_ENCRYPT)


def _reduce(found: list[packets.Packet], keep: set[str]) -> bytes:
    """Primary key, user ids and the subkeys of `keep`, each with its signatures, octets unchanged.

    User attributes (photographs) and everything else go: sealing does not need them.
    """
    kept = []
    on = True
    for packet in found:
        if packet.tag == packets.PUBLIC_SUBKEY:
            on = packets.key_facts(packet.body).fingerprint in keep
        elif packet.tag != packets.SIGNATURE:
            on = packet.tag in (packets.PUBLIC_KEY, packets.USER_ID)
        if on:
            kept.append(packet.raw)
    return b"".join(kept)


def _sealable(found: list[packets.Packet], subkeys: list[Subkey]) -> tuple[frozenset[str], bytes]:
    """(key ids that a message to it names, certificate reduced to `subkeys`); no ids if none."""
    reduced = _reduce(found, {s.fingerprint for s in subkeys})
    try:
        return packets.message_key_ids(_sequoia.encrypt(b"probe", [reduced])), reduced
    except _sequoia.LibraryRefused:
        return frozenset(), reduced


def _nearest_expiry(info: CertInfo, usable: list[Subkey]) -> int | None:
    times = [info.expires, *(s.expires for s in usable)]
    return min((t for t in times if t is not None), default=None)
