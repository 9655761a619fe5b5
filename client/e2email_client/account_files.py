"""Writing an account down: in a hidden folder that is named at the end.

So a machine has an account whole or not at all.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2email_client import config
from e2email_client.config import Settings
from e2email_client.failure import LocalFault
from e2email_client.files import private_folder, sync_folder, write_private
from e2email_client.keyring_store import KeyringStore
from e2email_client.paths import AccountPaths, Home
from e2email_client.unlock import (
    KEYRING,
    PASSPHRASE,
    ThisDevice,
    Unlocked,
    keyring_slot,
    write_device,
    write_statements,
)
from e2email_crypto.slot import AccountKey
from e2email_crypto.statement import Statement
from e2email_crypto.vault import Vault

_NEW = ".new-"


@dataclass(frozen=True, slots=True)
class Kept:
    """All that a machine keeps of an account. Vault and slot are as the server has them."""

    settings: Settings
    key: AccountKey = field(repr=False)
    vault: bytes = field(repr=False)
    slot: bytes = field(repr=False)
    entries: Sequence[bytes] = field(repr=False)
    device: ThisDevice
    ca: bytes | None = field(repr=False)

    def unlocked(self, home: Home, vault: Vault, last: Statement) -> Unlocked:
        """As every command has it."""
        paths, device = home.account(self.settings.address), self.device
        return Unlocked(self.settings, paths, self.key, vault, last, device.token, device.key)


def establish(home: Home, kept: Kept, keyring: KeyringStore | None) -> None:
    """Write a new account beside its place, then name it. LocalFault; then nothing is left."""
    private_folder(home.accounts)
    with _alone(home.accounts):
        for left in home.accounts.glob(f"{_NEW}*"):  # of a program that was killed
            shutil.rmtree(left, ignore_errors=True)
        folder = home.accounts / f"{_NEW}{secrets.token_hex(8)}"
        private_folder(folder)
        try:
            _write(AccountPaths(folder), kept, keyring)
            _name(folder, home.account(kept.settings.address).folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other program writes a new account there meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _name(folder: Path, final: Path) -> None:
    try:
        folder.rename(final)
        sync_folder(final.parent)
    except OSError as fault:
        raise LocalFault(f"The folder {final} cannot be made: {fault.strerror}.") from fault


def _write(paths: AccountPaths, kept: Kept, keyring: KeyringStore | None) -> None:
    """All files, each whole; the settings last, since their counters speak of the others."""
    if kept.ca is not None:
        write_private(paths.ca, kept.ca)
    write_private(paths.slot(PASSPHRASE), kept.slot)
    if keyring is not None:
        write_private(paths.slot(KEYRING), keyring_slot(kept.key, kept.settings, keyring))
    write_private(paths.vault, kept.vault)
    write_statements(paths, kept.entries)
    write_device(paths, kept.key, kept.device)
    config.save(paths, kept.settings)
