"""Several accounts opened one after the other, each by its own secret.

In order: what the command line named (a file for all of them, or a folder with one for each), what
the service manager handed over (systemd's LoadCredential), the keyring, the person at the terminal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from e2email_client import config
from e2email_client.failure import ClientError, NotSetUp
from e2email_client.keyring_store import KeyringStore
from e2email_client.passphrase import Source
from e2email_client.paths import AccountPaths, Home
from e2email_client.unlock import Unlocked, unlock

# systemd.exec(5), "CREDENTIALS": a folder that only the service reads.
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
# A credential for all accounts; one for a single account is named by its address.
CREDENTIAL = "passphrase"

Failed = Callable[[str, ClientError], None]


def chosen(home: Home, addresses: Sequence[str]) -> list[AccountPaths]:
    """The accounts that are meant: the named ones, or all of this machine. NotSetUp."""
    if addresses:
        return [config.choose(home, one) for one in dict.fromkeys(map(str.lower, addresses))]
    # not by what the files say: one that is damaged is named later, and the others are opened
    files = sorted(home.accounts.glob("*/account.toml"))
    known = [AccountPaths(one.parent) for one in files if not one.parent.name.startswith(".")]
    if not known:
        raise NotSetUp("No account is set up on this machine; run e2email setup.")
    return known


def unlock_all(
    accounts: Sequence[AccountPaths],
    given: Source,
    keyring: Callable[[], KeyringStore | None],
    failed: Failed,
) -> list[Unlocked]:
    """Those that can be opened. The others are named to `failed`; the only one's error is raised.

    `keyring` is asked for only where it is needed.
    """
    opened: list[Unlocked] = []
    for left, paths in zip(reversed(range(len(accounts))), accounts, strict=True):
        address = unquote(paths.folder.name)
        try:
            address = config.load(paths).address
            source = source_of(address, given, os.environ)
            opened.append(unlock(paths, source, None if source.given else keyring()))
        except ClientError as fault:
            if not left and not opened:
                raise
            failed(address, fault)
    return opened


def source_of(address: str, given: Source, environment: Mapping[str, str]) -> Source:
    """Where the passphrase of this account comes from."""
    if given.file is not None and given.file.is_dir():
        return Source(file=given.file / address)
    if given.given:
        return given
    found = next((one for one in _credentials(address, environment) if one.exists()), None)
    return Source(file=found)


def _credentials(address: str, environment: Mapping[str, str]) -> Iterator[Path]:
    folder = environment.get(CREDENTIALS_VARIABLE)
    if folder and "/" not in address:
        yield Path(folder) / address
        yield Path(folder) / CREDENTIAL
