"""Text for people is broken between words on a terminal, and left alone elsewhere."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from e2email_client.console import broken

LONG = "These words open your account when the passphrase is forgotten or every machine is lost."


@pytest.mark.parametrize("width", [20, 40, 80])
def test_lines_end_between_words(width: int) -> None:
    lines = broken(LONG, width).split("\n")
    assert max(map(len, lines)) <= width
    assert " ".join(lines) == LONG


def test_what_is_indented_stays_so_and_what_fits_is_untouched() -> None:
    text = f"Words:\n\n 1. abandon   zoo\n    {LONG}"
    first, empty, row, *rest = broken(text, 40).split("\n")
    assert (first, empty, row) == ("Words:", "", " 1. abandon   zoo")
    assert all(line.startswith("    ") and line[4] != " " for line in rest)


def test_what_is_copied_stays_whole() -> None:
    url = "https://mail.example.org/" + 90 * "x"
    assert url in broken(f"Look at {url} now.", 40).split("\n")


@pytest.mark.parametrize("line", ["  e2email setup " + 80 * "a ", "\x1b[30m" + 80 * "▀ "])
def test_commands_and_pictures_are_not_broken(line: str) -> None:
    assert broken(f"Say\n{line}\nnow", 40) == f"Say\n{line}\nnow"


def test_an_error_on_a_terminal_of_40_columns() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    code = "from e2email_client import console; import sys; console.say(sys.argv[1], err=True)"
    done = subprocess.run(
        [sys.executable, "-c", code, LONG], stderr=theirs, stdout=subprocess.PIPE, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.stdout == b""
    lines = shown.split("\r\n")
    assert max(map(len, lines)) <= 40
    assert " ".join(lines).strip() == LONG
