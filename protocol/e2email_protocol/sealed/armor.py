"""ASCII armor of a stored OpenPGP message, by arithmetic: any stretch of it without the rest.

RFC 9580 §6 with the CRC-24 line: without it gpg 2.2 prints the text but exits 2 for one length
in three. Reading foreign armor is crypto's business; this module knows its own only.
"""

from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable

LINE = 64  # characters, gpg's own
_OCTETS = LINE // 4 * 3  # of binary in one line
_HEAD = b"-----BEGIN PGP MESSAGE-----\r\n\r\n"
_TAIL = b"-----END PGP MESSAGE-----\r\n"
_CRC_LINE = len(b"=AAAA\r\n")
_GENERATOR = 0x1864CFB  # RFC 9580 §6.1.1
_INITIAL = 0xB704CE
_MASK = 0xFFFFFF

Read = Callable[[int, int], bytes]  # (start, count) -> those octets


def _square(power: int) -> int:
    product = 0
    for bit in range(24):
        if power >> bit & 1:
            product ^= power << bit
    return _reduce(product)


def _reduce(polynomial: int) -> int:
    for bit in range(polynomial.bit_length() - 1, 23, -1):
        if polynomial >> bit & 1:
            polynomial ^= _GENERATOR << (bit - 24)
    return polynomial


def _shifts() -> list[list[int]]:
    """For each j the exponents of x ** (2 ** j) modulo the generator."""
    power, table = 2, []
    for _ in range(40):  # 2 ** 39 bits are 64 GiB
        table.append([bit for bit in range(24) if power >> bit & 1])
        power = _square(power)
    return table


_SHIFTS = _shifts()


def crc24(octets: bytes) -> int:
    """The checksum of RFC 9580 §6.1.

    Folds the whole message, as one polynomial over GF(2), in halves: the upper half times
    x ** (2 ** j) mod G is a dozen shifts of one big integer. A loop over octets, or over table
    rows, is twenty times slower.
    """
    rest = int.from_bytes(octets) << 24 ^ _INITIAL << len(octets) * 8
    for j in range(max(rest.bit_length() - 1, 1).bit_length() - 1, 4, -1):
        for _ in range(2):  # the second time takes what the first left above the half
            upper = rest >> (1 << j)
            if not upper:
                break
            rest ^= upper << (1 << j)
            for shift in _SHIFTS[j]:
                rest ^= upper << shift
    return _reduce(rest)


def armored_size(size: int) -> int:
    """Octets of the armor around `size` octets."""
    return len(_HEAD) + _lines_size(size) + _CRC_LINE + len(_TAIL)


def _lines_size(size: int) -> int:
    return (size + 2) // 3 * 4 + (size + _OCTETS - 1) // _OCTETS * 2


def armored_slice(read: Read, size: int, crc: int, start: int, count: int) -> bytes:
    """Octets start … start + count of the armor; reads no more of the message than they need."""
    lines = _lines_size(size)
    end = len(_HEAD) + lines
    tail = b"=" + b64encode(crc.to_bytes(3)) + b"\r\n" + _TAIL
    stop = start + count
    return (
        _HEAD[start:stop]
        + _base64_slice(read, size, max(start - len(_HEAD), 0), min(stop - len(_HEAD), lines))
        + tail[max(start - end, 0) : max(stop - end, 0)]
    )


def _base64_slice(read: Read, size: int, start: int, stop: int) -> bytes:
    if stop <= start:
        return b""
    first = start // (LINE + 2)
    last = (stop + LINE + 1) // (LINE + 2)
    octets = read(first * _OCTETS, min(last * _OCTETS, size) - first * _OCTETS)
    return base64_lines(octets)[start - first * (LINE + 2) : stop - first * (LINE + 2)]


def base64_lines(octets: bytes, indent: bytes = b"") -> bytes:
    """Base64 in CRLF lines of 64 characters, each after `indent`."""
    text = b64encode(octets)
    return b"".join(indent + text[at : at + LINE] + b"\r\n" for at in range(0, len(text), LINE))


def dearmor(text: bytes) -> bytes | None:
    """What armored_slice() wrote out, whole; the caller compares with writing it again."""
    if not (text.startswith(_HEAD) and text.endswith(_TAIL)) or len(text) < armored_size(0):
        return None
    try:
        return a2b_base64(text[len(_HEAD) : -_CRC_LINE - len(_TAIL)])
    except Base64Error:
        return None
