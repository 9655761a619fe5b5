"""`e2email-backup restore`, called in this process, and the backups that it restores."""

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result

from e2email_client import backups, custody
from e2email_client.backup_main import e2email_backup
from e2email_client.changing import Change
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_crypto import kdf, recovery
from e2email_crypto.vault import Custody
from support.account_server import PASSPHRASE
from support.owner import NOW, Machine

NEW = "seven umbrellas on a Thursday"


def paranoid(change: Change) -> None:
    custody.move(change, Custody.PARANOID, PASSPHRASE, kdf.Params.generate())


def back_up(machine: Machine, path: Path) -> bytes:
    """A backup file, and the recovery secret that opens it."""
    here = machine.unlocked
    with open_stores(here) as stores:
        state = SharedState(here, stores.state)
        state.put("settings", "backup_days", 7, NOW)
        backups.create(here, state, path, NOW)
    assert here.vault.recovery is not None
    return here.vault.recovery


def written(folder: Path, secret: bytes) -> list[object]:
    (folder / "words").write_text(" ".join(recovery.to_words(secret)))
    (folder / "new").write_text(NEW)
    return ["--words-file", folder / "words", "--passphrase-file", folder / "new", "--no-keyring"]


async def restore(machine: Machine, secret: bytes, *arguments: object) -> Result:
    """As the command does it; its error, if any, is raised."""
    home = machine.home.parent
    given = [*arguments, "--home", machine.home, *written(home, secret), "--json"]
    made = await asyncio.to_thread(
        CliRunner().invoke, e2email_backup, ["restore", *(str(one) for one in given)]
    )
    if made.exception:
        raise made.exception
    return made
