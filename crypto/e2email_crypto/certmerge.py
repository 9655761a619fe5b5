"""Certificates put together and made smaller: unions of two, and what is published of one.

Only signatures that the primary key made, by arithmetic, are ever taken over from another copy;
so nobody but the key's owner can make a certificate grow, or lose a part of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from . import keytree, packets
from .certfacts import (
    BAD_HASHES,
    MAX_CERT,
    MAX_CERT_PACKETS,
    SubkeyState,
    examine,
    names,
    read_packets,
)
from .errors import BadKey, KeyRefused, OtherKey, Refusal
from .keytree import CERTIFICATIONS, DIRECT, REVOCATIONS, SUBKEY_BINDING, Part

# rpgp does not verify some signatures over SHA-1, and a revocation must not be lost for that. More
# than a few nobody makes.
MAX_UNVERIFIED = 4
SIGNATURE = 1280  # octets of one by RSA-8192, the longest that edits add
_WEAK_HASHES = frozenset({1, 2, 3})  # RFC 9580, 9.5: MD5, SHA-1, RIPEMD-160
assert len(_WEAK_HASHES) == len(BAD_HASHES - {"none"})


def merge(old: bytes, new: bytes) -> bytes:
    """One certificate with all that is in two of the same primary key; `old` comes first.

    Of `new`, third parties' certifications and what the primary key signed are taken, nothing
    else. Above the caps of a certificate (64 KiB, 64 packets) goes, in this order, what is not the
    primary key's own, photographs, the oldest superseded self-signatures, revocations that nobody
    can verify; never one that verifies.
    Raises OtherKey; KeyRefused for a certificate that cannot be read, or is too large even so.
    """
    first, second = (keytree.parts(_readable(cert)) for cert in (old, new))
    if first[0].packet.body != second[0].packet.body:
        raise OtherKey("the certificates are of different keys")
    merged = keytree.raw(fitting(_union(first, second)))
    _readable(merged)
    return merged


def _readable(cert: bytes) -> list[packets.Packet]:
    """The packets of a certificate that both libraries read; KeyRefused for any other."""
    found = read_packets(cert)
    examine(found, 0)
    return found


def publishable(cert: bytes, address: str) -> bytes:
    """The certificate with the user ids of one address only, and nothing that others signed.

    Raises BadKey if it has no valid user id of this address, KeyRefused if it cannot be read.
    """
    found = read_packets(cert)
    valid = examine(found, 0).user_ids
    primary, *rest = own_tree(keytree.parts(found))
    mine = [
        part
        for part in rest
        if part.is_subkey
        or (part.is_user_id and _text(part) in valid and names(_text(part), address))
    ]
    if not any(part.is_user_id for part in mine):
        raise BadKey("no valid user id of this address")
    return keytree.raw([primary, *mine])


def minimal(cert: bytes, address: str, now: int) -> bytes:
    """As little as mail can be sealed with: a user id, the subkeys in use, the newest signatures.

    For a header of a mail (Autocrypt). Raises as `publishable`, and KeyRefused if nothing in the
    certificate can be sealed to at `now`.
    """
    found = read_packets(publishable(cert, address))
    subkeys = examine(found, now).subkeys
    usable = {s.fingerprint for s in subkeys if s.state is SubkeyState.USABLE}
    if not usable:
        raise KeyRefused(Refusal.CANNOT_ENCRYPT)
    primary, *rest = keytree.parts(found)
    user_id = max(
        (part for part in rest if part.is_user_id), key=lambda p: _newest_made(primary.packet, p)
    )
    alive = [p for p in rest if p.is_subkey and _fingerprint(p) in usable]
    return keytree.raw(_newest_only(primary.packet, part) for part in (primary, user_id, *alive))


def fitting(tree: list[Part], room: int = 0) -> list[Part]:
    """The parts of a certificate within its caps; the same list if they are.

    `room` is for so many more signatures. Raises KeyRefused(TOO_BIG, TOO_MANY_PACKETS).
    """
    for smaller in _ever_smaller(tree):
        if too_large(smaller, room) is None:
            return smaller
    refusal = too_large(smaller, room)
    assert refusal is not None
    raise KeyRefused(refusal)


def _ever_smaller(tree: list[Part]) -> Iterator[list[Part]]:
    yield tree
    own = own_tree(tree)
    yield own
    own = [part for part in own if not _is_photograph(part)]
    yield own
    for old in _superseded(own):
        own = [
            replace(part, signatures=tuple(s for s in part.signatures if s is not old))
            for part in own
        ]
        yield own
    # last: a genuine one may be among them, but anybody can make them, to leave no room
    yield [_verified(own[0].packet, part) for part in own]


def too_large(tree: list[Part], room: int = 0) -> Refusal | None:
    """What is too much of the parts of a certificate with `room` more signatures."""
    if sum(1 + len(part.signatures) for part in tree) > MAX_CERT_PACKETS - room:
        return Refusal.TOO_MANY_PACKETS
    return Refusal.TOO_BIG if len(keytree.raw(tree)) > MAX_CERT - room * SIGNATURE else None


def _superseded(tree: list[Part]) -> list[packets.Packet]:
    """Self-signatures that a newer one has taken the place of, the oldest first."""
    found: list[tuple[int, packets.Packet]] = []
    for part in tree:
        own = keytree.own(tree[0].packet, part)
        binding = [(claims.created, s) for s, claims in own if claims.kind not in REVOCATIONS]
        found += binding[:-1]
    return [signature for _, signature in sorted(found, key=lambda pair: pair[0])]


def _union(first: list[Part], second: list[Part]) -> list[Part]:
    primary = first[0].packet
    have = {(p.packet.tag, p.packet.body): at for at, p in enumerate(first)}
    merged, more = list(first), []
    for part in _once(second):
        at = have.get((part.packet.tag, part.packet.body))
        if at is not None:
            merged[at] = merged[at].signed(*_news(primary, merged[at], part))
        elif (bound := _own_part(primary, part)).signatures:
            more.append(bound)
    names_end = sum(not part.is_subkey for part in merged)
    named = [part for part in more if not part.is_subkey]
    subkeys = [part for part in more if part.is_subkey]
    return [*merged[:names_end], *named, *merged[names_end:], *subkeys]


def _once(tree: Iterable[Part]) -> list[Part]:
    """Each part once, with the signatures of all its copies."""
    found: dict[tuple[int, bytes], Part] = {}
    for part in tree:
        key = part.packet.tag, part.packet.body
        found[key] = found[key].signed(*part.signatures) if key in found else part
    return list(found.values())


def _news(primary: packets.Packet, old: Part, new: Part) -> list[packets.Packet]:
    """Signatures of `new` that `old` has not: the primary key's own, and other people's."""
    have = {s.body for s in old.signatures}
    fresh = replace(new, signatures=tuple(s for s in new.signatures if s.body not in have))
    held = whole = _signed(old.signatures)
    if held & _signed(fresh.signatures):
        # Who changed the unhashed part of a copy can have made it void. It must not keep the whole
        # one out.
        whole = _signed(_verified(primary, old).signatures)
    mine = [s for s in _verified(primary, fresh).signatures if not _signed([s]) & whole]
    weak = [s for s in fresh.signatures if _weak_revocation(primary, s) and not _signed([s]) & held]
    room = MAX_UNVERIFIED - sum(_weak_revocation(primary, s) for s in old.signatures)
    others = [
        s
        for s in _distinct(fresh.signatures)
        if not keytree.claimed_by(primary, s) and not _signed([s]) & held
    ]
    taken = {id(s) for s in (*mine, *others, *weak[: max(room, 0)])}
    return [s for s in fresh.signatures if id(s) in taken]


def _signed(signatures: Iterable[packets.Packet]) -> set[bytes]:
    """What cannot be changed of each without making it another signature."""
    return {c.signed for s in signatures if (c := keytree.claims(s))}


def _distinct(signatures: Iterable[packets.Packet]) -> list[packets.Packet]:
    """Without further copies of a signature that differ in their unhashed part."""
    return list({c.signed: s for s in reversed([*signatures]) if (c := keytree.claims(s))}.values())


def own_tree(tree: list[Part]) -> list[Part]:
    """The primary key, and what it signed; each part and signature once, nobody else's."""
    own = [_own_part(tree[0].packet, part) for part in _once(tree)]
    return [part for part in own if part.signatures or part is own[0]]


def _verified(primary: packets.Packet, part: Part) -> Part:
    """The part with the primary key's own signatures only, in their order, each once."""
    good = {id(s) for s, _ in keytree.own(primary, part)}
    good = {id(s) for s in _distinct(s for s in part.signatures if id(s) in good)}
    return replace(part, signatures=tuple(s for s in part.signatures if id(s) in good))


def _own_part(primary: packets.Packet, part: Part) -> Part:
    """As `_verified`, and a few revocations that nobody can verify, of what is the key's own."""
    good = {id(s) for s in _verified(primary, part).signatures}
    if not good and part.packet.tag != packets.PUBLIC_KEY:
        return replace(part, signatures=())
    weak = [s for s in part.signatures if id(s) not in good and _weak_revocation(primary, s)]
    good |= {id(s) for s in _distinct(weak)[:MAX_UNVERIFIED]}
    return replace(part, signatures=tuple(s for s in part.signatures if id(s) in good))


def _weak_revocation(primary: packets.Packet, signature: packets.Packet) -> bool:
    claims = keytree.claims(signature)
    return (
        claims is not None
        and claims.kind in REVOCATIONS
        and signature.body[3] in _WEAK_HASHES
        and keytree.claimed_by(primary, signature)
    )


def _newest_only(primary: packets.Packet, part: Part) -> Part:
    """Every revocation, and of the others the newest."""
    own = keytree.own(primary, part)
    kinds = (*CERTIFICATIONS, DIRECT, SUBKEY_BINDING)
    newest = [s for s, claims in own if claims.kind in kinds][-1:]
    kept = [s for s, claims in own if claims.kind in REVOCATIONS] + newest
    return replace(part, signatures=tuple(kept))


def _newest_made(primary: packets.Packet, part: Part) -> int:
    return max((claims.created for _, claims in keytree.own(primary, part)), default=0)


def _is_photograph(part: Part) -> bool:
    return part.packet.tag == packets.USER_ATTRIBUTE


def _text(part: Part) -> str:
    return part.packet.body.decode(errors="replace")


def _fingerprint(part: Part) -> str:
    return packets.key_facts(part.packet.body).fingerprint
