"""`e2email status`: how the account stands on this machine."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.cli.sync import BEHIND

if TYPE_CHECKING:
    from e2email_client.care import Reminder
    from e2email_client.standing import Standing
    from e2email_client.stores import Stores
    from e2email_client.unlock import Unlocked

REVOKED = (
    "Your key is revoked, and mail to you is refused (550) until there is another: e2email key new"
)


@click.command("status", short_help="How the account stands.")
@click.option("--offline", is_flag=True, help="Do not ask whether the server is reachable.")
@click.option("--acknowledge", is_flag=True, help="Show the notices for the last time.")
@access_options
@json_option
def command(access: Access, offline: bool, acknowledge: bool, as_json: bool) -> None:
    """Show what is on this machine, what waits for the server, and what you have to know.

    Notices are shown until they are acknowledged. Mail that a server lost is kept here as long.
    """
    import asyncio

    from e2email_client.cli._store import opened_whole
    from e2email_client.local import notices
    from e2email_client.local.carried import Carried
    from e2email_client.standing import look, reachable
    from e2email_client.stores import open_journal

    with opened_whole(access) as (unlocked, stores):
        why = None if offline else asyncio.run(reachable(unlocked))
        found = look(unlocked, stores)
        answer = {
            "account": unlocked.settings.address,
            "server": unlocked.server.name,
            "reachable": None if offline else why is None,
            "unreachable": why,
            **asdict(found),
            "key_revoked": _is_revoked(unlocked),
            "reminders": [asdict(one) for one in _reminders(unlocked, stores)],
        }
        show(answer, _text(answer, found), as_json)
        if acknowledge:
            notices.acknowledge(stores.state, [one.id for one in found.notices])
            Carried(stores.state).acknowledge(found.elsewhere)
            open_journal(unlocked, stores).acknowledge()


def _is_revoked(unlocked: Unlocked) -> bool:
    from e2email_client.own_identity import is_revoked

    identities = unlocked.vault.identities
    return bool(identities) and is_revoked(identities[0])


def _reminders(unlocked: Unlocked, stores: Stores) -> list[Reminder]:
    from e2email_client import care
    from e2email_client.shared_state import SharedState

    return care.due(SharedState(unlocked, stores.state), unlocked.vault, int(time.time()))


def _text(answer: dict[str, Any], found: Standing) -> str:
    lines = [f"{answer['account']} at {answer['server']}"]
    if answer["reachable"] is not None:
        lines.append(
            "The server lets this device in." if answer["reachable"] else answer["unreachable"]
        )
    lines.append(f"Last synced: {_when(found.synced)}.")
    if found.syncing:
        lines.append(f"Syncing now: {clean.line(found.syncing)}.")
    lines += [_mailbox(one) for one in answer["mailboxes"]]
    disk = found.disk
    lines.append(
        f"Mail on this machine: {_mib(disk.cache)} of at most {_mib(disk.bound)} MiB;"
        f" {_mib(disk.free)} MiB of the disk are free."
    )
    if disk.low:
        lines.append("The disk is nearly full: messages are fetched only when asked for.")
    if answer["key_revoked"]:
        lines.append(REVOKED)
    if found.keys_behind:
        lines.append(BEHIND)
    if found.waiting:
        lines.append(f"Changes that wait for the server: {found.waiting}.")
    if found.kept:
        lines.append(
            f"Mails that only this machine has: {found.kept};"
            " e2email repair --save FOLDER writes them to files."
        )
    for one in found.notices:
        where = f" in {clean.line(one.mailbox)}" if one.mailbox else ""
        lines.append(f"NOTICE of {_when(one.time)}{where}: {clean.line(one.text, len(one.text))}")
    for two in found.elsewhere:
        lines.append(
            f"Since {_when(two.since)} {two.count} known messages appeared in"
            f" {clean.line(two.mailbox)} again: copied or moved by another of your devices or"
            " programs, or else by the server."
        )
    lines += [f"REMINDER: {one['text']} {one['command']}" for one in answer["reminders"]]
    return "\n".join(lines)


def _mailbox(box: dict[str, Any]) -> str:
    line = f"  {clean.line(box['name'], 40):<24} {box['messages']:>6} messages"
    missing = box["messages"] - box["opened"]
    unlisted = box["messages"] - box["listed"]
    said = [
        f"{count} {what}"
        for count, what in ((unlisted, "not listed yet"), (missing, "not here"))
        if count
    ]
    return line + (f" ({', '.join(said)})" if said else "")


def _when(seconds: int | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "never"


def _mib(octets: int) -> int:
    return octets // (1024 * 1024)
