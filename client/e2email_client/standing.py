"""How an account stands on this machine: what is here, what waits, what has to be known.

Only looks; the one thing it asks the server is whether it lets this device in.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from e2email_client.failure import ClientError
from e2email_client.history import is_behind
from e2email_client.local import browse, notices
from e2email_client.local.bound import FREE
from e2email_client.local.browse import Count
from e2email_client.local.carried import Carried, Elsewhere
from e2email_client.local.entries import State
from e2email_client.local.notices import Notice
from e2email_client.local.seen import Seen
from e2email_client.lock import SyncLock
from e2email_client.stores import Stores, open_journal, open_room
from e2email_client.unlock import Unlocked
from e2email_client.upstream import connect


@dataclass(frozen=True, slots=True)
class Disk:
    """Octets."""

    cache: int  # what of cache.db holds something
    bound: int
    files: int  # all files of the account
    free: int
    low: bool  # nothing is fetched in the background


@dataclass(frozen=True, slots=True)
class Standing:
    mailboxes: list[Count]
    synced: int | None  # Unix seconds; None: never
    syncing: str | None  # the program that holds the lock; None: nobody
    waiting: int  # changes that the server does not have yet
    refused: list[str]  # others that never came there, and why
    notices: list[Notice]
    elsewhere: list[Elsewhere]  # mail that something else than this machine moved or copied
    kept: int  # mails that are only here, until notices are acknowledged
    disk: Disk
    keys_behind: bool  # mail is sealed to keys that this machine does not have


def look(unlocked: Unlocked, stores: Stores) -> Standing:
    journal = open_journal(unlocked, stores)
    synced = stores.state.read("SELECT time FROM synced")
    kept = stores.cache.read(
        "SELECT count(*) FROM mail WHERE NOT EXISTS"
        " (SELECT 1 FROM message WHERE message.mail_id = mail.id)"
    )
    keeps = Seen(stores.state).keeps()  # else it is mail that was removed, and not swept yet
    return Standing(
        mailboxes=browse.counts(stores.cache),
        synced=synced[0][0] if synced else None,
        syncing=syncing(unlocked),
        waiting=len(journal.pending()),
        refused=[one.said for one in journal.entries(State.REFUSED)],
        notices=notices.pending(stores.state),
        elsewhere=Carried(stores.state).elsewhere(),
        kept=kept[0][0] if keeps else 0,
        disk=_disk(unlocked, stores),
        keys_behind=is_behind(unlocked.statement, unlocked.vault),
    )


def _disk(unlocked: Unlocked, stores: Stores) -> Disk:
    room = open_room(unlocked, stores)
    whole = shutil.disk_usage(unlocked.paths.folder)
    return Disk(
        cache=room.used(),
        bound=room.most,
        files=sum(one.stat().st_size for one in unlocked.paths.folder.rglob("*") if one.is_file()),
        free=whole.free,
        low=whole.free < whole.total * FREE,
    )


def syncing(unlocked: Unlocked) -> str | None:
    """Which program holds the account's lock."""
    with SyncLock(unlocked.paths) as lock:
        if lock.take():
            return None
    return _holder(unlocked.paths.lock)


def _holder(path: Path) -> str:
    """From /proc/locks (proc(5)): `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> ...`."""
    inode = path.stat().st_ino
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            columns = line.split()
            if columns[1] == "FLOCK" and columns[5].rpartition(":")[2] == str(inode):
                process = columns[4]
                name = (Path("/proc") / process / "comm").read_text().strip()
                return f"{name} (process {process})"
    except (OSError, IndexError):
        pass  # not Linux, or ended meanwhile
    return "another program"


async def reachable(unlocked: Unlocked) -> str | None:
    """Why the server is not to be had; None: it lets this device in."""
    try:
        remote, _ = await connect(unlocked)
    except ClientError as fault:
        return str(fault)
    remote.close()
    return None
