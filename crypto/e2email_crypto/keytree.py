"""A certificate or secret key as a primary key, user ids and subkeys, each with its signatures.

And what its own signatures say. Nothing is interpreted that arithmetic has not verified first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from . import _rpgp, packets

POSITIVE, SUBKEY_BINDING, DIRECT = 0x13, 0x18, 0x1F  # RFC 9580, 5.2.1
KEY_REVOCATION, SUBKEY_REVOCATION, CERTIFICATION_REVOCATION = 0x20, 0x28, 0x30
CERTIFICATIONS = range(0x10, 0x14)
REVOCATIONS = frozenset({KEY_REVOCATION, SUBKEY_REVOCATION, CERTIFICATION_REVOCATION})

# RFC 9580, 5.2.3.7
CREATED, LIFETIME, KEY_LIFETIME, ISSUER, PRIMARY_ID, FLAGS = 2, 3, 9, 16, 25, 27
REASON, FEATURES, EMBEDDED, ISSUER_FINGERPRINT = 29, 30, 32, 33

_KEYS = frozenset({
    packets.PUBLIC_KEY, packets.SECRET_KEY, packets.PUBLIC_SUBKEY, packets.SECRET_SUBKEY,
})  # fmt: skip
_SUBKEYS = frozenset({packets.PUBLIC_SUBKEY, packets.SECRET_SUBKEY})
# what a library may write between the packets that count, for itself or as ballast
_NOISE = frozenset({packets.MARKER, packets.TRUST, packets.PADDING})


@dataclass(frozen=True, slots=True)
class Part:
    """A key, user id or user attribute, and the signatures behind it."""

    packet: packets.Packet
    signatures: tuple[packets.Packet, ...] = ()

    @property
    def is_subkey(self) -> bool:
        return self.packet.tag in _SUBKEYS

    @property
    def is_user_id(self) -> bool:
        return self.packet.tag == packets.USER_ID

    def signed(self, *made: packets.Packet) -> "Part":
        return replace(self, signatures=self.signatures + made)

    def raw(self) -> bytes:
        return b"".join(p.raw for p in (self.packet, *self.signatures))


def parts(found: Iterable[packets.Packet]) -> list[Part]:
    """The parts in their order, the primary key first."""
    made: list[Part] = []
    for packet in found:
        if packet.tag == packets.SIGNATURE and made:
            made[-1] = made[-1].signed(packet)
        elif packet.tag not in _NOISE:
            made.append(Part(packet))
    return made


def raw(tree: Iterable[Part]) -> bytes:
    return b"".join(part.raw() for part in tree)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a signature packet says of itself. `hashed` and `loose` are (type, value) in order."""

    version: int
    kind: int
    hashed: tuple[tuple[int, bytes], ...]
    loose: tuple[tuple[int, bytes], ...]
    signed: bytes  # all but the loose part: two packets with the same are one signature

    def first(self, kind: int) -> bytes | None:
        return next((value for k, value in self.hashed if k == kind), None)

    @property
    def created(self) -> int:
        return int.from_bytes(self.first(CREATED) or b"")

    @property
    def issuers(self) -> set[str]:
        """Fingerprints and key ids it names, in upper-case hex."""
        named = self.hashed + self.loose
        ids = {v.hex().upper() for k, v in named if k == ISSUER}
        return ids | {v[1:].hex().upper() for k, v in named if k == ISSUER_FINGERPRINT}


def claims(signature: packets.Packet) -> Claims | None:
    """None for a signature of another version than 4 and 6, or a malformed one."""
    body = signature.body
    width = {4: 2, 6: 4}.get(body[0] if body else 0)
    if width is None:
        return None
    start = 4 + width
    end = start + int.from_bytes(body[4:start])
    loose = end + width + int.from_bytes(body[end : end + width])
    try:
        hashed = tuple(_subpackets(body[start:end]))
        unhashed = tuple(_subpackets(body[end + width : loose]))
    except IndexError:
        return None
    return Claims(body[0], body[1], hashed, unhashed, body[:end] + body[loose:])


def _subpackets(area: bytes) -> Iterator[tuple[int, bytes]]:
    """RFC 9580, 5.2.3.7; IndexError if cut short."""
    at = 0
    while at < len(area):
        size, at = area[at], at + 1
        if size == 255:
            size, at = int.from_bytes(area[at : at + 4]), at + 4
        elif size >= 192:
            size, at = (size - 192 << 8) + area[at] + 192, at + 1
        if size == 0 or at + size > len(area):
            raise IndexError
        yield area[at] & 0x7F, area[at + 1 : at + size]
        at += size


def claimed_by(primary: packets.Packet, signature: packets.Packet) -> bool:
    """Whether a signature says that the primary key made it, or does not say who did."""
    told, facts = claims(signature), packets.key_facts(primary.body)
    if told is None or not told.issuers:
        return True
    return not told.issuers.isdisjoint({facts.fingerprint, facts.key_id})


# What a signature says of itself and not of what it signs: made new, or not at all.
_OF_ITSELF = frozenset({CREATED, LIFETIME, ISSUER, REASON, EMBEDDED, ISSUER_FINGERPRINT})


def carried(old: Claims, *without: int) -> list[tuple[int, bytes]]:
    """What a newer signature over the same part goes on saying, but for subpackets `without`.

    The back signature of a signing subkey may stand in the loose part.
    """
    says = [(k, v) for k, v in old.hashed if k not in _OF_ITSELF and k not in without]
    return says + [(k, v) for k, v in old.hashed + old.loose if k == EMBEDDED]


def own(primary: packets.Packet, part: Part) -> list[tuple[packets.Packet, Claims]]:
    """Those signatures of a part that the primary key made, by arithmetic, the newest last.

    Both packets are the public ones.
    """
    # of another copy it is another object, perhaps with another header
    same = (part.packet.tag, part.packet.body) == (primary.tag, primary.body)
    bare = primary.raw if same else primary.raw + part.packet.raw
    told = ((s, claims(s)) for s in part.signatures)
    good = [(s, c) for s, c in told if c and _rpgp.self_signed(bare + s.raw)]
    return sorted(good, key=lambda pair: pair[1].created)
