"""What a person probably mistyped: the one slip after which the checksum of a set of words fits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from . import _spelling

GUESSES_MAX = 3

_TOGETHER = (
    "all words are in the list, but together they are not right: some are other words than they "
    "should be, or they stand in another order. Compare each with the paper."
)

Places = Sequence[int]  # of words in their list
Repairs = Iterator[tuple[list[int], str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How many words of which list belong together.

    `fits` checks count and checksum. `searched`: the checksum has so many bits (see `words`) that
    what fits after a search through all slips hardly fits by chance.
    """

    listed: Sequence[str]
    count: int
    fits: Callable[[Places], bool]
    searched: bool


@dataclass(frozen=True, slots=True)
class Slip:
    """Why typed words are not right: `cause` quotes none of them, `advice` does."""

    cause: str
    advice: tuple[str, ...] = field(repr=False)
    positions: tuple[int, ...] = ()


def read(text: str, scheme: Scheme, index: dict[str, int]) -> list[int] | Slip:
    """The words' places, or what is wrong with them."""
    typed = _spelling.tokens(text)
    if not typed or len(typed) > _spelling.WORDS_MAX:
        return Slip(f"{len(typed)} words, not {scheme.count}", (_count(len(typed), scheme.count),))
    found = _spelling.find(typed, index)
    places = [place for place in found if place is not None]
    if len(places) < len(found):
        return _unlisted(typed, found, scheme, index)
    return places if scheme.fits(places) else _unfit(places, scheme)


def _unlisted(
    typed: Sequence[str], found: Sequence[int | None], scheme: Scheme, index: dict[str, int]
) -> Slip:
    strangers = _spelling.strangers(typed, found, index)
    advice = [one.advice() for one in strangers]
    first = strangers[0]
    if len(strangers) == 1 and (word := _asked_for(found, scheme)):
        advice = [f"word {first.position}, “{first.typed}”, is probably “{word}”."]
    if len(found) != scheme.count:
        advice.append(_count(len(found), scheme.count))
    positions = tuple(one.position for one in strangers)
    return Slip("words that are not in the list", tuple(advice), positions)


def _asked_for(found: Sequence[int | None], scheme: Scheme) -> str | None:
    """The word with which the checksum fits in the one unknown place."""
    if scheme.searched and len(found) == scheme.count:
        for place, word in enumerate(scheme.listed):
            if scheme.fits([place if one is None else one for one in found]):
                return word
    return None


def _unfit(places: Places, scheme: Scheme) -> Slip:
    wrong_count = len(places) != scheme.count
    cause = "the checksum does not fit"
    advice: tuple[str, ...] = (_TOGETHER,)
    if wrong_count:
        cause = f"{len(places)} words, not {scheme.count}"
        advice = (_count(len(places), scheme.count),)
    # two slips can have the same outcome, such as a word doubled: one of them is told
    told = {
        tuple(words): (said, positions)
        for words, said, positions in _repairs(places, scheme)
        if scheme.fits(words)
    }
    if not 0 < len(told) <= GUESSES_MAX:
        return Slip(cause, advice)
    guesses = tuple(said for said, _ in told.values())
    positions = sorted({at for _, each in told.values() for at in each})
    return Slip(cause, (*advice, *guesses) if wrong_count else guesses, tuple(positions))


def _repairs(places: Places, scheme: Scheme) -> Repairs:
    """(words, what would have been wrong, where): all that one slip can have done."""
    if not scheme.searched:
        return
    match len(places) - scheme.count:
        case 0:
            yield from _exchanged(places)
            yield from _mistaken(places, scheme.listed)
        case 1:
            yield from _doubled(places, scheme.listed)
        case -1:
            yield from _skipped(places, scheme.listed)


def _exchanged(places: Places) -> Repairs:
    for at in range(len(places) - 1):
        words = [*places[:at], places[at + 1], places[at], *places[at + 2 :]]
        said = f"words {at + 1} and {at + 2} are probably in the wrong order."
        yield words, said, (at + 1, at + 2)


def _mistaken(places: Places, listed: Sequence[str]) -> Repairs:
    for at, typed in enumerate(places):
        for place, word in enumerate(listed):
            said = f"word {at + 1} is probably “{word}”, not “{listed[typed]}”."
            yield [*places[:at], place, *places[at + 1 :]], said, (at + 1,)


def _doubled(places: Places, listed: Sequence[str]) -> Repairs:
    for at, typed in enumerate(places):
        said = f"word {at + 1}, “{listed[typed]}”, is probably one too many."
        yield [*places[:at], *places[at + 1 :]], said, (at + 1,)


def _skipped(places: Places, listed: Sequence[str]) -> Repairs:
    for at in range(len(places) + 1):
        for place, word in enumerate(listed):
            said = f"word {at + 1} was probably left out: “{word}”."
            yield [*places[:at], place, *places[at:]], said, (at + 1,)


def _count(found: int, count: int) -> str:
    return f"{count} words are asked for, {found} {'is' if found == 1 else 'are'} here."


def sentences(parts: Sequence[str]) -> str:
    return "\n".join(part[:1].upper() + part[1:] for part in parts)
