"""A 128-bit secret as words of the English BIP-39 list, with a checksum that points at mistakes.

docs/specs/recovery.md, "Words". 11 bits a word: 14 words have 26 bits of checksum, 12 have 4.
"""

import hashlib
from collections.abc import Iterator, Sequence

from . import _spelling, _wire
from ._wordlist import BITS, INDEX, WORDS
from .errors import WordsInvalid

RECOVERY, RECOVERY_COUNT = b"e2email v1 recovery words", 14
PAIRING, PAIRING_COUNT = b"e2email v1 pairing words", 12
SECRET_SIZE = 16

# Some 29 000 repairs are tried: of 26 bits one fits by chance in two thousand searches, of 20 in
# thirty; of the four that twelve words have nearly two thousand fit every time.
_BITS_TO_SEARCH = 20
_REPAIRS_MAX = 3

_TOGETHER = (
    "all words are in the list, but together they are not right: some are other words than they "
    "should be, or they stand in another order. Compare each with the paper."
)

Places = Sequence[int]
Repairs = Iterator[tuple[list[int], str, tuple[int, ...]]]


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
    typed = _spelling.tokens(text)
    if not typed or len(typed) > _spelling.WORDS_MAX:
        raise WordsInvalid(f"{len(typed)} words, not {count}", f"{count} words are asked for.")
    found = _spelling.find(typed, INDEX)
    places = [place for place in found if place is not None]
    if len(places) < len(found):
        raise _unlisted(typed, found, count, label)
    secret = _open(places, count, label)
    if secret is None:
        raise _unfit(places, count, label)
    return secret


def _check_bits(count: int) -> int:
    bits = count * BITS - SECRET_SIZE * 8
    if not 0 < bits <= 32:
        raise ValueError("too few or too many words for 16 bytes")
    return bits


def _checksum(secret: bytes, bits: int, label: bytes) -> int:
    return int.from_bytes(hashlib.sha256(_wire.pack(label, secret)).digest()[:4]) >> 32 - bits


def _open(places: Places, count: int, label: bytes) -> bytes | None:
    """None: the count or the checksum is another."""
    if len(places) != count:
        return None
    value = 0
    for place in places:
        value = value << BITS | place
    bits = _check_bits(count)
    secret = (value >> bits).to_bytes(SECRET_SIZE)
    return secret if _checksum(secret, bits, label) == value & (1 << bits) - 1 else None


def _unlisted(
    typed: Sequence[str], found: Sequence[int | None], count: int, label: bytes
) -> WordsInvalid:
    strangers = _spelling.strangers(typed, found, INDEX)
    positions = tuple(one.position for one in strangers)
    advice = [one.advice() for one in strangers]
    if len(positions) == 1 and (word := _only_fit(found, count, label)):
        advice = [f"word {positions[0]}, “{strangers[0].typed}”, is probably “{word}”."]
    if len(found) != count:
        advice.append(_count(len(found), count))
    return WordsInvalid("words that are not in the list", _sentences(advice), positions)


def _only_fit(found: Sequence[int | None], count: int, label: bytes) -> str | None:
    """The word that the checksum asks for in the one unknown place."""
    if _check_bits(count) < _BITS_TO_SEARCH:
        return None
    for place, word in enumerate(WORDS):
        if _open([place if one is None else one for one in found], count, label) is not None:
            return word
    return None


def _unfit(places: Places, count: int, label: bytes) -> WordsInvalid:
    wrong_count = len(places) != count
    cause = f"{len(places)} words, not {count}" if wrong_count else "the checksum does not fit"
    advice = [_count(len(places), count)] if wrong_count else []
    # two slips can have the same outcome, such as a word doubled: one of them is told
    told = {
        tuple(words): (said, positions)
        for words, said, positions in _repairs(places, count)
        if _open(words, count, label) is not None
    }
    if not 0 < len(told) <= _REPAIRS_MAX:
        return WordsInvalid(cause, _sentences(advice or [_TOGETHER]))
    advice += [said for said, _ in told.values()]
    positions = sorted({at for _, places in told.values() for at in places})
    return WordsInvalid(cause, _sentences(advice), tuple(positions))


def _repairs(places: Places, count: int) -> Repairs:
    """(words, what would have been wrong, where): all that one slip can have done."""
    if _check_bits(count) < _BITS_TO_SEARCH:
        return
    match len(places) - count:
        case 0:
            yield from _exchanged(places)
            yield from _mistaken(places)
        case 1:
            yield from _doubled(places)
        case -1:
            yield from _skipped(places)


def _exchanged(places: Places) -> Repairs:
    for at in range(len(places) - 1):
        words = [*places[:at], places[at + 1], places[at], *places[at + 2 :]]
        said = f"words {at + 1} and {at + 2} are probably in the wrong order."
        yield words, said, (at + 1, at + 2)


def _mistaken(places: Places) -> Repairs:
    for at, typed in enumerate(places):
        for place, word in enumerate(WORDS):
            said = f"word {at + 1} is probably “{word}”, not “{WORDS[typed]}”."
            yield [*places[:at], place, *places[at + 1 :]], said, (at + 1,)


def _doubled(places: Places) -> Repairs:
    for at, typed in enumerate(places):
        said = f"word {at + 1}, “{WORDS[typed]}”, is probably one too many."
        yield [*places[:at], *places[at + 1 :]], said, (at + 1,)


def _skipped(places: Places) -> Repairs:
    for at in range(len(places) + 1):
        for place, word in enumerate(WORDS):
            said = f"word {at + 1} was probably left out: “{word}”."
            yield [*places[:at], place, *places[at:]], said, (at + 1,)


def _count(found: int, count: int) -> str:
    return f"{count} words are asked for, {found} are here."


def _sentences(parts: Sequence[str]) -> str:
    return "\n".join(part[:1].upper() + part[1:] for part in parts)
