"""Octets as a set of texts for QR codes on paper: the vault, where no server stores it.

docs/specs/recovery.md, "Codes on paper". Only characters of QR's alphanumeric mode, which takes two
of them in eleven bits (ISO/IEC 18004, 7.4.4). Every part says which one it is, of which set.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from . import _wire
from .errors import PartFault, PartsInvalid

VERSION = "1"
PART_SIZE = 512  # octets: some 870 characters, a code of 93 modules that a phone still reads
PARTS_MAX = 200  # a hundred thousand octets; nobody prints or scans more
_PREFIX = "E2EMAIL-VAULT"
_SET_SIZE = 5  # 8 characters; also the checksum of the whole
_CHECK_SIZE = 5
_PART = re.compile(r"E2EMAIL-VAULT:1:(\d{1,3})/(\d{1,3}):([A-Z2-7]{8}):([A-Z2-7]+)", re.ASCII)
_ANY_VERSION = re.compile(r"E2EMAIL-VAULT:(\d+):.*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Part:
    number: int
    count: int
    set_id: str
    octets: bytes


def encode(data: bytes) -> list[str]:
    """The parts, in order. Raises ValueError for nothing and for too much."""
    count = -(-len(data) // PART_SIZE)
    if not 0 < count <= PARTS_MAX:
        raise ValueError(f"1 to {PARTS_MAX * PART_SIZE} octets fit on paper")
    set_id = _set_id(data)
    chunks = (data[at : at + PART_SIZE] for at in range(0, len(data), PART_SIZE))
    return [_text(_Part(number, count, set_id, chunk)) for number, chunk in enumerate(chunks, 1)]


def decode(texts: Iterable[str]) -> bytes:
    """The octets, of parts in any order and some of them twice; empty texts are passed over.

    Raises PartsInvalid: no part, another version, damaged, of two sets, missing.
    """
    parts: dict[int, _Part] = {}
    for line, text in enumerate(texts, 1):
        if not text.strip():
            continue
        part = _read(text, line)
        first = next(iter(parts.values()), part)
        if (part.set_id, part.count) != (first.set_id, first.count):
            said = f"Line {line} is of another set than the ones before it."
            raise PartsInvalid(PartFault.OTHER_SET, said, (part.number,))
        parts[part.number] = part
    if not parts:
        raise PartsInvalid(PartFault.NOT_A_PART, "No code is here.")
    count = next(iter(parts.values())).count
    if missing := tuple(number for number in range(1, count + 1) if number not in parts):
        said = f"Of {count} codes these are missing: {', '.join(map(str, missing))}."
        raise PartsInvalid(PartFault.MISSING, said, missing)
    data = b"".join(parts[number].octets for number in range(1, count + 1))
    if _set_id(data) != parts[1].set_id:
        raise PartsInvalid(PartFault.DAMAGED, "All codes are here and do not fit together.")
    return data


def _text(part: _Part) -> str:
    body = _base32(part.octets + _check(part))
    return f"{_PREFIX}:{VERSION}:{part.number}/{part.count}:{part.set_id}:{body}"


def _read(text: str, line: int) -> _Part:
    plain = "".join(text.split()).upper()
    found = _PART.fullmatch(plain)
    if found is None:
        other = _ANY_VERSION.fullmatch(plain)
        if other and other[1] != VERSION:
            said = f"Line {line} is for another version of this program ({other[1][:9]})."
            raise PartsInvalid(PartFault.OTHER_VERSION, said)
        raise PartsInvalid(PartFault.NOT_A_PART, f"Line {line} is not one of these codes.")
    number, count = int(found[1]), int(found[2])
    octets = _octets(found[4])
    part = _Part(number, count, found[3], octets[:-_CHECK_SIZE])
    if not 0 < number <= count <= PARTS_MAX or octets != part.octets + _check(part):
        said = f"Code {number}, in line {line}, is damaged."
        raise PartsInvalid(PartFault.DAMAGED, said, (number,))
    return part


def _set_id(data: bytes) -> str:
    return _base32(hashlib.sha256(data).digest()[:_SET_SIZE])


def _check(part: _Part) -> bytes:
    place = f"{part.number}/{part.count}".encode(), part.set_id.encode()
    return hashlib.sha256(_wire.pack(*place, part.octets)).digest()[:_CHECK_SIZE]


def _base32(octets: bytes) -> str:
    return base64.b32encode(octets).decode().rstrip("=")


def _octets(text: str) -> bytes:
    """Nothing for what is no base32 in its one spelling: no checksum fits that."""
    try:
        octets = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        return b""
    return octets if _base32(octets) == text else b""
