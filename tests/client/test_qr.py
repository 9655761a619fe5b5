"""QR codes read back by a decoder, from a screen and from paper."""

import pytest
import zxingcpp
from PIL import Image

from e2email_client import qr
from e2email_client.failure import LocalFault

WORDS = " ".join(["ABSTRACT"] * 14)  # no list has longer ones


def picture(lines: list[str], scale: int = 4) -> Image.Image:
    """The blocks as a terminal paints them, black on white."""
    image = Image.new("L", (len(lines[0]), 2 * len(lines)), 255)
    for row, line in enumerate(lines):
        for column, block in enumerate(line):
            if block in "█▀":
                image.putpixel((column, 2 * row), 0)
            if block in "█▄":
                image.putpixel((column, 2 * row + 1), 0)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def decoded(image: Image.Image) -> list[str]:
    return [one.text for one in zxingcpp.read_barcodes(image)]


@pytest.mark.parametrize("quiet", [qr.QUIET_SCREEN, qr.QUIET_PAPER])
@pytest.mark.parametrize("text", ["A", WORDS, "lower case, too: ü", "X" * 1000])
def test_the_blocks_are_read_back(text: str, quiet: int) -> None:
    assert decoded(picture(qr.lines(qr.matrix(text), quiet))) == [text]


@pytest.mark.parametrize("text", [WORDS, " ".join(["ACADEMIC"] * 20)])
def test_words_and_shares_fit_a_terminal_of_80_by_24(text: str) -> None:
    lines = qr.lines(qr.matrix(text, qr.LEVEL_SCREEN))
    assert decoded(picture(lines)) == [text]
    assert len(lines) <= 23  # one is the prompt's
    assert max(map(len, lines)) <= 80


def test_runs_are_the_dark_modules() -> None:
    found = qr.matrix(WORDS)
    dark = {(row, first + at) for row, first, length in found.runs() for at in range(length)}
    assert dark == {
        (row, column) for row in range(found.size) for column in range(found.size)
        if found.dark(row, column)
    }  # fmt: skip


def test_too_much_is_a_sentence() -> None:
    with pytest.raises(LocalFault, match="too much for one QR code"):
        qr.matrix("x" * 4000)


def test_no_words_in_a_repr() -> None:
    assert "True" not in repr(qr.matrix(WORDS))
