"""Sequence sets: what stands between the command and the messages it means (RFC 3501 §9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .errors import BadCommand

STAR = 0  # "*", the largest number in use
Ranges = tuple[tuple[int, int], ...]

_RANGE = re.compile(rb"([1-9][0-9]{0,9}|\*)(?::([1-9][0-9]{0,9}|\*))?")
_MAX = 2**32 - 1


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


def normal(ranges: Ranges, largest: int) -> list[tuple[int, int]]:
    """The ranges with "*" filled in, ascending and disjoint, so that overlaps cost nothing."""
    filled = sorted(
        (min(a, b), max(a, b)) for a, b in ((a or largest, b or largest) for a, b in ranges)
    )
    merged: list[tuple[int, int]] = []
    for low, high in filled:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def render_set(numbers: Iterable[int], ordered: bool = True) -> bytes:
    """Numbers as a sequence-set; `ordered` False keeps their order (COPYUID's are parallel)."""
    runs: list[list[int]] = []
    for number in sorted(numbers) if ordered else numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in runs)


def render_pairs(source: Sequence[int], target: Sequence[int]) -> bytes:
    return render_set(source, ordered=False) + b" " + render_set(target, ordered=False)
