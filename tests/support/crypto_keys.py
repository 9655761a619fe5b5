"""What an OpenPGP key has more than another one, as vectors and tests tell it."""

import hashlib
from typing import Any

from e2email_crypto import keytree, packets


def added_packets(before: bytes, after: bytes) -> list[tuple[int, packets.Packet]]:
    """(place, packet) of all that `after` has and `before` has not, whose packets must be there."""
    rest, more = iter(packets.split(before, 64)), []
    want = next(rest, None)
    for at, packet in enumerate(packets.split(after, 64)):
        if want is not None and packet.raw == want.raw:
            want = next(rest, None)
        else:
            more.append((at, packet))
    assert want is None, "a packet is gone, changed or moved"
    return more


def added(before: bytes, after: bytes) -> list[dict[str, Any]]:
    """The added packets as a vector names them."""
    return [_named(at, packet) for at, packet in added_packets(before, after)]


def _named(at: int, packet: packets.Packet) -> dict[str, Any]:
    named: dict[str, Any] = {"place": at, "packet": packet.tag}
    if claims := keytree.claims(packet) if packet.tag == packets.SIGNATURE else None:
        named |= {"type": claims.kind, "created": claims.created}
        if reason := claims.first(keytree.REASON):
            named["reason"] = reason[0]
    return named


def bodies_digest(octets: bytes) -> str:
    """SHA-256 of all packets' type octets and bodies: what is left when headers are not counted."""
    digest = hashlib.sha256()
    for packet in packets.split(octets, 64):
        digest.update(bytes([packet.tag]) + packet.body)
    return digest.hexdigest()
