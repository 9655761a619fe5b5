"""Sequence sets: what stands between the command and the messages it means (RFC 3501 §9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .errors import BadCommand

STAR = 0  # "*", the largest number in use
Ranges = tuple[tuple[int, int], ...]
Spans = list[tuple[int, int]]  # ascending and disjoint, without "*"

SAVED: Ranges = ((-1, -1),)  # "$": what the last SEARCH RETURN (SAVE) found (RFC 5182)

_RANGE = re.compile(rb"([1-9][0-9]{0,9}|\*)(?::([1-9][0-9]{0,9}|\*))?")
_MAX = 2**32 - 1
_SPANS = 400  # ranges of one VANISHED reply: at most some 8 KiB


def parse_set(wire: bytes) -> Ranges:
    """sequence-set = (seq-number / seq-range) ["," sequence-set]"""
    ranges = []
    for piece in wire.split(b","):
        match = _RANGE.fullmatch(piece)
        if match is None:
            raise BadCommand(b"not a message set")
        first = _number(match[1])
        ranges.append((first, first if match[2] is None else _number(match[2])))
    return tuple(ranges)


def _number(wire: bytes) -> int:
    number = STAR if wire == b"*" else int(wire)
    if number > _MAX:
        raise BadCommand(b"not a message number")
    return number


def normal(ranges: Ranges, largest: int) -> Spans:
    """The ranges with "*" filled in, ascending and disjoint, so that overlaps cost nothing."""
    filled = sorted(
        (min(a, b), max(a, b)) for a, b in ((a or largest, b or largest) for a, b in ranges)
    )
    merged: Spans = []
    for low, high in filled:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def runs(numbers: Iterable[int], ordered: bool = True) -> Spans:
    """Numbers as ranges, ascending; `ordered` False keeps their order."""
    found: Spans = []
    for number in sorted(numbers) if ordered else numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def render_spans(spans: Spans) -> bytes:
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in spans)


def render_set(numbers: Iterable[int], ordered: bool = True) -> bytes:
    """Numbers as a sequence-set; `ordered` False keeps their order (COPYUID's are parallel)."""
    return render_spans(runs(numbers, ordered))


def common(one: Spans, other: Spans) -> Spans:
    """What is in both; each ascending and disjoint."""
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low <= high:
            found.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return found


def between(numbers: Iterable[int], end: int) -> Spans:
    """What is missing from ascending `numbers` below `end`: as ranges, for it may be much."""
    found = []
    low = 1
    for number in numbers:
        if number > low:
            found.append((low, number - 1))
        low = number + 1
    if low < end:
        found.append((low, end - 1))
    return found


def vanished_lines(spans: Spans, earlier: bytes = b"") -> Iterator[bytes]:
    """VANISHED replies (RFC 7162 §3.2.10), each of a length that any client reads as a line."""
    for start in range(0, len(spans), _SPANS):
        yield b"* VANISHED " + earlier + render_spans(spans[start : start + _SPANS]) + b"\r\n"


def render_pairs(source: Sequence[int], target: Sequence[int]) -> bytes:
    return render_set(source, ordered=False) + b" " + render_set(target, ordered=False)
