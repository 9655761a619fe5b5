"""`e2email show`: one message, as text, as its header, as JSON, or as the octets that arrived."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option
from e2email_client.failure import Incomplete, NotThere

if TYPE_CHECKING:
    from e2email_client.local.browse import Row
    from e2email_client.local.cipher import Database
    from e2email_client.local.mailboxes import Mailbox
    from e2email_client.local.mails import Body, Summary
    from e2email_client.unlock import Unlocked


@click.command("show", short_help="Show one message.")
@click.argument("uid", type=click.IntRange(1, 2**32 - 1))
@click.option("--mailbox", default="INBOX", show_default=True, metavar="NAME")
@click.option("--raw", is_flag=True, help="Write the octets that were delivered, unchanged.")
@click.option("--received", is_flag=True, help="With --raw: without the server's own two fields.")
@click.option("--sealed", is_flag=True, help="Write what the server holds of it, unopened.")
@click.option("--headers", is_flag=True, help="Show the header as it stands, not the text.")
@access_options
@json_option
def command(
    access: Access,
    uid: int,
    mailbox: str,
    raw: bool,
    received: bool,
    sealed: bool,
    headers: bool,
    as_json: bool,
) -> None:
    """Show the message with the number UID that e2email list gives.

    First, apart from the message, what is known of its protection: these lines begin with
    "e2email:". Every line of the message has a bar in front, so that none can pass for one of them.
    """
    if raw + sealed + headers + as_json > 1:
        raise click.UsageError("Give one of --raw, --sealed, --headers and --json.")
    if received and not raw:
        raise click.UsageError("--received goes with --raw.")
    if raw and sys.stdout.isatty():
        raise click.UsageError("--raw is not for a terminal, which would obey it: redirect it.")
    from e2email_client.cli._store import find_mailbox, opened

    with opened(access) as (unlocked, cache):
        box = find_mailbox(cache, mailbox)
        if sealed:
            _write_sealed(_fetch_sealed(unlocked, cache, box, uid))
            return
        row, summary, body = _find(unlocked, cache, box, uid)
    if raw:
        _write(summary, body, received)
    elif headers:
        _show_header(summary, body)
    elif as_json:
        _show_json(row, summary, body)
    else:
        _show_text(row, summary, body)


def _find(unlocked: Unlocked, cache: Database, box: Mailbox, uid: int) -> tuple[Row, Summary, Body]:
    """The message, fetched where it is not here. NotThere, Incomplete, Offline."""
    import asyncio

    from e2email_client.local import browse, mails

    row = browse.one(cache, box.id, uid)
    if row is None:
        raise NotThere(f"There is no message {uid} here; see e2email list, or run e2email sync.")
    body = mails.body(cache, row.email_id)
    if body is None:
        asyncio.run(_fetch(unlocked, cache, box, uid))
        body = mails.body(cache, row.email_id)
        row = browse.one(cache, box.id, uid) or row
    if row.summary is None or body is None:
        raise Incomplete(f"The server gave no message {uid} that opens now; run e2email sync.")
    return row, row.summary, body


async def _fetch(unlocked: Unlocked, cache: Database, box: Mailbox, uid: int) -> None:
    from e2email_client.fetching import Fetcher

    async with Fetcher(unlocked, cache) as fetcher:
        await fetcher.ensure(box, [uid])
        if fetcher.fault:
            raise fetcher.fault


def _fetch_sealed(unlocked: Unlocked, cache: Database, box: Mailbox, uid: int) -> bytes | None:
    """What the server holds, as it renders it; never kept here. NotThere, Offline."""
    import asyncio

    from e2email_client.fetching import online
    from e2email_client.sync import Stale

    async def fetch() -> bytes | None:
        async with online(unlocked, cache) as sync:
            return await sync.sealed(box, uid)

    try:
        return asyncio.run(fetch())
    except Stale:
        raise NotThere("The mailbox was replaced on the server; run e2email sync.") from None


def _write_sealed(octets: bytes | None) -> None:
    """It is armor, and harmless on a terminal as far as the server is honest: so it is cleaned."""
    if octets is None:
        raise NotThere("The server has no such message.")
    if sys.stdout.isatty():
        click.echo(clean.block(octets.decode("ascii", "replace")))
    else:
        _to_stdout(octets)


def _write(summary: Summary, body: Body, received: bool) -> None:
    from e2email_client.local.mails import State

    if summary.state is State.UNREADABLE and body.delivered == body.view:
        # what is here is a notice of ours: nobody delivered that
        raise Incomplete("It cannot be opened; e2email export writes the sealed original.")
    start = body.trace_length if received else 0
    _to_stdout(memoryview(body.delivered)[start:])


def _to_stdout(octets: bytes | memoryview) -> None:
    # under PYTHONUNBUFFERED one write may take a part only
    left = memoryview(octets)
    while left:
        left = left[sys.stdout.buffer.write(left) :]
    # at the end of the program a closed pipe would be told on standard error
    sys.stdout.buffer.flush()


def _show_header(summary: Summary, body: Body) -> None:
    from e2email_client.screen import header_lines, print_mail, protection_lines

    protection_lines(summary.security)
    print_mail(header_lines(body.header))


def _show_text(row: Row, summary: Summary, body: Body) -> None:
    from e2email_client.reading import Unshowable, read
    from e2email_client.screen import print_mail, protection_lines, reading_lines, summary_lines

    protection_lines(summary.security)
    print_mail(summary_lines(row, summary))
    try:
        reading = read(body.view)
    except Unshowable:
        raise Incomplete(
            "Its text takes too much memory or time to show; e2email export writes it."
        ) from None
    print_mail(reading_lines(reading))


def _show_json(row: Row, summary: Summary, body: Body) -> None:
    from e2email_client.listing import as_json
    from e2email_client.reading import Unshowable, read

    answer = as_json(row, summary)
    try:
        reading = read(body.view)
    except Unshowable:
        answer |= {"text": None, "text_from": None, "text_cut": False, "parts": []}
    else:
        answer |= {
            "text": reading.text,
            "text_from": reading.source or None,
            "text_cut": reading.cut,
            "parts": [
                {"media": one.media, "name": one.name, "size": one.size}
                for one in reading.attachments
            ],
        }
    click.echo(json.dumps(answer))
