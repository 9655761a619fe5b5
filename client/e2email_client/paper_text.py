"""A sheet as plain text of 72 columns, for any printer, or to copy by hand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from e2email_client import qr
from e2email_client.paper import Blank, Block, Command, Facts, Heading, Paragraph, Sheet, Steps

WIDTH = 72
_COLUMNS = 3
_FORM_FEED = "\f"
# The letters that tell the words of both lists apart (BIP-39, SLIP-39).
TELLING = 4


def emphasised(word: str) -> tuple[str, str]:
    """The letters that are enough, and the rest."""
    return word[:TELLING], word[TELLING:]


def grid(words: Sequence[str], columns: int = _COLUMNS) -> list[str]:
    """Numbered, in rows, the first four letters as capitals."""
    cells = [
        f"{number:>2}. {head.upper() + tail:<9}"
        for number, (head, tail) in enumerate(map(emphasised, words), 1)
    ]
    return ["   ".join(cells[at : at + columns]).rstrip() for at in range(0, len(cells), columns)]


def text(sheet: Sheet) -> str:
    """The whole sheet, pages parted by form feeds."""
    pages = [[*_front(sheet)], [line for block in sheet.pages for line in _block(block)]]
    count = len(sheet.codes)
    pages += [_code(f"Code {at} of {count}", code) for at, code in enumerate(sheet.codes, 1)]
    feet = [f"{sheet.foot}, page {number} of {len(pages)}" for number in range(1, len(pages) + 1)]
    return _FORM_FEED.join(
        "\n".join([*page, "", foot, ""]) for page, foot in zip(pages, feet, strict=True)
    )


def _front(sheet: Sheet) -> Iterator[str]:
    yield from (sheet.title.upper(), "=" * len(sheet.title), "")
    for block in sheet.front:
        yield from _block(block)
    if sheet.secret is not None:
        yield from (*grid(sheet.secret.words), "")
        fold = " fold here, so that words and code lie inside "
        yield from (fold.center(WIDTH, "-"), "")
        yield from qr.lines(qr.matrix(sheet.secret.code), qr.QUIET_PAPER)


def _code(caption: str, code: str) -> list[str]:
    """The text too: a camera may not know what to do with blocks of a printer."""
    picture = qr.lines(qr.matrix(code), qr.QUIET_PAPER)
    return [caption, "", *picture, *textwrap.wrap(code, WIDTH)]


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(said):
            yield from (said, "-" * len(said))
        case Paragraph(said):
            yield from _wrapped(said)
        case Steps(items):
            for number, item in enumerate(items, 1):
                yield from _wrapped(item, f"{number}. ")
        case Facts(rows):
            for name, value in rows:
                yield from _wrapped(value, f"{name + ':':<22}")
        case Command():
            yield from ("    " + line for line in block.lines)
        case Blank(label):
            yield f"{label}: ".ljust(WIDTH, "_")
    yield ""


def _wrapped(said: str, before: str = "") -> list[str]:
    return textwrap.wrap(
        said,
        WIDTH,
        initial_indent=before,
        subsequent_indent=" " * len(before),
        break_on_hyphens=False,
    )
