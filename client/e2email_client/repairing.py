"""Check what is on this machine against itself and against the server; fetch what differs.

The journal and keys are looked at and never changed: what they hold is nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlcipher3 import dbapi2

from e2email_client import files
from e2email_client.failure import Refused
from e2email_client.files import write_private
from e2email_client.local import contents, mailboxes, mails
from e2email_client.local.cipher import Database
from e2email_client.local.entries import Kind
from e2email_client.local.entries import State as Waits
from e2email_client.local.journal import Journal
from e2email_client.local.mails import State
from e2email_client.sync import Stale, Sync


@dataclass(frozen=True, slots=True)
class Checked:
    """One mailbox compared with the server's, in messages."""

    mailbox: str
    messages: int
    added: int  # the server has them, and they were not here
    removed: int  # they were here, and the server does not have them
    flags: int  # had other flags
    renewed: bool  # a UID named another mail: read anew


def faults(database: Database) -> list[str]:
    """What SQLCipher and SQLite find wrong with a file: nothing of its content."""
    try:
        found = database.read("PRAGMA cipher_integrity_check(10)")
        found += [row for row in database.read("PRAGMA integrity_check(10)") if row != ("ok",)]
    except dbapi2.DatabaseError as fault:
        return [str(fault)]
    return [str(row[0]) for row in found]


def loosen(cache: Database) -> int:
    """Mails whose parts are not all here are fetched again; how many."""
    with cache.write() as writer:
        lost = writer.execute(
            "UPDATE mail SET state = ?, tries = 0 WHERE state >= ? AND NOT EXISTS"
            " (SELECT 1 FROM summary WHERE summary.mail_id = mail.id)",
            (int(State.UNKNOWN), int(State.CLOSED)),
        ).rowcount
        lost += writer.execute(
            "UPDATE mail SET state = ?, tries = 0 WHERE state >= ? AND NOT (EXISTS"
            " (SELECT 1 FROM body WHERE body.mail_id = mail.id) AND EXISTS"
            " (SELECT 1 FROM header WHERE header.mail_id = mail.id))",
            (int(State.UNKNOWN), int(State.OPENED)),
        ).rowcount
        # what failed too often gets another chance
        writer.execute("UPDATE mail SET tries = 0 WHERE state < ?", (int(State.OPENED),))
    return int(lost)


async def compare(sync: Sync, cache: Database) -> list[Checked]:
    """Every mailbox, message by message. What is new by now counts as added, too."""
    found = await sync.list_mailboxes()
    checked = []
    for one in found.there:
        before = await asyncio.to_thread(_known, cache, one.name)
        with suppress(Refused, Stale):  # deleted, or replaced, just now
            await sync.skeleton(one, whole=True)
            after = await asyncio.to_thread(_known, cache, one.name)
            checked.append(_checked(one.name, before, after))
    await sync.forget(found.gone)
    return checked


_Known = Mapping[int, tuple[str, frozenset[str]]]


def _known(cache: Database, name: str) -> _Known:
    """uid → (email id, flags)"""
    local = mailboxes.named(cache, name)
    if local is None:
        return {}
    flags = contents.server_flags(cache, local.id)
    known = contents.known_from(cache, local.id, 1)
    return {uid: (email_id, flags.get(uid, frozenset())) for uid, email_id in known.items()}


def _checked(name: str, before: _Known, after: _Known) -> Checked:
    both = before.keys() & after.keys()
    return Checked(
        mailbox=name,
        messages=len(after),
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        flags=sum(before[uid][1] != after[uid][1] for uid in both),
        renewed=any(before[uid][0] != after[uid][0] for uid in both),
    )


def save_refused(journal: Journal, folder: Path) -> int:
    """Write the messages that the server never took to files, sealed as they are, and forget them;
    how many. `e2email import` takes such a file as it is. LocalFault."""
    entries = [one for one in journal.entries(Waits.REFUSED) if one.kind is Kind.APPEND]
    if entries:
        files.folder(folder)
    saved = 0
    for one in entries:
        octets = journal.octets(one.id)
        if octets is not None:  # else another program was faster
            write_private(_free(folder, f"refused-{one.id}"), octets)
            journal.done([one.id])
            saved += 1
    return saved


def _free(folder: Path, stem: str) -> Path:
    """Another account's file may have the name."""
    names = (f"{stem}.eml", *(f"{stem}-{number}.eml" for number in range(2, 1_000_000)))
    return next(folder / name for name in names if not (folder / name).exists())


def only_here(cache: Database) -> list[str]:
    """Email ids of opened mails that lie in no mailbox any more."""
    rows = cache.read(
        "SELECT email_id FROM mail WHERE state >= ? AND NOT EXISTS"
        " (SELECT 1 FROM message WHERE message.mail_id = mail.id)",
        (int(State.OPENED),),
    )
    return [email_id for (email_id,) in rows]


def save(cache: Database, folder: Path) -> int:
    """Write the mails that are only here to files `EMAILID.eml`; how many. LocalFault."""
    lost = only_here(cache)
    files.folder(folder)
    for email_id in lost:
        body = mails.body(cache, email_id)
        if body is not None:
            name = "".join(one if one.isalnum() else "_" for one in email_id)
            write_private(folder / f"{name}.eml", body.delivered)
    return len(lost)
