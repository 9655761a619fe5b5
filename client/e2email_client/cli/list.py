"""`e2email list`: what is in a mailbox, and which mailboxes there are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, limit_option, show
from e2email_client.console import say

if TYPE_CHECKING:
    from e2email_client.local.cipher import Database


@click.command("list", short_help="List messages or mailboxes.")
@click.argument("mailbox", default="INBOX")
@click.option("--mailboxes", is_flag=True, help="List the mailboxes in place of messages.")
@limit_option(50)
@access_options
@json_option
def command(access: Access, mailbox: str, mailboxes: bool, limit: int, as_json: bool) -> None:
    """List the newest messages of MAILBOX (INBOX).

    A line is: number, `*` unread, protection, `@` attachments, date, sender, subject. Protection is
    `E` encrypted by the sender, `s` sealed, `?` origin unproven, `!` alarm.
    """
    from e2email_client.cli._store import opened

    with opened(access) as (_, cache):
        if mailboxes:
            _show_mailboxes(cache, as_json)
        else:
            _show_messages(cache, mailbox, limit, as_json)


def _show_mailboxes(cache: Database, as_json: bool) -> None:
    from e2email_client.cli._store import require_synced
    from e2email_client.local import browse

    require_synced(cache)
    boxes = [asdict(count) for count in browse.counts(cache)]
    lines = [f"{box['messages']:>7} {box['unseen']:>7}  {clean.line(box['name'])}" for box in boxes]
    show({"mailboxes": boxes}, "\n".join(["  total  unread  mailbox", *lines]), as_json)


def _show_messages(cache: Database, mailbox: str, limit: int, as_json: bool) -> None:
    from e2email_client.cli._rows import show_rows
    from e2email_client.cli._store import find_mailbox
    from e2email_client.local import browse

    box = find_mailbox(cache, mailbox)
    rows = browse.newest(cache, box.id, limit)
    count = next(one for one in browse.counts(cache) if one.name == box.name)
    waiting = count.messages - count.listed
    facts = {"mailbox": box.name, "uidvalidity": box.uidvalidity, "total": count.messages}
    show_rows(rows, facts | {"unlisted": waiting}, as_json)
    if not count.messages:
        say(f"{clean.line(box.name)} is empty.", err=True)
    elif waiting:
        say(f"{waiting} messages are not fetched yet: run e2email sync.", err=True)
