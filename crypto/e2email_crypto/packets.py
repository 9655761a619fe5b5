"""The outer grammar of OpenPGP: packet headers, encrypted messages, certificates. No cryptography.

Every message and certificate passes here before a library sees it. What this module reads it reads
in one bounded pass over bytes; what it does not understand it refuses (RFC 9580, section 4).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import BadMessage, TooLarge

PKESK, SIGNATURE, SECRET_KEY, PUBLIC_KEY, SECRET_SUBKEY = 1, 2, 5, 6, 7
MARKER, TRUST, USER_ID, PUBLIC_SUBKEY, USER_ATTRIBUTE, SEIPD, PADDING = 10, 12, 13, 14, 17, 18, 21

# 5,000 bogus PKESKs cost a library 0.7-0.9 s; mail to more than 64 keys is not mail to a person.
MAX_PKESK = 64
# RSA-8192 needs some 1 KiB, ML-KEM-1024 1.7 KiB.
MAX_PKESK_SIZE = 4096
# Stands among key ids for a recipient that a message does not tell, as its own octets do (RFC 9580,
# 5.1). No key has it, so that whoever looks for foreign keys finds one.
UNTOLD = "0" * 16
# RFC 9580, 4.2.1.4 asks this of the first part only. One-octet parts would cost seconds of parsing.
MIN_PARTIAL = 512
# 1 cipher prefix of 18, literal header, MDC of 22; and 36 of header, tag of 16 twice.
MIN_SEIPD = {1: 1 + 18 + 8 + 22, 2: 36 + 8 + 32}
# RFC 9580, 5.13.2: larger chunk sizes must be refused.
MAX_CHUNK_OCTET = 16


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of a certificate: its type, its octets with header, its body."""

    tag: int
    raw: bytes = field(repr=False)  # of a secret key, perhaps
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """One PKESK: where it stands, and the 16 hex digits of its key id ("" if hidden)."""

    start: int
    end: int
    key_id: str


@dataclass(frozen=True, slots=True)
class EncryptedMessage:
    """The outer shape of PKESK+ SEIPD: sessions in order, then data from `data` to the end."""

    sessions: tuple[Session, ...]
    data: int
    version: int

    @property
    def key_ids(self) -> frozenset[str]:
        """The keys this is addressed to, with UNTOLD where it is not said whose one is.

        One id twice tells as little: only one of the two can be the key of that id.
        """
        told = frozenset(s.key_id for s in self.sessions if s.key_id)
        return told if len(told) == len(self.sessions) else told | {UNTOLD}


def message_key_ids(blob: bytes) -> frozenset[str]:
    """The key ids (16 upper-case hex digits) that `blob` is encrypted to, UNTOLD if one is hidden.

    Raises BadMessage unless `blob` is exactly 1 to 64 PKESK, one SEIPD v1 or v2, and its end.
    """
    return parse_message(blob).key_ids


def parse_message(blob: bytes) -> EncryptedMessage:
    """The outer shape of an encrypted message; BadMessage for anything else."""
    sessions: list[Session] = []
    versions: set[int] = set()
    at, size = 0, len(blob)
    while True:
        tag, body, length = _header(blob, at)
        if tag == SEIPD:
            break
        if tag != PKESK or length is None or len(sessions) == MAX_PKESK:
            raise BadMessage("not PKESK packets followed by one SEIPD packet")
        end = body + length
        if length > MAX_PKESK_SIZE or end > size:
            raise BadMessage("a PKESK packet is too long")
        version, key_id = _pkesk(blob[body:end])
        versions.add(version)
        sessions.append(Session(at, end, key_id))
        at = end
    version = _seipd(blob, body, length)
    # RFC 9580, 10.3.2.1: v3 goes with v1, v6 with v2. A mixture is an attempt to confuse readers.
    if versions != {3 if version == 1 else 6}:
        raise BadMessage("PKESK and SEIPD versions do not fit")
    return EncryptedMessage(tuple(sessions), at, version)


def split(data: bytes, max_packets: int) -> list[Packet]:
    """The packets of a certificate or signature; TooLarge above the count, BadMessage if cut."""
    return list(_packets(data, max_packets))


def packet(tag: int, body: bytes) -> bytes:
    """A packet with a header of the shortest length (RFC 9580, 4.2.1)."""
    size = len(body)
    if size < 192:
        length = bytes([size])
    elif size < 8384:
        length = (size - 192 + (192 << 8)).to_bytes(2)
    else:
        length = b"\xff" + size.to_bytes(4)
    return bytes([0xC0 | tag]) + length + body


def _packets(data: bytes, max_packets: int) -> Iterator[Packet]:
    at = count = 0
    while at < len(data):
        tag, body, length = _header(data, at)
        count += 1
        if length is None or body + length > len(data):
            raise BadMessage("a packet is cut short or of unknown length")
        if count > max_packets:
            raise TooLarge("too many packets")
        yield Packet(tag, data[at : body + length], data[body : body + length])
        at = body + length


def _header(data: bytes, at: int) -> tuple[int, int, int | None]:
    """(type, where the body begins, its length or None if partial) of the packet at `at`."""
    try:
        first = data[at]
        if first & 0xC0 == 0xC0:
            return _new_header(data, at, first & 0x3F)
        if first & 0x80 and first & 3 != 3:  # 3: until the end of the file; nobody writes that now
            width = 1 << (first & 3)
            length = int.from_bytes(data[at + 1 : at + 1 + width])
            if len(data) < at + 1 + width:
                raise BadMessage("a packet header is cut short")
            return first >> 2 & 0x0F, at + 1 + width, length
    except IndexError:
        raise BadMessage("a packet header is cut short") from None
    raise BadMessage("not an OpenPGP packet")


def _new_header(data: bytes, at: int, tag: int) -> tuple[int, int, int | None]:
    octet = data[at + 1]
    if octet < 192:
        return tag, at + 2, octet
    if octet < 224:
        return tag, at + 3, (octet - 192 << 8) + data[at + 2] + 192
    if octet < 255:
        return tag, at + 1, None  # the body is read from its first partial length
    length = data[at + 2] << 24 | data[at + 3] << 16 | data[at + 4] << 8 | data[at + 5]
    return tag, at + 6, length


def _pkesk(body: bytes) -> tuple[int, str]:
    """(version, key id or "") of a PKESK body (RFC 9580, 5.1)."""
    if len(body) >= 12 and body[0] == 3:
        return 3, body[1:9].hex().upper() if any(body[1:9]) else ""
    if len(body) >= 4 and body[0] == 6:
        size = body[1]
        name = body[2 : 2 + size]
        if size == 0:
            return 6, ""
        if size == 21 == len(name) and name[0] == 4:
            return 6, name[-8:].hex().upper()
        if size == 33 == len(name) and name[0] == 6:
            return 6, name[1:9].hex().upper()
    raise BadMessage("a PKESK packet that is not understood")


def _seipd(blob: bytes, body: int, length: int | None) -> int:
    """The version of the SEIPD packet; BadMessage unless it ends where `blob` ends."""
    if length is None:
        start, end, total = _partial(blob, body)
    else:
        start, end, total = body, body + length, length
    if end != len(blob):
        raise BadMessage("the SEIPD packet does not end where the message ends")
    version = blob[start] if start < len(blob) else 0
    if total < MIN_SEIPD.get(version, total + 1):
        raise BadMessage("a SEIPD packet of unknown version or too short")
    if version == 2 and blob[start + 3] > MAX_CHUNK_OCTET:
        raise BadMessage("a chunk size that RFC 9580 forbids")
    return version


def _partial(blob: bytes, at: int) -> tuple[int, int, int]:
    """(first data octet, end, octets of data) of a body in partial lengths beginning at `at`."""
    start, total, size = at + 1, 0, len(blob)
    while at < size and 224 <= blob[at] < 255:
        part = 1 << (blob[at] & 0x1F)
        if part < MIN_PARTIAL:
            raise BadMessage("a partial length that is too short")
        total += part
        at += 1 + part
    if at >= size:
        raise BadMessage("the last partial length is missing")
    try:
        _, body, last = _new_header(blob, at - 1, SEIPD)
    except IndexError:
        raise BadMessage("a packet header is cut short") from None
    assert last is not None  # partial lengths were consumed above
    return start, body + last, total + last


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a public key packet says of itself, before any library has parsed it."""

    version: int
    created: int
    algorithm: int
    bits: int  # of the modulus of an RSA, DSA or Elgamal key, else 0
    fingerprint: str
    key_id: str


_MODULUS_FIRST = {1, 2, 3, 16, 17}  # RSA three times, Elgamal, DSA


def key_facts(body: bytes) -> KeyFacts:
    """Facts of a version 4 or 6 public key (RFC 9580, 5.5.2); BadMessage for any other."""
    version = body[0] if body else 0
    if version not in (4, 6) or len(body) < 12:
        raise BadMessage("a key of another version than 4 and 6")
    created, algorithm = int.from_bytes(body[1:5]), body[5]
    material = body[6:] if version == 4 else body[10:]
    bits = int.from_bytes(material[:2]) if algorithm in _MODULUS_FIRST else 0
    if version == 4:
        # RFC 9580, 5.5.4.2; an identifier here, its weakness is that of every v4 key
        digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False)
        name = digest.hexdigest().upper()
        return KeyFacts(4, created, algorithm, bits, name, name[-16:])
    name = hashlib.sha256(b"\x9b" + len(body).to_bytes(4) + body).hexdigest().upper()
    return KeyFacts(6, created, algorithm, bits, name, name[:16])
