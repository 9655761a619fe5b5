"""Sentences for the person at the terminal, broken between words."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TextIO

import click

# Narrower than this nothing sensible can be set; wider lines are hard to read.
NARROWEST, WIDEST = 20, 100


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """`text` on standard output or error: broken at words on a terminal, else as it is."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        text = broken(text, _width(stream))
    click.echo(text, err=err, nl=nl)


def broken(text: str, width: int) -> str:
    """Each line in lines of at most `width`, indented as it was.

    A longer word stays whole: it may be a command, a path or a URL that somebody copies.
    """
    return "\n".join(
        line if len(line) <= width or _whole(line) else _line(line, width)
        for line in text.split("\n")
    )


def _whole(line: str) -> bool:
    """A command on a line of its own is copied; a line with colours is a picture's."""
    return line.startswith("  e2email") or "\x1b" in line


def _line(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip(" "))]
    return textwrap.fill(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width(stream: TextIO) -> int:
    try:
        columns = os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:  # also where there is no descriptor
        columns = 80
    return min(max(columns, NARROWEST), WIDEST)
