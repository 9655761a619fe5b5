"""`e2email repair`: check what is on this machine, and fetch again what differs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import Alarm, Incomplete, LocalFault

if TYPE_CHECKING:
    from e2email_client.repairing import Checked
    from e2email_client.stores import Stores
    from e2email_client.unlock import Unlocked


@click.command("repair", short_help="Check the local mail, and mend it.")
@click.option("--rebuild", is_flag=True, help="Throw the local mail away and fetch all of it anew.")
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="First write the mails that only this machine has to files.",
)
@click.option("--no-bodies", is_flag=True, help="Fetch lists and headers, not the messages.")
@access_options
@json_option
def command(
    access: Access, rebuild: bool, save: Path | None, no_bodies: bool, as_json: bool
) -> None:
    """Check the local mail against itself and against the server, and fetch what differs.

    What waits for the server (the journal) and keys are looked at and never changed; with --save,
    messages that the server never took are written to files, too, and leave the journal. No other
    program may be syncing the account meanwhile.
    """
    from e2email_client.lock import SyncLock
    from e2email_client.standing import syncing

    unlocked = access.unlock()
    with SyncLock(unlocked.paths) as lock:
        if not lock.take():
            raise LocalFault(f"{syncing(unlocked)} is syncing this account: stop it first.")
        answer = _mend(unlocked, rebuild, save, not no_bodies)
    show(answer, _text(answer), as_json)
    if answer["missing"]:
        raise Incomplete(f"{answer['missing']} messages are not here yet; sync again.")


def _mend(unlocked: Unlocked, rebuild: bool, save: Path | None, bodies: bool) -> dict[str, Any]:
    import asyncio

    from e2email_client import repairing
    from e2email_client.local import browse
    from e2email_client.local.mails import State
    from e2email_client.local.seen import Seen
    from e2email_client.standing import look
    from e2email_client.stores import open_journal, open_stores

    with open_stores(unlocked) as stores:
        if faults := repairing.faults(stores.state):
            raise Alarm(
                f"state.db is damaged ({clean.line(faults[0])}). It holds what is nowhere else, so"
                " nothing was changed: copy it away before you go on."
            )
        found = repairing.faults(stores.cache)
        if rebuild and not found and save is None and Seen(stores.state).keeps():
            _keep(len(repairing.only_here(stores.cache)))
        saved = repairing.save(stores.cache, save) if save and not found else 0
        if save:
            saved += repairing.save_refused(open_journal(unlocked, stores), save)
    if found or rebuild:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{unlocked.paths.cache_db}{suffix}").unlink(missing_ok=True)
    with open_stores(unlocked) as stores:
        loosened = repairing.loosen(stores.cache)
        checked = asyncio.run(_compare(unlocked, stores, bodies))
        return {
            "account": unlocked.settings.address,
            "cache_faults": found,
            "rebuilt": bool(found or rebuild),
            "saved": saved,
            "fetched_again": loosened,
            "waiting": look(unlocked, stores).waiting,
            "missing": browse.failed(stores.cache, State.OPENED if bodies else State.READY)[0],
            "mailboxes": [asdict(one) for one in checked],
        }


def _keep(mails: int) -> None:
    """Incomplete where mail would be thrown away that the user was told is kept."""
    if mails:
        raise Incomplete(
            f"{mails} messages are on this machine only, and nothing was changed:"
            " add --save FOLDER, or acknowledge the notice (e2email status --acknowledge)."
        )


async def _compare(unlocked: Unlocked, stores: Stores, bodies: bool) -> list[Checked]:
    from e2email_client import repairing
    from e2email_client.fetching import syncing
    from e2email_client.progress import Bars

    with Bars() as bars:
        async with syncing(unlocked, stores, bars.report) as sync:
            checked = await repairing.compare(sync, stores.cache)
            await sync.everything(bodies=bodies)
    return checked


def _text(answer: dict[str, Any]) -> str:
    lines = []
    if answer["cache_faults"]:
        lines.append("The local mail was damaged.")
    if answer["rebuilt"]:
        lines.append("The local mail was thrown away and fetched anew.")
    if answer["saved"]:
        lines.append(f"Written to files, as only this machine had them: {answer['saved']}.")
    if answer["fetched_again"]:
        lines.append(f"Not whole, and fetched again: {answer['fetched_again']}.")
    for box in answer["mailboxes"]:
        said = [f"{box[what]} {what}" for what in ("added", "removed") if box[what]]
        said += [f"{box['flags']} with other flags"] if box["flags"] else []
        said += ["read anew"] if box["renewed"] else []
        line = ", ".join(said) or "as on the server"
        lines.append(f"{clean.line(box['mailbox'], 40):<24} {box['messages']:>6} messages: {line}")
    if answer["waiting"]:
        lines.append(f"Changes that wait for the server: {answer['waiting']}.")
    return "\n".join(lines)
