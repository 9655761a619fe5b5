"""Options that commands share, and what they give: an account, open or not yet."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client.console import say
from e2email_client.passphrase import Source
from e2email_client.paths import AccountPaths, Home, find_home

if TYPE_CHECKING:
    from e2email_client.keyring_store import KeyringStore
    from e2email_client.unlock import Unlocked

Command = Callable[..., Any]
# Rows that are held at once: some 4 KB each.
MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Access:
    """Where the files are and where the secret comes from."""

    home: Home
    source: Source
    keyring_wanted: bool
    address: str | None = None

    def keyring(self) -> "KeyringStore | None":
        from e2email_client.keyring_store import find_keyring

        return find_keyring(self.keyring_wanted)

    def paths(self) -> AccountPaths:
        """The files of the account that is meant. Raises NotSetUp."""
        from e2email_client.config import choose

        return choose(self.home, self.address)

    def unlock(self) -> "Unlocked":
        """The open account. Raises NotSetUp, WrongSecret, Alarm, LocalFault."""
        from e2email_client.unlock import unlock

        # a passphrase that was named is used: then the keyring need not be woken
        keyring = None if self.source.given else self.keyring()
        return unlock(self.paths(), self.source, keyring)


_HOME = click.option(
    "--home",
    type=click.Path(file_okay=False),
    help="Folder of all accounts (default: E2EMAIL_HOME, else the system's place for data).",
)
_SECRETS = (
    click.option(
        "--passphrase-fd", type=int, metavar="N", help="Read the passphrase from descriptor N."
    ),
    click.option(
        "--passphrase-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Read the passphrase from a file.",
    ),
    click.option("--no-keyring", is_flag=True, help="Leave the system's keyring alone."),
)
_ACCOUNT = click.option(
    "--account", metavar="ADDRESS", help="Which account, where there are several."
)


def _apply(options: tuple[Any, ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _with_access(command: Command) -> Command:
    @functools.wraps(command)
    def wrapper(
        home: str | None,
        passphrase_fd: int | None,
        passphrase_file: Path | None,
        no_keyring: bool,
        account: str | None = None,
        **rest: Any,
    ) -> Any:
        if passphrase_fd is not None and passphrase_file is not None:
            raise click.UsageError("Give --passphrase-fd or --passphrase-file, not both.")
        source = Source(passphrase_fd, passphrase_file)
        return command(access=Access(find_home(home), source, not no_keyring, account), **rest)

    return wrapper


def place_options(command: Command) -> Command:
    """--home and where the secret comes from; the command gets `access: Access`."""
    return _apply((_HOME, *_SECRETS), _with_access(command))


def access_options(command: Command) -> Command:
    """As place_options, with --account: for every command about an account that is set up."""
    return _apply((_HOME, _ACCOUNT, *_SECRETS), _with_access(command))


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (docs/specs/cli.md) in place of text."
)


def limit_option(most: int) -> Callable[[Command], Command]:
    """--limit, `most` messages unless told."""
    return click.option(
        "--limit",
        type=click.IntRange(1, MOST_ROWS),
        metavar="N",
        default=most,
        show_default=True,
        help="At most so many messages.",
    )


def show(answer: dict[str, Any], text: str, as_json: bool) -> None:
    """One answer: JSON on one line, or text for people."""
    if as_json:
        click.echo(json.dumps(answer))
    else:
        say(text)
