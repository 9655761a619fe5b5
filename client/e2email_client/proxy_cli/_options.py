"""Options that the proxy's commands share, and what they give."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client.console import say
from e2email_client.failure import ClientError
from e2email_client.passphrase import Source
from e2email_client.paths import AccountPaths, Home, find_home

if TYPE_CHECKING:
    from e2email_client.keyring_store import KeyringStore
    from e2email_client.proxy.config import Config
    from e2email_client.unlock import Unlocked

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Which accounts, and where their secrets come from."""

    home: Home
    addresses: Sequence[str]
    source: Source
    keyring_wanted: bool

    def paths(self) -> list[AccountPaths]:
        """Raises NotSetUp."""
        from e2email_client.proxy.unlocking import chosen

        return chosen(self.home, self.addresses)

    def unlock(self) -> list[Unlocked]:
        """Those that can be opened; the others are named on standard error."""
        from e2email_client.proxy.unlocking import unlock_all

        paths = self.paths()
        if self.source.descriptor is not None and len(paths) > 1:
            raise click.UsageError("--passphrase-fd is for one account; name it with --account.")
        return unlock_all(paths, self.source, self._keyring, name_failed)

    def _keyring(self) -> KeyringStore | None:
        from e2email_client.keyring_store import find_keyring

        return find_keyring(self.keyring_wanted)


def name_failed(address: str, fault: ClientError) -> None:
    """The others go on without it."""
    say(f"e2email-proxy: {address} is left out: {fault}", err=True)


_OPTIONS = (
    click.option(
        "--home",
        type=click.Path(file_okay=False),
        help="Folder of all accounts (default: E2EMAIL_HOME, else the system's place for data).",
    ),
    click.option(
        "--account",
        "addresses",
        metavar="ADDRESS",
        multiple=True,
        help="Only this account; repeatable (default: all of this machine).",
    ),
    click.option(
        "--passphrase-fd", type=int, metavar="N", help="Read the passphrase from descriptor N."
    ),
    click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path),
        help="Read it from a file, or from a folder with a file ADDRESS for each account.",
    ),
    click.option("--no-keyring", is_flag=True, help="Leave the system's keyring alone."),
)


def accounts_options(command: Command) -> Command:
    """The command gets `accounts: Accounts`."""

    @functools.wraps(command)
    def wrapper(
        home: str | None,
        addresses: tuple[str, ...],
        passphrase_fd: int | None,
        passphrase_file: Path | None,
        no_keyring: bool,
        **rest: Any,
    ) -> Any:
        if passphrase_fd is not None and passphrase_file is not None:
            raise click.UsageError("Give --passphrase-fd or --passphrase-file, not both.")
        source = Source(passphrase_fd, passphrase_file)
        return command(
            accounts=Accounts(find_home(home), addresses, source, not no_keyring), **rest
        )

    made: Command = wrapper
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


def config_of(home: Home, **changes: Any) -> Config:
    """proxy.toml with what the command line says instead; None: it says nothing. LocalFault."""
    from e2email_client.proxy import config

    found = config.load(home)
    said = {name: value for name, value in changes.items() if value}
    try:
        if "ports" in said:
            said["ports"] = config.ports(said["ports"], found.ports)
        if "bind" in said:
            said["bind"] = config.bind(said["bind"])
        if "names" in said:
            said["names"] = tuple(config.host(one) for one in said["names"])
    except ValueError as fault:
        raise click.UsageError(f"{fault}.") from None
    return replace(found, **said)
