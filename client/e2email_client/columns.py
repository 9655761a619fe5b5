"""Text in the columns of a terminal. What comes in was cleaned before (`clean`)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rich.cells import get_character_cell_size

# Narrower than this nothing sensible can be set.
NARROWEST = 20
# Of a terminal that does not know its size, as some serial lines and containers.
USUAL = 80


def terminal_width() -> int | None:
    """Columns of the terminal that output ends up in, also through a pager; None without one."""
    for descriptor in (1, 2, 0):
        try:
            return max(os.get_terminal_size(descriptor).columns or USUAL, NARROWEST)
        except OSError:
            continue
    return None


def fit(text: str, width: int) -> str:
    """`text`, cut to `width` columns; a cut is shown."""
    head = _head(text, 0, width)
    return text if head == len(text) else text[: _head(text, 0, width - 1)] + "…"


def fit_end(text: str, width: int) -> str:
    """`text`, its beginning cut to `width` columns: of an address the domain says most."""
    turned = text[::-1]
    head = _head(turned, 0, width)
    return text if head == len(text) else "…" + turned[: _head(turned, 0, width - 1)][::-1]


def pad(text: str, width: int) -> str:
    """`text` in exactly `width` columns."""
    shown = fit(text, width)
    return shown + " " * (width - sum(map(get_character_cell_size, shown)))


def wrap(line: str, width: int) -> Iterator[str]:
    """A line in pieces of at most `width` columns, cut at spaces where there are any."""
    at = 0
    while (end := _head(line, at, width)) < len(line):
        space = line.rfind(" ", at, end + 1)
        # a word longer than half a line is cut: looking back further makes for ragged text
        cut = space if space > at + (end - at) // 2 else end
        yield line[at:cut]
        at = cut + 1 if cut == space else cut
    yield line[at:]


def _head(text: str, start: int, width: int) -> int:
    """Where the first `width` columns of text[start:] end; at least one character further."""
    if len(text) - start <= width // 2:
        return len(text)  # no character takes more than two columns
    used = 0
    for at in range(start, len(text)):
        used += get_character_cell_size(text[at])
        if used > width:
            return max(at, start + 1)
    return len(text)
