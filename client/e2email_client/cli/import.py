"""`e2email import`: mail that other programs kept, into the account."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import Incomplete, NotSetUp

if TYPE_CHECKING:
    from e2email_client.importing import Importer, Tally
    from e2email_client.local.entries import State
    from e2email_client.local.journal import Journal
    from e2email_client.mailfiles import Kind
    from e2email_client.stores import Stores
    from e2email_client.unlock import Unlocked


@click.command("import", short_help="Bring mail from files into the account.")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE…", type=click.Path(exists=True, path_type=Path)
)
@click.option("--mailbox", default="INBOX", show_default=True, metavar="NAME", help="Where to.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["mbox", "maildir", "eml"]),
    help="What FILE is; else it is looked at.",
)
@click.option("--again", is_flag=True, help="Also what was imported into this mailbox before.")
@access_options
@json_option
def command(
    access: Access,
    files: tuple[Path, ...],
    mailbox: str,
    kind: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Bring mail into the account: from mbox files, Maildir folders or single messages.

    Each message is encrypted on this machine before it goes up. Without a connection it waits here
    and is sent later. Can be interrupted: the same command goes on where it was, and nothing is
    imported twice.
    """
    from e2email_client.cli._store import find_mailbox, opened_whole
    from e2email_client.device_seal import sealing
    from e2email_client.history import History
    from e2email_client.importing import Importer
    from e2email_client.local.entries import Place, State
    from e2email_client.mailfiles import Kind, kind_of
    from e2email_client.stores import open_journal

    sources = [(one, Kind(kind) if kind else kind_of(one)) for one in files]
    with opened_whole(access) as (unlocked, stores):
        target = find_mailbox(stores.cache, mailbox)
        seal = sealing(unlocked, History(unlocked))
        if seal is None:
            raise NotSetUp("This machine has no key to seal with yet: run e2email setup again.")
        journal = open_journal(unlocked, stores)
        importer = Importer(
            journal,
            Place.of(target),
            seal,
            lambda: _send(unlocked, stores, journal),
            again=again,
        )
        before = _appends(journal, State.REFUSED)
        _run(importer, sources, target.name)
        waiting = len(_appends(journal, State.PENDING))
        rejected = len(_appends(journal, State.REFUSED) - before)
    answer = _answer(target.name, importer.tally, waiting, rejected)
    show(answer, _text(answer), as_json)
    _complain(importer.tally, rejected)


def _appends(journal: Journal, state: State) -> set[int]:
    from e2email_client.local.entries import Kind as Journaled

    return {one.id for one in journal.entries(state) if one.kind is Journaled.APPEND}


def _run(importer: Importer, sources: list[tuple[Path, Kind]], mailbox: str) -> None:
    from e2email_client.mailfiles import messages, size_of
    from e2email_client.progress import Bars
    from e2email_client.sync import Progress

    now, done = int(time.time()), 0
    total = sum(size_of(path, kind) for path, kind in sources)
    with Bars() as bars:
        for path, kind in sources:
            for found in messages(path, kind):
                importer.add(found, now)
                done += found.taken
                bars.report(Progress(mailbox, "import", min(done, total), total))
        importer.flush()


def _send(unlocked: Unlocked, stores: Stores, journal: Journal) -> None:
    """What waits, in whatever order it was promised."""
    import asyncio

    from e2email_client.local.seen import Seen
    from e2email_client.replay import Replay
    from e2email_client.upstream import connect

    async def send() -> None:
        remote, _ = await connect(unlocked)
        try:
            seen = Seen(stores.state)
            lock = unlocked.paths.replay_lock
            await Replay(journal, stores.cache, lock, seen=seen).run(remote)
        finally:
            remote.close()

    asyncio.run(send())


def _answer(mailbox: str, tally: Tally, waiting: int, rejected: int) -> dict[str, Any]:
    return {
        "mailbox": mailbox,
        "imported": tally.imported,
        "known": tally.known,
        "deleted": tally.deleted,
        "refused": tally.refused,
        "rejected": rejected,
        "waiting": waiting,
    }


def _text(answer: dict[str, Any]) -> str:
    lines = [f"{answer['imported']} imported into {clean.line(answer['mailbox'])}."]
    if answer["known"]:
        lines.append(f"{answer['known']} had been imported before (--again takes them again).")
    if answer["deleted"]:
        lines.append(f"{answer['deleted']} are deleted in their file and were left out.")
    if answer["waiting"]:
        lines.append(f"{answer['waiting']} wait on this machine until the server is reached.")
    return "\n".join(lines)


def _complain(tally: Tally, rejected: int) -> None:
    """Incomplete where a message is not in the account and will not be."""
    said = []
    if tally.refused:
        first = clean.line(tally.first_refused)
        said.append(f"{tally.refused} are above the limit of 50 MiB, first {first}.")
    if rejected:
        said.append(f"{rejected} were refused by the server for good: see e2email status.")
    if said:
        raise Incomplete(" ".join(said))
