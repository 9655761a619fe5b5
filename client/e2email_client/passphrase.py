"""Where a passphrase comes from: a descriptor, a file, or the person at the terminal.

Never an argument or environment variable: other users of the machine can read those.
"""

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from e2email_client.console import say
from e2email_client.failure import LocalFault, NoSecret, WrongSecret

# More than crypto accepts, so that its own text names the limit.
READ_CAP = 4096
# Who has chosen none by then wants to think about it first.
TRIES = 5


@dataclass(frozen=True, slots=True)
class Source:
    """What the command line named; with neither, the person is asked."""

    descriptor: int | None = None
    file: Path | None = None

    @property
    def given(self) -> bool:
        return self.descriptor is not None or self.file is not None

    def existing(self, address: str) -> str:
        """The passphrase of an account. NoSecret where nobody can be asked."""
        return self.written() if self.given else _ask(f"Passphrase of {address}: ")

    def new(self, address: str) -> str:
        """A passphrase about to be set: asked for twice, and not easily guessed. WrongSecret."""
        from e2email_client.strength import require  # a dictionary that other commands do without

        if not self.given:
            return _ask_new(address)
        chosen = self.written()
        require(chosen, address)
        return chosen

    def written(self) -> str:
        """What the descriptor or file holds, where one is given. LocalFault, NoSecret."""
        if self.descriptor is not None:
            return _read(self.descriptor, f"descriptor {self.descriptor}")
        assert self.file is not None
        try:
            descriptor = os.open(self.file, os.O_RDONLY)
        except OSError as fault:
            raise LocalFault(f"{self.file} cannot be read: {fault.strerror}.") from fault
        try:
            return _read(descriptor, str(self.file))
        finally:
            os.close(descriptor)


def _read(descriptor: int, name: str) -> str:
    """All of it up to the cap, less one line end, which editors and echo add."""
    octets = b""
    try:
        while len(octets) <= READ_CAP and (more := os.read(descriptor, READ_CAP)):
            octets += more
    except OSError as fault:
        raise LocalFault(f"{name} cannot be read: {fault.strerror}.") from fault
    if len(octets) > READ_CAP:
        raise LocalFault(f"{name} holds more than a secret.")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise LocalFault(f"{name} does not hold UTF-8 text.") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise NoSecret(f"{name} holds no secret.")
    return text


def _ask_new(address: str) -> str:
    """Asked again where it is too weak or the two differ: what else was typed is not lost."""
    from e2email_client.strength import require

    for left in reversed(range(TRIES)):
        try:
            chosen = _ask(f"New passphrase for {address}: ")
            require(chosen, address)
            if _ask("The same again: ") != chosen:
                raise WrongSecret("The two passphrases differ.")
            return chosen
        except WrongSecret as fault:
            if not left:
                raise
            say(f"{fault}\nOnce more.", err=True)
    raise AssertionError("the last try returned or raised")


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise NoSecret(
            "No passphrase: there is no terminal to ask at; "
            "give --passphrase-fd or --passphrase-file."
        )
    try:
        entered = getpass.getpass(prompt)
    except EOFError:
        raise NoSecret("No passphrase was entered.") from None
    if not entered:
        raise NoSecret("No passphrase was entered.")
    return entered
