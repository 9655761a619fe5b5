"""The recovery secret from words or from shares: from a person at the terminal, or from files.

Never an argument or environment variable. Words are shown while they are typed: nobody copies
fourteen of them from paper blindly, and who looks on could read the paper as well. They are typed
on the terminal's second screen, so that nothing of them stays in its scrollback.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import click

from e2email_client.console import say
from e2email_client.failure import NoSecret, WrongSecret
from e2email_client.passphrase import Source
from e2email_client.secret_screen import second_screen
from e2email_crypto import pairing, recovery, shares, words
from e2email_crypto.errors import ShareFault, ShareInvalid, WordsInvalid

# Nobody types worse than this and wants to go on.
TRIES = 20
_WORD = re.compile(r"[^\W\d_]+")
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n")

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class RecoverySource:
    """What the command line named: words or shares, in a file or from the person."""

    by_shares: bool = False
    source: Source = field(default_factory=Source)

    def secret(self) -> bytes:
        """The recovery secret. WrongSecret says which word of which share; NoSecret, LocalFault."""
        if self.source.given:
            text = self.source.written()
            return _shares_in(text) if self.by_shares else _words_in(text)
        if not sys.stdin.isatty():
            raise NoSecret(
                "No recovery words: there is no terminal to ask at; "
                "give --words-fd, --words-file or --shares-file."
            )
        with _screen():
            return _ask_shares() if self.by_shares else _ask_words()


def pairing_code(source: Source) -> bytes:
    """Of the twelve words that `e2email device pair` shows. WrongSecret, NoSecret, LocalFault."""
    if source.given:
        try:
            return pairing.from_words(source.written())
        except WordsInvalid as fault:
            raise WrongSecret(f"These are not the words of a pairing: {fault}.") from None
    if not sys.stdin.isatty():
        raise NoSecret("No words: there is no terminal to ask at; give --pair-fd or --pair-file.")
    with _screen():
        _say(f"Type the {words.PAIRING_COUNT} words that the other machine shows.")
        return _typed("words> ", words.PAIRING_COUNT, pairing.from_words)


def _screen() -> AbstractContextManager[None]:
    return second_screen(err=True) if sys.stderr.isatty() else nullcontext()


def _words_in(text: str) -> bytes:
    try:
        return recovery.from_words(text)
    except WordsInvalid as fault:
        # the advice quotes words: it is for a terminal, and this may go to a log
        raise WrongSecret(f"These are not recovery words: {fault}.") from None


def _shares_in(text: str) -> bytes:
    """Of a file: shares with an empty line between them."""
    found = [one for one in _BLANK_LINES.split(text) if _WORD.search(one)]
    try:
        return shares.combine(found)
    except ShareInvalid as fault:
        raise WrongSecret(f"These shares give no secret: {fault}.") from None


def _ask_words() -> bytes:
    _say(f"Type the {words.RECOVERY_COUNT} words, in one line or several; an empty line ends them.")
    return _typed("words> ", words.RECOVERY_COUNT, recovery.from_words)


def _ask_shares() -> bytes:
    """Share after share, each checked before the next one is asked for."""
    texts: list[str] = []
    for _ in range(TRIES):
        number = len(texts) + 1
        _say(f"Type the {shares.WORD_COUNT} words of share {number}; an empty line ends them.")
        texts.append(_share(number))
        try:
            return shares.combine(texts)
        except ShareInvalid as fault:
            _say(fault.advice)
            if fault.fault is not ShareFault.TOO_FEW:
                texts.pop()
                _say("Take another card.")
    raise WrongSecret("Too many attempts.")


def _share(number: int) -> str:
    """The words of one share that is right in itself."""

    def read(text: str) -> str:
        shares.read(text, number)
        return text

    return _typed(f"share {number}> ", shares.WORD_COUNT, read)


def _typed(prompt: str, count: int, read: Callable[[str], Read]) -> Read:
    """Words until `read` takes them. Only what is wrong is asked for again, where it is known."""
    typed = _lines(prompt, count)
    for _ in range(TRIES):
        try:
            return read(" ".join(typed))
        except (WordsInvalid, ShareInvalid) as fault:
            _say(fault.advice)
            # a card of another kind has no word to mend
            mend = fault.positions if len(typed) == count else ()
        if not mend:
            typed = _lines(prompt, count)
        for position in mend:
            if again := _WORD.findall(_line(f"word {position} again> ")):
                typed[position - 1] = again[0]
    raise WrongSecret("Too many attempts.")


def _lines(prompt: str, count: int) -> list[str]:
    """Words, however many lines they are typed in."""
    found: list[str] = []
    while len(found) < count:
        more = _WORD.findall(_line(prompt))
        if not more:
            break
        found += more
    if not found:
        raise NoSecret("No words were entered.")
    return found


def _line(prompt: str) -> str:
    _say(prompt, end="")
    line = sys.stdin.readline()  # not input(): that may keep a history
    if not line:
        raise NoSecret("No words were entered.")
    return line


def _say(text: str, end: str = "\n") -> None:
    say(text, err=True, nl=False)
    click.echo(end, err=True, nl=False)
