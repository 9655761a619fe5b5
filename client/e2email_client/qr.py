"""QR codes for terminals, text files and paper.

ISO/IEC 18004. Nothing here knows what a code says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from e2email_client.failure import LocalFault

# Light modules around a code. The standard asks for 4; every decoder tried is content with 2,
# and a screen of 24 lines has no room for more.
QUIET_PAPER = 4
QUIET_SCREEN = 2
# Error correction: a crease or a stain of paper is no loss; a screen has neither.
LEVEL_PAPER = "m"
LEVEL_SCREEN = "l"
_BLOCKS = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}


@dataclass(frozen=True, slots=True)
class Matrix:
    """Dark modules, without a quiet zone."""

    rows: tuple[tuple[bool, ...], ...] = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.rows)

    def dark(self, row: int, column: int) -> bool:
        """False beyond the edges."""
        return 0 <= row < self.size and 0 <= column < self.size and self.rows[row][column]

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """(row, first column, length) of dark modules side by side: a rectangle each."""
        for number, row in enumerate(self.rows):
            start = None
            for column, dark in enumerate((*row, False)):
                if dark and start is None:
                    start = column
                elif not dark and start is not None:
                    yield number, start, column - start
                    start = None


def matrix(text: str, level: str = LEVEL_PAPER) -> Matrix:
    """LocalFault for more than one code can hold (some 2,300 octets)."""
    import segno

    try:
        made = segno.make(text, error=level, boost_error=False, micro=False)
    except segno.DataOverflowError:
        raise LocalFault("That is too much for one QR code.") from None
    return Matrix(tuple(tuple(bool(module) for module in row) for row in made.matrix))


def lines(found: Matrix, quiet: int = QUIET_SCREEN) -> list[str]:
    """Two rows of modules in each line, by half blocks: dark where ink is.

    On a screen they must be shown black on white, whatever its colours are.
    """
    edge = range(-quiet, found.size + quiet)
    return [
        "".join(_BLOCKS[found.dark(row, column), found.dark(row + 1, column)] for column in edge)
        for row in edge[::2]
    ]
