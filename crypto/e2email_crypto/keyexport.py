"""A secret key under a passphrase, for another program or a file of one's own."""

from dataclasses import replace

from . import keyimport, keytree, ownkey, packets, secretlock, secretpacket
from .cert import MAX_CERT_PACKETS
from .errors import BadKey
from .keytree import Part


def export_secret(tsk: bytes, passphrase: str, now: int) -> bytes:
    """The secret key under a passphrase, binary, all signatures as they are.

    A version 4 key as gpg 2.2 and Thunderbird read it, a version 6 key as RFC 9580 programs do.
    What is written is read again before it is given out. Raises BadKey; ValueError without one.
    """
    try:
        secret = passphrase.encode()
    except UnicodeEncodeError:  # it quotes what it could not encode
        raise ValueError("not a passphrase: octets that are no text") from None
    if not secret:
        raise ValueError("no passphrase")
    key = ownkey.read(tsk, now)
    locked = keytree.raw(_locked(part, secret) for part in key.parts)
    again = packets.split(keyimport.read_secret(locked, passphrase, now).tsk, MAX_CERT_PACKETS)
    mine = packets.split(tsk, MAX_CERT_PACKETS)
    if [(p.tag, p.body) for p in again] != [(p.tag, p.body) for p in mine]:
        raise BadKey("the export does not give the same key back")
    return locked


def _locked(part: Part, passphrase: bytes) -> Part:
    if part.packet.tag not in secretpacket.SECRET_TAGS:
        return part
    packet = secretlock.lock(secretpacket.parse(part.packet), passphrase)
    body = packet.public + packet.rest
    return replace(part, packet=packets.Packet(packet.tag, packet.raw(), body))
