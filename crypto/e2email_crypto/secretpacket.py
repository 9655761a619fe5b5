"""Secret key packets (RFC 9580, 5.5.3) taken apart, and written without a passphrase.

The public fields are never interpreted and written anew: they are cut out and put back, octet for
octet, because a fingerprint and every signature hang on them.
"""

from dataclasses import dataclass, field

from . import _openssl, packets
from .errors import BadKey, BadMessage

UNPROTECTED, AEAD, CFB, CFB_CHECKSUM = 0, 253, 254, 255  # S2K usage octets
PUBLIC_TAGS = {
    packets.SECRET_KEY: packets.PUBLIC_KEY,
    packets.SECRET_SUBKEY: packets.PUBLIC_SUBKEY,
}
SECRET_TAGS = frozenset(PUBLIC_TAGS)

_INTEGERS = {1: 2, 2: 2, 3: 2, 16: 3, 17: 4}  # of a public RSA, Elgamal, DSA key
_ON_CURVE = {18: True, 19: False, 22: False}  # whether fields for key derivation follow
_FIXED = {25: 32, 26: 56, 27: 32, 28: 57}


@dataclass(frozen=True, slots=True)
class SecretPacket:
    """One secret key or subkey packet. `rest` begins with the S2K usage octet."""

    tag: int
    public: bytes  # the body of the public packet
    rest: bytes = field(repr=False)

    @property
    def version(self) -> int:
        return self.public[0]

    @property
    def algorithm(self) -> int:
        return self.public[5]

    @property
    def fields(self) -> bytes:
        """The algorithm's public fields."""
        return self.public[6:] if self.version == 4 else self.public[10:]

    @property
    def usage(self) -> int:
        return self.rest[0]

    @property
    def secret(self) -> bytes:
        """The algorithm's secret fields of an unprotected packet; BadKey if there are none."""
        if self.usage != UNPROTECTED:
            raise BadKey("a secret key that is protected by a passphrase")
        if self.version != 4:
            return self.rest[1:]
        secret, checksum = self.rest[1:-2], self.rest[-2:]
        if (sum(secret) & 0xFFFF).to_bytes(2) != checksum:
            raise BadKey("a secret key whose checksum is wrong")
        return secret

    def fits(self) -> bool:
        """Whether the secret fields are those of the public ones; BadKey if no such algorithm."""
        try:
            return _openssl.fits(self.algorithm, self.fields, self.secret)
        except _openssl.LibraryRefused:
            raise BadKey("a secret key that is malformed or of an unknown algorithm") from None

    def raw(self) -> bytes:
        return packets.packet(self.tag, self.public + self.rest)


def parse(packet: packets.Packet) -> SecretPacket:
    """A secret key or subkey packet; BadKey for what is none of a known algorithm."""
    try:
        packets.key_facts(packet.body)
        size = _public_size(packet.body)
    except (BadMessage, IndexError, KeyError):
        raise BadKey("a secret key of an unknown version or algorithm") from None
    if packet.tag not in SECRET_TAGS or size >= len(packet.body):
        raise BadKey("a secret key that is cut short")
    return SecretPacket(packet.tag, packet.body[:size], packet.body[size:])


def unprotected(locked: SecretPacket, secret: bytes) -> SecretPacket:
    """The same key with these secret fields and no passphrase."""
    checksum = (sum(secret) & 0xFFFF).to_bytes(2) if locked.version == 4 else b""
    return SecretPacket(locked.tag, locked.public, bytes([UNPROTECTED]) + secret + checksum)


def public(packet: packets.Packet) -> packets.Packet:
    """The packet as it stands in the certificate: its header new, its body cut, nothing else."""
    if packet.tag not in SECRET_TAGS:
        return packet
    tag, body = PUBLIC_TAGS[packet.tag], parse(packet).public
    return packets.Packet(tag, packets.packet(tag, body), body)


def _public_size(body: bytes) -> int:
    """Where the public fields end; IndexError or KeyError if that cannot be told."""
    if body[0] == 6:
        return 10 + int.from_bytes(body[6:10])
    algorithm, at = body[5], 6
    if algorithm in _FIXED:
        return at + _FIXED[algorithm]
    if algorithm in _INTEGERS:
        for _ in range(_INTEGERS[algorithm]):
            at = _after_integer(body, at)
        return at
    derivation = _ON_CURVE[algorithm]
    at = _after_integer(body, at + 1 + body[at])
    return at + 1 + body[at] if derivation else at


def _after_integer(body: bytes, at: int) -> int:
    bits = body[at] << 8 | body[at + 1]
    return at + 2 + (bits + 7) // 8
