"""Typed words against a list whose words differ in their first four letters (BIP-39, SLIP-39)."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

WORDS_MAX = 200  # far above any set of words: beyond it nothing is looked at
WORD_MAX = 20  # letters; no listed word has more than eight, so nothing longer is a misspelt one
NEAREST_MAX = 3
STRANGERS_MAX = 20  # unlisted words that are looked for: each takes some 50 ms
_UNIQUE = 4  # letters that no two words of a list begin with
_FAR = 3  # letters wrong from which on two words of eight are rather unlike

# what stands between words and about their numbers, as people write lists
_BETWEEN = re.compile(r"""[\s,;:.()\[\]"'`´“”„‘’«»‐‑‒–—―_/|*•-]+""")


@dataclass(frozen=True, slots=True)
class Stranger:
    """A typed word that is not in the list. Positions begin at 1."""

    position: int
    typed: str = field(repr=False)
    nearest: tuple[str, ...] = field(repr=False)

    def advice(self) -> str:
        said = f"word {self.position}, “{self.typed}”, is not in the list"
        return f"{said}: {quoted(self.nearest)}?" if self.nearest else f"{said}."


def quoted(words: Iterable[str]) -> str:
    return " or ".join(f"“{word}”" for word in words)


def tokens(text: str) -> list[str]:
    """Words in their order; case, numbering, punctuation and invisible characters fall away."""
    plain = unicodedata.normalize("NFKC", text).lower()
    seen = "".join(char for char in plain if unicodedata.category(char) != "Cf")
    return [item for item in _BETWEEN.split(seen) if item and not item.isdecimal()]


def find(typed: Sequence[str], index: Mapping[str, int]) -> list[int | None]:
    """Each word's place in the list; four letters or more of its beginning are enough."""
    starts = {word[:_UNIQUE]: word for word in index}

    def place(word: str) -> int | None:
        listed = starts.get(word[:_UNIQUE], "")
        return index[listed] if word == listed or _is_start(word, listed) else None

    return [place(word) for word in typed]


def _is_start(word: str, listed: str) -> bool:
    return len(word) >= _UNIQUE and listed.startswith(word)


def strangers(
    typed: Sequence[str], places: Sequence[int | None], index: Mapping[str, int]
) -> tuple[Stranger, ...]:
    return tuple(
        Stranger(at, shown(word), nearest(word, index) if number < STRANGERS_MAX else ())
        for number, (at, word) in enumerate(
            (at, word)
            for at, (word, place) in enumerate(zip(typed, places, strict=True), 1)
            if place is None
        )
    )


def shown(word: str) -> str:
    """As it may be put on a terminal: what was typed or pasted could hold anything."""
    return "".join(char for char in word[:WORD_MAX] if char.isprintable())


def nearest(word: str, listed: Iterable[str]) -> tuple[str, ...]:
    """The few listed words with the fewest letters wrong, the nearest first; none when far."""
    if len(word) > WORD_MAX:
        return ()
    ranked = sorted((distance(word, one), one) for one in listed)
    least = ranked[0][0]
    if least >= min(_FAR, len(word)):
        return ()
    return tuple(one for far, one in ranked if far == least)[:NEAREST_MAX]


def distance(one: str, other: str) -> int:
    """Letters to add, drop, change, or exchange with the next one (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, a in enumerate(one, 1):
        now = [row]
        for column, b in enumerate(other, 1):
            now.append(min(last[column] + 1, now[-1] + 1, last[column - 1] + (a != b)))
            if row > 1 < column and a == other[column - 2] and one[row - 2] == b:
                now[-1] = min(now[-1], before[column - 2] + 1)
        before, last = last, now
    return last[-1]
