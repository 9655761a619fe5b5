"""`e2email-backup create`: a backup file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client.backup_cli._options import FILE, unlock_afresh
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import Incomplete, Offline

if TYPE_CHECKING:
    from e2email_client.stores import Stores
    from e2email_client.sync import Report
    from e2email_client.unlock import Unlocked


@click.command("create", short_help="Write a backup file.")
@click.argument("file", type=FILE)
@click.option(
    "--mail", "with_mail", is_flag=True, help="With all mail; what is not here is fetched."
)
@click.option("--words-only", is_flag=True, help="The passphrase of today does not open it.")
@click.option("--force", is_flag=True, help="Replace FILE, once the new one is checked.")
@access_options
@json_option
def command(
    access: Access, file: Path, with_mail: bool, words_only: bool, force: bool, as_json: bool
) -> None:
    """Write keys, key history, contacts and settings to FILE, encrypted; asks for the passphrase.

    The file opens with the recovery words, and with today's passphrase. It is read back and checked
    before it gets its name.
    """
    from e2email_client import backups, care
    from e2email_client.backup_cli._records import record
    from e2email_client.backup_mail import MailSource
    from e2email_client.progress import Bars
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    unlocked = unlock_afresh(access)
    now = int(time.time())
    source, late = None, None
    with open_stores(unlocked) as stores, Bars() as bars:
        state = SharedState(unlocked, stores.state)
        if with_mail:
            late = _catch_up(unlocked, stores, bars.report)
            source = MailSource(unlocked, stores.cache, bars.report)
        size = backups.create(
            unlocked, state, file, now, source, words_only=words_only, force=force
        )
    record(unlocked, care.Kind.BACKUP, now)
    answer = {
        "file": str(file),
        "octets": size,
        "mails": source.count if source else None,
        "missing": source.missing if source else None,
    }
    mails = f" with {source.count} mails" if source else ", without mail"
    text = f"{file} is written, read back and checked: {size} octets{mails}."
    show(answer, f"{text}\nTry it once: e2email-backup drill {file}", as_json)
    if source and source.missing:
        raise Incomplete(f"{source.missing} mails are not in it. {source.fault or ''}".rstrip())
    if late:
        raise Incomplete(f"Newer mail may not be in it. {late}")


def _catch_up(unlocked: Unlocked, stores: Stores, report: Report) -> Offline | None:
    """Learn what there is, unless another program does so all the time. What kept us from it."""
    import asyncio

    from e2email_client.fetching import syncing
    from e2email_client.lock import SyncLock
    from e2email_client.sync import Stale

    async def listed() -> None:
        async with syncing(unlocked, stores, report) as sync:
            await sync.everything(bodies=False)

    with SyncLock(unlocked.paths) as lock:
        if lock.take():
            try:
                asyncio.run(listed())
            except Offline as fault:
                return fault
            except Stale:
                raise Incomplete("A mailbox was replaced meanwhile; try again.") from None
    return None
