"""Options that commands of e2email-backup share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client.cli._options import Access
from e2email_client.passphrase import Source
from e2email_client.recovery_words import RecoverySource

if TYPE_CHECKING:
    from e2email_client.unlock import Unlocked

Command = Callable[..., Any]

FILE = click.Path(dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--words", is_flag=True, help="By the words of the recovery sheet."),
    click.option("--shares", is_flag=True, help="By shares; they are asked for one by one."),
    click.option("--words-fd", type=int, metavar="N", help="Read the words from descriptor N."),
    click.option("--words-file", type=FILE, help="Read the words from a file."),
    click.option("--shares-file", type=FILE, help="Read shares, an empty line between them."),
)
_CHOICE = "Choose one of --words, --shares, --words-fd, --words-file and --shares-file."

size_option = click.option(
    "--size",
    type=click.Choice(["a4", "letter"]),
    default="a4",
    show_default=True,
    help="The paper of a PDF.",
)


def recovery_options(command: Command) -> Command:
    """The command gets `recovery: RecoverySource | None`; None: nothing was chosen."""

    @functools.wraps(command)
    def wrapper(
        words: bool,
        shares: bool,
        words_fd: int | None,
        words_file: Path | None,
        shares_file: Path | None,
        **rest: Any,
    ) -> Any:
        by_words = words or words_fd is not None or words_file is not None
        by_shares = shares or shares_file is not None
        if (by_words and by_shares) or (words_fd is not None and words_file is not None):
            raise click.UsageError(_CHOICE)
        source = Source(words_fd, words_file or shares_file)
        chosen = by_words or by_shares
        return command(recovery=RecoverySource(by_shares, source) if chosen else None, **rest)

    wrapped: Command = wrapper
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def unlock_afresh(access: Access) -> Unlocked:
    """By the passphrase, whatever the keyring holds: a secret is about to be shown or written."""
    from e2email_client.unlock import unlock

    return unlock(access.paths(), access.source, None)


codes_option = click.option(
    "--codes",
    type=FILE,
    help="A file with the texts of the sheet's QR codes, a line each (paranoid custody).",
)


def read_codes(path: Path) -> bytes:
    """What the codes of a sheet carry. WrongSecret says which code is missing or damaged."""
    from e2email_client.failure import LocalFault, WrongSecret
    from e2email_client.files import read_private
    from e2email_crypto import paper_codes
    from e2email_crypto.errors import PartsInvalid

    try:
        lines = read_private(path).decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise LocalFault(f"{path} does not hold the texts of QR codes.") from None
    try:
        return paper_codes.decode(lines)
    except PartsInvalid as fault:
        raise WrongSecret(f"{path}: {fault}") from None
