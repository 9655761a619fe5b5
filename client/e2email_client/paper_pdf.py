"""A sheet as PDF: black on white, no picture, nothing secret in its metadata, made in memory only.

The core fonts of PDF know Latin-1; no font is bundled. What else stands in a name is shown as its
code point, and the owner's name is written by hand.
"""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import TYPE_CHECKING

from e2email_client import qr
from e2email_client.paper import Blank, Block, Command, Facts, Heading, Paragraph, Sheet, Steps
from e2email_client.paper_text import emphasised

if TYPE_CHECKING:
    from fpdf import FPDF

_SANS, _MONO = "Helvetica", "Courier"
# millimetres
_MARGIN = 18.0  # no printer needs more
_FOOT = 12.0
_LINE = 5.5
_WORD_LINE = 9.5
_CODE = 46.0  # a side of the words' code: some 1.1 mm a module
_VAULT_CODE = 64.0  # of the vault's parts: 0.7 mm a module, which a phone still reads
_CODE_GAP = 16.0
_CODE_ROWS, _CODE_COLUMNS = 3, 2
_OVERLAP = 0.02  # of squares, so that no hair line parts them
_WORD_COLUMNS = 4


class Size(Enum):
    """Sheets of paper, as the library calls them."""

    A4 = "a4"
    LETTER = "letter"


def pdf(sheet: Sheet, size: Size, now: int) -> bytes:
    """The whole sheet. `now`: seconds since 1970, the time of making in the metadata."""
    page = _Page(sheet, size, now)
    page.front()
    page.further()
    return bytes(page.document.output())


def latin(text: str) -> str:
    """What the fonts have; anything else as U+XXXX."""
    return "".join(one if one.isprintable() and one < "\u0100" else f"U+{ord(one):04X}"
                   for one in text)  # fmt: skip


class _Page:
    """A document that is being written, from top to bottom."""

    def __init__(self, sheet: Sheet, size: Size, now: int) -> None:
        self.sheet = sheet
        self.document = _document(sheet.foot, size, now)
        self.width = self.document.epw

    def front(self) -> None:
        pdf = self.document
        self._font(size=20, style="B")
        pdf.cell(w=0, h=10, text=latin(self.sheet.title), new_x="LMARGIN", new_y="NEXT")
        pdf.ln(3)
        for block in self.sheet.front:
            self._block(block)
        if self.sheet.secret is None:
            return
        if pdf.get_y() > pdf.h / 2:  # a very long address
            pdf.add_page()
        self._words(pdf.h / 2)
        self._fold(pdf.h * 3 / 4)
        self._code(self.sheet.secret.code, pdf.h * 3 / 4 + 7, _CODE)

    def further(self) -> None:
        if self.sheet.pages:
            self.document.add_page()
        for block in self.sheet.pages:
            self._block(block)
        count = len(self.sheet.codes)
        for at, code in enumerate(self.sheet.codes):
            place = at % (_CODE_ROWS * _CODE_COLUMNS)
            if place == 0:
                self.document.add_page()
            self._vault_code(code, f"Code {at + 1} of {count}", *divmod(place, _CODE_COLUMNS))

    def _vault_code(self, code: str, caption: str, row: int, column: int) -> None:
        pdf, side = self.document, _VAULT_CODE
        left = pdf.l_margin + column * (self.width - side)
        top = pdf.t_margin + row * (side + _CODE_GAP)
        self._font()
        pdf.set_xy(left, top)
        pdf.cell(w=side, h=_LINE, text=caption)
        self._code(code, top + _LINE + 2, side, left)

    def _font(self, size: float = 11.5, style: str = "", family: str = _SANS) -> None:
        self.document.set_font(family, style=style, size=size)

    def _block(self, block: Block) -> None:
        pdf = self.document
        self._font()
        match block:
            case Heading(text):
                self._font(size=14, style="B")
                pdf.ln(1)
                self._lines(text, h=6)
            case Paragraph(text):
                self._lines(text)
            case Steps(items):
                for number, item in enumerate(items, 1):
                    self._beside(f"{number}.", item, 8)
            case Facts(rows):
                for name, value in rows:
                    self._beside(name, value, 46)
            case Command():
                self._font(size=10, family=_MONO, style="B")
                for line in block.lines:
                    self._lines(line, wrap="CHAR")
            case Blank(label):
                pdf.ln(2)
                start = pdf.l_margin + pdf.get_string_width(latin(label)) + 3
                pdf.cell(w=0, h=_LINE, text=latin(label))
                pdf.line(start, pdf.get_y() + _LINE, pdf.w - pdf.r_margin, pdf.get_y() + _LINE)
                pdf.ln(_LINE)
        pdf.ln(2)

    def _lines(self, text: str, h: float = _LINE, wrap: str = "WORD") -> None:
        self.document.multi_cell(
            w=0, h=h, text=latin(text), align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=wrap
        )

    def _beside(self, name: str, text: str, indent: float) -> None:
        pdf = self.document
        pdf.cell(w=indent, h=_LINE, text=name)
        # an address of 254 letters has no place to break
        wrap = "WORD" if " " in text else "CHAR"
        pdf.multi_cell(
            w=0, h=_LINE, text=latin(text), align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=wrap
        )

    def _words(self, top: float) -> None:
        """Numbered, in columns that are read line by line; the telling letters strong."""
        assert self.sheet.secret is not None
        pdf, step = self.document, self.width / _WORD_COLUMNS
        for at, word in enumerate(self.sheet.secret.words):
            row, column = divmod(at, _WORD_COLUMNS)
            pdf.set_xy(pdf.l_margin + column * step, top + row * _WORD_LINE)
            self._font(size=9)
            pdf.cell(w=8, h=_WORD_LINE, text=f"{at + 1}.", align="R")
            head, tail = emphasised(word)
            self._font(size=14, family=_MONO, style="B")
            pdf.cell(w=pdf.get_string_width(head), h=_WORD_LINE, text=head)
            self._font(size=14, family=_MONO)
            pdf.cell(w=pdf.get_string_width(tail), h=_WORD_LINE, text=tail)

    def _fold(self, y: float) -> None:
        pdf = self.document
        pdf.set_dash_pattern(dash=3, gap=2)
        pdf.line(pdf.l_margin, y, pdf.w - pdf.r_margin, y)
        pdf.set_dash_pattern()
        self._font(size=8)
        pdf.set_xy(pdf.l_margin, y)
        pdf.cell(w=0, h=_LINE, text="fold here, words and code inside", align="R")

    def _code(self, text: str, top: float, side: float, left: float | None = None) -> None:
        """In the middle of the page unless told."""
        found = qr.matrix(text)
        module = side / found.size
        left = self.document.w / 2 - side / 2 if left is None else left
        for row, column, length in found.runs():
            self.document.rect(
                left + column * module,
                top + row * module,
                length * module + _OVERLAP,
                module + _OVERLAP,
                style="F",
            )


def _document(foot: str, size: Size, now: int) -> FPDF:
    from fpdf import FPDF

    class Footed(FPDF):  # type: ignore[misc]  # the library is left untyped
        """With the foot on each page."""

        def footer(self) -> None:
            self.set_y(-_FOOT)
            self.set_font(_SANS, size=8)
            self.cell(w=0, h=_LINE, text=f"{latin(foot)}, page {self.page_no()} of {{nb}}")

    made = Footed(unit="mm", format=size.value)
    made.set_margins(_MARGIN, _MARGIN)
    made.set_auto_page_break(True, _MARGIN)
    made.set_creation_date(dt.datetime.fromtimestamp(now, dt.UTC))
    made.set_title("e2email")
    made.set_lang("en")
    made.add_page()
    return made
