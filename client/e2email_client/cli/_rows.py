"""Messages as a list on standard output, the same for every command that lists."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from e2email_client.columns import terminal_width
from e2email_client.listing import as_json, as_line
from e2email_client.local.browse import Row


def show_rows(rows: Sequence[Row], facts: dict[str, Any], want_json: bool) -> None:
    """`facts` and the messages as one JSON object, or a line for each message.

    Lines are cut to the terminal's width; into a file or a pipe they go whole.
    """
    known = [(row, row.summary) for row in rows if row.summary is not None]
    if want_json:
        listed = [as_json(row, summary) for row, summary in known]
        click.echo(json.dumps(facts | {"messages": listed}))
        return
    width = terminal_width() if sys.stdout.isatty() else None
    for row, summary in known:
        click.echo(as_line(row, summary, width))
