"""Recovery words: shown once, alone on the screen, with two asked back; or written to a file."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from e2email_client.console import say
from e2email_client.failure import LocalFault
from e2email_client.secret_screen import second_screen

ASKED_BACK = 2  # who has these two on paper has the others
WARNING = (
    "These words open your account when the passphrase is forgotten or every machine\n"
    "is lost. Write them on paper, with their numbers, and keep the paper where you\n"
    "keep a passport. Whoever has them has your mail. Nobody will ever ask you for\n"
    "them but this program."
)


def at_terminal() -> bool:
    """Whether a person can read and answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def numbered(words: Sequence[str]) -> str:
    return "".join(f"{number:>2}. {word}\n" for number, word in enumerate(words, 1))


def show_words(words: Sequence[str]) -> None:
    """On a screen of their own, until two of them were typed back; then the screen is cleared."""
    places = sorted(secrets.SystemRandom().sample(range(len(words)), ASKED_BACK))
    while True:
        _show(words, "When all of them are on paper, press Enter")
        if all(_asked(words[place], place + 1) for place in places):
            return
        say("That is another word. Compare what you wrote.", err=True)
        click.prompt("Press Enter", default="", show_default=False, err=True)


def show_again(words: Sequence[str]) -> None:
    """To a person, until Enter is pressed; to a pipe or file as lines."""
    if at_terminal() and sys.stdout.isatty():
        _show(words, "Enter goes on, nothing stays here")
    else:
        click.echo(numbered(words), nl=False)


def _show(words: Sequence[str], prompt: str) -> None:
    # not click.clear(): many terminals keep in their scrollback what that clears
    with second_screen(err=True):
        say(f"{WARNING}\n\n{numbered(words)}", err=True)
        click.prompt(prompt, default="", show_default=False, err=True)


def _asked(word: str, number: int) -> bool:
    said: str = click.prompt(f"Word {number}", err=True)
    return said.strip().lower() == word


def write_words(path: Path, words: Sequence[str]) -> None:
    """A new file that nobody else reads. LocalFault where there is one of this name."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise LocalFault(f"{path} is there already and is not overwritten.") from None
    except OSError as fault:
        raise LocalFault(f"{path} cannot be made: {fault.strerror}.") from fault
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(numbered(words))
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        path.unlink(missing_ok=True)
        raise LocalFault(f"{path} cannot be written: {fault.strerror}.") from fault
