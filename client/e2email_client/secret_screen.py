"""Secrets on a terminal: page after page on its second screen, of which nothing stays behind.

The second screen of a terminal (xterm's 1049) has no scrollback and is gone with its last page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest

import click

from e2email_client import qr
from e2email_client.failure import NoSecret
from e2email_client.paper_text import emphasised

_ENTER, _LEAVE, _CLEAR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H\x1b[2J"
_GAP = "   "


def page(title: str, words: Sequence[str], code: str) -> list[str]:
    """Words beside their QR code: at most 80 columns and 24 lines with the prompt."""
    picture = qr.lines(qr.matrix(code, qr.LEVEL_SCREEN))
    cells = [
        f"{number:>2}. {head.upper()}{tail}"
        for number, (head, tail) in enumerate(map(emphasised, words), 1)
    ]
    blank = " " * len(picture[0])
    # black on white, whatever the terminal's colours are
    return [
        click.style(line or blank, fg="black", bg="bright_white") + _GAP + (said or "")
        for line, said in zip_longest(picture, [title, "", *cells])
    ]


def show(pages: Sequence[Sequence[str]]) -> None:
    """Each until Enter is pressed. NoSecret where this is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoSecret("Words are shown on a terminal only; give --pdf or --text with a file.")
    with second_screen():
        for number, one in enumerate(pages, 1):
            click.echo(_CLEAR + "\n".join(one))
            click.echo(f"{number} of {len(pages)}, Enter goes on, nothing stays here ", nl=False)
            sys.stdin.readline()


@contextmanager
def second_screen(*, err: bool = False) -> Iterator[None]:
    """What is written within is gone afterwards, from the scrollback, too."""
    click.echo(_ENTER + _CLEAR, nl=False, err=err)
    try:
        yield
    finally:
        click.echo(_CLEAR + _LEAVE, nl=False, err=err)
