"""How our own small formats are laid out: length-prefixed fields, a head, a checksum.

docs/specs/keys.md, "Common parts". Integers are big-endian.
"""

import hashlib
import unicodedata

from .errors import Damaged, UnknownVersion

MAGIC = b"e2email\0"
CHECKSUM_SIZE = 8
NAME_MAX = 320  # octets of an address: local part 64, "@", domain 255 (RFC 5321, 4.5.3.1)


def pack(*fields: bytes) -> bytes:
    """Each field after its length in four octets: no two lists of fields give the same octets."""
    return b"".join(len(field).to_bytes(4) + field for field in fields)


def name(text: str) -> bytes:
    """An account or server name as it is bound into keys: NFC, ASCII letters lower, UTF-8."""
    # bytes.lower touches ASCII only, so the result does not depend on a Unicode version
    octets = unicodedata.normalize("NFC", text).encode().lower()
    if not 0 < len(octets) <= NAME_MAX:
        raise ValueError(f"a name has 1 to {NAME_MAX} octets")
    return octets


def head(kind: bytes, version: int) -> bytes:
    return MAGIC + kind + bytes([version])


def checksum(data: bytes) -> bytes:
    """Not a protection: it tells an accident from a wrong secret before any key is derived."""
    return hashlib.sha256(data).digest()[:CHECKSUM_SIZE]


def finish(data: bytes) -> bytes:
    return data + checksum(data)


class Reader:
    """Takes fields off the front; running out is Damaged."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if len(self.data) - self.at < count:
            raise Damaged("cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def field(self) -> bytes:
        return self.take(self.number(4))

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)


def open_head(data: bytes, kind: bytes, version: int, max_size: int) -> Reader:
    """A Reader behind the head, checksum verified and taken off.

    The version is looked at first: only its format says that there is a checksum.
    Raises Damaged (not this kind of file, too long, checksum), UnknownVersion.
    """
    if len(data) > max_size:
        raise Damaged("too long")
    if not data.startswith(MAGIC + kind):
        raise Damaged("not a file of this kind")
    start = len(MAGIC) + 2
    if len(data) < start + CHECKSUM_SIZE:
        raise Damaged("cut short")
    if data[start - 1] != version:
        raise UnknownVersion(f"format version {data[start - 1]}; this program knows {version}")
    body, check = data[:-CHECKSUM_SIZE], data[-CHECKSUM_SIZE:]
    if checksum(body) != check:
        raise Damaged("the checksum does not fit")
    reader = Reader(body)
    reader.take(start)
    return reader
