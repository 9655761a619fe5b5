"""`e2email export`: mail as files that any program reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import ClientError, Incomplete

if TYPE_CHECKING:
    from e2email_client.export import Tally, Target
    from e2email_client.local.cipher import Database
    from e2email_client.local.mailboxes import Mailbox
    from e2email_client.unlock import Unlocked

# Messages that are fetched before they are written: a program that is stopped has lost no more.
AT_ONCE = 200


@click.command("export", short_help="Write mail as .eml files.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--mailbox", "names", multiple=True, metavar="NAME", help="Only this; repeatable.")
@click.option(
    "--uid",
    "uids",
    multiple=True,
    type=click.IntRange(1, 2**32 - 1),
    metavar="UID",
    help="Only this message of the one --mailbox (INBOX); repeatable.",
)
@click.option("--received", is_flag=True, help="Without the two fields the server put in front.")
@access_options
@json_option
def command(
    access: Access,
    folder: Path,
    names: tuple[str, ...],
    uids: tuple[int, ...],
    received: bool,
    as_json: bool,
) -> None:
    """Write every message to FOLDER/MAILBOX/UID.eml, exactly as it was delivered.

    Mail that is not on this machine is fetched first. A file that is there with the same octets is
    left alone, and so is one with other octets, which is an error. A message that can never be
    opened is written as the server holds it, as UID.sealed.eml.
    """
    if uids and len(names) > 1:
        raise click.UsageError("--uid goes with one --mailbox.")
    import asyncio

    from e2email_client.cli._store import find_mailbox, opened, require_synced
    from e2email_client.local import contents, mailboxes

    with opened(access) as (unlocked, cache):
        require_synced(cache)
        wanted = names or (("INBOX",) if uids else ())
        boxes = [find_mailbox(cache, name) for name in dict.fromkeys(wanted)]
        plan = [
            (box, sorted(set(uids) or contents.server_flags(cache, box.id)))
            for box in boxes or mailboxes.every(cache)
        ]
        tally, fault = asyncio.run(_export(unlocked, cache, plan, folder, received))
    answer = _answer(folder, tally)
    show(answer, _text(answer), as_json)
    _complain(tally, fault)


async def _export(
    unlocked: Unlocked,
    cache: Database,
    plan: Sequence[tuple[Mailbox, list[int]]],
    folder: Path,
    received: bool,
) -> tuple[Tally, ClientError | None]:
    """What became of the messages, and what kept some of them from being fetched."""
    from e2email_client.export import Tally, Target
    from e2email_client.fetching import Fetcher
    from e2email_client.progress import Bars
    from e2email_client.sync import Progress

    tally = Tally()
    with Bars() as bars:
        async with Fetcher(unlocked, cache) as fetcher:
            for box, uids in plan:
                target, done = Target(folder, box.name), 0
                for part in _parts(uids):
                    await fetcher.ensure(box, part)
                    for uid in part:
                        _put(cache, box, uid, target, tally, received)
                    done += len(part)
                    bars.report(Progress(box.name, "export", done, len(uids)))
                target.finish()
    return tally, fetcher.fault


def _parts(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (uids[at : at + AT_ONCE] for at in range(0, len(uids), AT_ONCE))


def _put(
    cache: Database, box: Mailbox, uid: int, target: Target, tally: Tally, received: bool
) -> None:
    from e2email_client.export import Outcome, export
    from e2email_client.local import browse, mails

    row = browse.one(cache, box.id, uid)
    if row is None:
        tally.add(Outcome.MISSING, f"message {uid} of {box.name}")
    else:
        export(target, tally, row, mails.body(cache, row.email_id), received)


def _answer(folder: Path, tally: Tally) -> dict[str, Any]:
    from e2email_client.export import Outcome

    return {
        "folder": str(folder),
        "written": tally[Outcome.WRITTEN],
        "same": tally[Outcome.SAME],
        "conflicts": tally[Outcome.CONFLICT],
        "missing": tally[Outcome.MISSING],
        "unreadable": tally.unreadable,
    }


def _text(answer: dict[str, Any]) -> str:
    lines = [f"{answer['written']} written, {answer['same']} there already."]
    if answer["unreadable"]:
        lines.append(f"{answer['unreadable']} can never be opened: written as .sealed.eml.")
    return "\n".join(lines)


def _complain(tally: Tally, fault: ClientError | None) -> None:
    """Incomplete where a message is not in the folder as it should be."""
    from e2email_client.export import Outcome

    said = []
    if conflicts := tally[Outcome.CONFLICT]:
        first = clean.line(tally.first(Outcome.CONFLICT))
        said.append(f"{conflicts} files hold something else and were left alone, first {first}.")
    if missing := tally[Outcome.MISSING]:
        first = clean.line(tally.first(Outcome.MISSING))
        why = str(fault) if fault else "Gone meanwhile, perhaps: run e2email sync."
        said.append(f"{missing} are missing, first {first}. {why}")
    if said:
        raise Incomplete(" ".join(said))
