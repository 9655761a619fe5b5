"""`e2email sync`: fetch and open what the server has."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import Alarm, Incomplete

if TYPE_CHECKING:
    from e2email_client.local.browse import Count
    from e2email_client.stores import Stores
    from e2email_client.sync import Progress
    from e2email_client.unlock import Unlocked

BEHIND = (
    "The account's keys were changed on another machine, and mail that needs the new ones is not"
    " opened here yet: run e2email account refresh."
)
GONE = (
    "older messages take a key that this account does not have any more; should it turn up:"
    " e2email key import FILE --for-reading."
)
BUSY = "Another program, such as e2email-proxy, is syncing this account; this is what is here."


@click.command("sync", short_help="Fetch new mail.")
@click.option("--no-bodies", is_flag=True, help="Fetch lists and headers, not the messages.")
@access_options
@json_option
def command(access: Access, no_bodies: bool, as_json: bool) -> None:
    """Fetch what is new on the server, open it, and keep it encrypted on this machine.

    Can be interrupted at any time: what was fetched is kept, and the next sync goes on from there.
    """
    import asyncio

    from e2email_client.cli._store import opened_whole
    from e2email_client.local import browse, notices
    from e2email_client.local.mails import State
    from e2email_client.lock import SyncLock

    with opened_whole(access) as (unlocked, stores), SyncLock(unlocked.paths) as lock:
        began, new = time.monotonic(), dict[str, int]()
        mine = lock.take()
        if mine:
            asyncio.run(_sync(unlocked, stores, not no_bodies, new))
        counts = browse.counts(stores.cache)
        seconds = time.monotonic() - began
        answer = _answer(unlocked.settings.address, counts, new, seconds, mine)
        answer["keys_behind"], alarm = _check_history(unlocked, stores, ask=mine)
        alarm = (_share_state(unlocked, stores) if mine else None) or alarm
        answer["notices"] = len(notices.pending(stores.state))
        answer["reminder"] = _reminder(unlocked, stores)
        wanted = State.READY if no_bodies else State.OPENED
        missing, answer["keys_gone"] = browse.failed(stores.cache, wanted)
    show(answer, _text(answer), as_json)
    if alarm:
        raise alarm
    if mine and missing:
        raise Incomplete(f"{missing} messages could not be opened this time; sync again.")


async def _sync(unlocked: Unlocked, stores: Stores, bodies: bool, new: dict[str, int]) -> None:
    from e2email_client.fetching import syncing
    from e2email_client.progress import Bars
    from e2email_client.sync import Stale

    with Bars() as bars:

        def report(at: Progress) -> None:
            if at.step == "list":
                new[at.mailbox] = at.done
            bars.report(at)

        try:
            async with syncing(unlocked, stores, report) as sync:
                await sync.everything(bodies=bodies)
        except Stale:
            raise Incomplete("A mailbox was replaced meanwhile; sync again.") from None


def _check_history(unlocked: Unlocked, stores: Stores, *, ask: bool) -> tuple[bool, Alarm | None]:
    """Whether this machine lacks keys that mail is sealed to; and what is wrong, where the server
    has another past than was seen.

    That it withholds its history proves nothing, and mail was fetched all the same.
    """
    from e2email_client.failure import BadServer, Offline, Refused
    from e2email_client.history import History
    from e2email_client.local import notices

    history = History(unlocked, partial(notices.history, stores.state))
    try:
        if ask:
            with suppress(Offline, Refused, BadServer):
                history.refresh()
    except Alarm as alarm:
        return history.behind, alarm
    return history.behind, None


def _share_state(unlocked: Unlocked, stores: Stores) -> Alarm | None:
    """What is wrong with the state at the server; that it does not take ours can wait.

    What contacts on the same server changed goes with it.
    """
    from e2email_client import contact_refresh
    from e2email_client.api import AccountApi
    from e2email_client.failure import BadServer, Offline, Refused
    from e2email_client.shared_state import SharedState

    with suppress(Offline, Refused, BadServer):
        contact_refresh.refresh_all(unlocked, stores)
    try:
        with suppress(Offline, Refused, BadServer):
            SharedState(unlocked, stores.state).sync(AccountApi(unlocked.server), unlocked.login)
    except Alarm as alarm:
        return alarm
    return None


def _reminder(unlocked: Unlocked, stores: Stores) -> str | None:
    """What keeps the account from being lost and is due, once a day."""
    from e2email_client import care
    from e2email_client.shared_state import SharedState

    state, now = SharedState(unlocked, stores.state), int(time.time())
    due = care.once_a_day(state, care.due(state, unlocked.vault, now), now)
    return due.line if due else None


def _answer(
    account: str, counts: list[Count], new: dict[str, int], seconds: float, synced: bool
) -> dict[str, Any]:
    boxes = [asdict(count) | {"new": new.get(count.name, 0)} for count in counts]
    figures = ("messages", "new", "unseen", "listed", "opened", "unreadable", "alarms")
    return {
        "account": account,
        "synced": synced,
        "seconds": round(seconds, 3),
        **{figure: sum(box[figure] for box in boxes) for figure in figures},
        "mailboxes": boxes,
    }


def _text(answer: dict[str, Any]) -> str:
    lines = [] if answer["synced"] else [BUSY]
    lines += [mailbox_line(box) for box in answer["mailboxes"]]
    if answer["unreadable"]:
        lines.append(f"{answer['unreadable']} can never be opened; e2email list marks them.")
    if others := answer["alarms"] - answer["unreadable"]:
        lines.append(f"ALARM: {others} messages; e2email list marks them, e2email show says why.")
    if answer["keys_behind"]:
        lines.append(BEHIND)
    if answer["keys_gone"]:
        lines.append(f"{answer['keys_gone']} {GONE}")
    if answer["notices"]:
        lines.append(f"NOTICE: {answer['notices']}; e2email status shows what.")
    if answer["reminder"]:
        lines.append(f"REMINDER: {answer['reminder']}")
    return "\n".join(lines)


def mailbox_line(box: dict[str, Any]) -> str:
    line = f"{clean.line(box['name'], 40):<24} {box['messages']:>6} messages"
    said = [f"{box[name]} {name}" for name in ("new", "unseen", "unreadable") if box.get(name)]
    return line + (f" ({', '.join(said)})" if said else "")
