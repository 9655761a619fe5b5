"""A 128-bit secret as words of the English BIP-39 list, with a checksum that points at mistakes.

docs/specs/recovery.md, "Words". 11 bits a word: 14 words have 26 bits of checksum, 12 have 4.
"""

import hashlib
from collections.abc import Sequence

from . import _slips, _wire
from ._wordlist import BITS, INDEX, WORDS
from .errors import WordsInvalid

RECOVERY, RECOVERY_COUNT = b"e2email v1 recovery words", 14
PAIRING, PAIRING_COUNT = b"e2email v1 pairing words", 12
SECRET_SIZE = 16

# Some 29 000 repairs are tried: of 26 bits one fits by chance in two thousand searches, of 20 in
# thirty; of the four that twelve words have nearly two thousand fit every time.
_BITS_TO_SEARCH = 20


def encode(secret: bytes, count: int, label: bytes) -> tuple[str, ...]:
    """`count` words: 16 bytes, then the first bits of SHA-256 over the label and them."""
    if len(secret) != SECRET_SIZE:
        raise ValueError(f"a secret has {SECRET_SIZE} bytes")
    bits = _check_bits(count)
    value = int.from_bytes(secret) << bits | _checksum(secret, bits, label)
    return tuple(WORDS[value >> BITS * at & (1 << BITS) - 1] for at in reversed(range(count)))


def decode(text: str, count: int, label: bytes) -> bytes:
    """The 16 bytes. Raises WordsInvalid, whose `advice` is for the person who typed.

    Capitals, numbering, commas, line breaks and words cut to their first four letters are fine.
    """

    def fits(places: _slips.Places) -> bool:
        if len(places) != count:
            return False
        secret, check = _parts(places, bits)
        return check == _checksum(secret, bits, label)

    bits = _check_bits(count)
    found = _slips.read(text, _slips.Scheme(WORDS, count, fits, bits >= _BITS_TO_SEARCH), INDEX)
    if isinstance(found, _slips.Slip):
        raise WordsInvalid(found.cause, _slips.sentences(found.advice), found.positions)
    return _parts(found, bits)[0]


def _check_bits(count: int) -> int:
    bits = count * BITS - SECRET_SIZE * 8
    if not 0 < bits <= 32:
        raise ValueError("too few or too many words for 16 bytes")
    return bits


def _checksum(secret: bytes, bits: int, label: bytes) -> int:
    return int.from_bytes(hashlib.sha256(_wire.pack(label, secret)).digest()[:4]) >> 32 - bits


def _parts(places: Sequence[int], bits: int) -> tuple[bytes, int]:
    """(secret, checksum)"""
    value = 0
    for place in places:
        value = value << BITS | place
    return (value >> bits).to_bytes(SECRET_SIZE), value & (1 << bits) - 1
