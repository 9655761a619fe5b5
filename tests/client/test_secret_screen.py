"""Words on a terminal: they fit, they are all there, and nothing of them stays behind."""

import os
import pty
import re
import subprocess
import sys

import click
import pytest
import zxingcpp
from PIL import Image

from e2email_client import secret_screen
from e2email_client.failure import NoSecret
from e2email_crypto import recovery, shares

SECRET = bytes(range(16))
_STYLE = re.compile(r"\x1b\[[\d;]*m")
_SHOW = """
from e2email_client import secret_screen
secret_screen.show([["SECRET one"], ["SECRET two"]])
print("after")
"""
_ASK = """
from e2email_client.recovery_words import RecoverySource
print(RecoverySource().secret().hex())
"""


@pytest.mark.parametrize(
    "words", [recovery.to_words(SECRET), *shares.split(SECRET, 2, 3), ("academic",) * 20]
)
def test_a_page_has_all_words_and_a_code_that_is_read_back(words: tuple[str, ...]) -> None:
    code = " ".join(words).upper()
    lines = [_STYLE.sub("", one) for one in secret_screen.page("Share 16 of 16", words, code)]
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    shown = re.findall(r"(\d+)\. ([A-Za-z]+)", "\n".join(lines))
    assert [(int(at), word.lower()) for at, word in shown] == list(enumerate(words, 1))
    image = Image.new("L", (len(lines[0]), 2 * len(lines)), 255)
    for row, line in enumerate(lines):
        for column, block in enumerate(line):
            image.putpixel((column, 2 * row), 0 if block in "█▀" else 255)
            image.putpixel((column, 2 * row + 1), 0 if block in "█▄" else 255)
    (found,) = zxingcpp.read_barcodes(image.resize((image.width * 8, image.height * 8), 0))
    assert found.text == code


def test_the_code_is_black_on_white_whatever_the_colours_are() -> None:
    first = secret_screen.page("x", ("word",), "WORD")[0]
    assert first.startswith(click.style("", fg="black", bg="bright_white", reset=False))


def _at_terminal(program: str, typed: bytes) -> bytes:
    """What a terminal was given, its echo of what was typed included."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    while b"\x1b[?1049h" not in said:
        said += os.read(master, 4096)
    os.write(master, typed)
    try:
        while piece := os.read(master, 4096):
            said += piece
    except OSError:
        pass  # Linux says EIO at the end
    os.close(master)
    assert process.wait(30) == 0
    return said


def test_words_are_typed_on_the_second_screen() -> None:
    words = recovery.to_words(SECRET)
    said = _at_terminal(
        _ASK, " ".join([*words[:-1], "zzzz"]).encode() + b"\n" + words[-1].encode() + b"\n"
    )
    entered, left = said.index(b"\x1b[?1049h"), said.index(b"\x1b[?1049l")
    assert entered < said.index(words[0].encode()) < said.index(b"word 14 again") < left
    assert not any(word.encode() in said[left:] for word in words)
    assert SECRET.hex().encode() in said[left:]


def test_the_second_screen_is_cleared_and_left() -> None:
    said = _at_terminal(_SHOW, b"\n\n")
    entered, left = said.index(b"\x1b[?1049h"), said.index(b"\x1b[?1049l")
    assert entered < said.index(b"SECRET one") < said.index(b"SECRET two") < left
    between = said[said.index(b"SECRET one") : said.index(b"SECRET two")]
    assert b"\x1b[2J" in between
    assert b"SECRET" not in said[left:]
    assert b"after" in said[left:]


def test_no_terminal_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NoSecret, match="terminal only"):
        secret_screen.show([["SECRET"]])
    assert "SECRET" not in capsys.readouterr().out
