"""A message on a terminal: what e2email says of it, and apart from that what its sender says.

Lines of e2email begin with `e2email: ` and, on a terminal, are shown in reverse. Lines of a mail
begin with a bar and are wrapped here, since a terminal that wraps them itself begins the next line
with whatever the sender put there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from e2email_client import clean, listing
from e2email_client.columns import terminal_width, wrap
from e2email_client.local.browse import Row
from e2email_client.local.mails import Security, Summary
from e2email_client.reading import Attached, Reading

OURS = "e2email: "
THEIRS = "| "
# Of a header only its beginning is shown; --raw has it whole.
MAX_HEADER = 64 * 1024
# Attachments named on the screen; --json names more.
MAX_NAMED = 50


def protection_lines(security: Security) -> None:
    """Print what is known of a mail's protection. A verdict may hold a word of the sender's."""
    width = terminal_width()
    for said in listing.protection(security):
        for piece in wrap(said, width - len(OURS)) if width else (said,):
            click.echo(click.style(OURS + piece, reverse=True))


def print_mail(lines: Iterable[str]) -> None:
    """Print lines of a mail, each behind the bar; they are cleaned already."""
    width = terminal_width()
    for line in lines:
        for piece in wrap(line, width - len(THEIRS)) if width else (line,):
            click.echo(THEIRS + piece)


def summary_lines(row: Row, summary: Summary) -> Iterator[str]:
    yield f"From:    {listing.sender(summary) or '(nobody)'}"
    if summary.recipients:
        yield f"To:      {clean.line(summary.recipients)}"
    yield f"Date:    {listing.moment(summary.date or row.received)}"
    yield f"Subject: {clean.line(summary.subject or '(no subject)')}"


def reading_lines(reading: Reading) -> Iterator[str]:
    for number, one in enumerate(reading.attachments[:MAX_NAMED], 1):
        yield f"Attachment {number}: {_attached(one)}"
    if reading.attached > MAX_NAMED:
        yield f"Attachments: {reading.attached} in all"
    yield ""
    yield from clean.block(reading.text.strip("\r\n")).split("\n")
    if reading.cut:
        yield ""
        yield "(the text goes on; e2email export writes all of it)"


def _attached(one: Attached) -> str:
    return f"{clean.line(one.name) or '(no name)'} ({clean.line(one.media)}, {_size(one.size)})"


def _size(octets: int) -> str:
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if octets >= unit:
            return f"{octets / unit:.1f} {name}"
    return f"{octets} octets"


def header_lines(header: bytes) -> Iterator[str]:
    """The header as it stands, undecoded but for UTF-8."""
    text = header[:MAX_HEADER].decode("utf-8", "replace").rstrip("\r\n")
    yield from clean.block(text).split("\n")
