"""What SORT and THREAD compare of each mail, in narrow rows: ten thousand summaries are not read.

A row is made with the summary, and with every other one that takes its place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from e2email_protocol.imap.extensions import Outline
from e2email_protocol.imap.outline import outline_of

from .cipher import Database
from .many import chunks, marks

# When a mail is said to have arrived, to see whether its Date can be read.
_UNDATED = -(1 << 62)
# What an Outline has, beside what `message` and `mail` know → its column here.
_COLUMNS = {
    "sent": "coalesce(o.sent, m.internal_date)",
    "subject": "o.subject",
    "sender": "o.sender",
    "to": "o.recipient",
    "cc": "o.copied",
    "message_id": "o.message_id",
    "references": "o.ancestors",
}
_NOT_ASKED = {"sent": "0"}


def outlines(
    database: Database, mailbox_id: int, uids: Sequence[int], fields: Collection[str]
) -> list[Outline]:
    """Of those that are there and have a summary. `fields`: of an Outline, that are asked for."""
    columns = ", ".join(
        column if name in fields else _NOT_ASKED.get(name, "''")
        for name, column in _COLUMNS.items()
    )
    join = "JOIN outline o ON o.mail_id = a.id" if _COLUMNS.keys() & fields else ""
    found = []
    for chunk in chunks(uids):
        rows = database.read(
            f"SELECT m.uid, m.internal_date, {columns}, a.size"
            f" FROM message m JOIN mail a ON a.id = m.mail_id {join}"
            f" WHERE m.mailbox_id = ? AND a.state > 1 AND m.uid IN ({marks(chunk)})",
            (mailbox_id, *chunk),
        )
        found += [
            Outline(uid, at, sent, size, subject, who, to, cc, own, _ids(others))
            for uid, at, sent, subject, who, to, cc, own, others, size in rows
        ]
    return found


def _ids(ancestors: str) -> tuple[str, ...]:
    return tuple(ancestors.split("\n")) if ancestors else ()


def put(writer: Any, mail_id: int, fields: bytes) -> None:
    """Inside the transaction that writes the summary with these `fields`."""
    made = outline_of(0, _UNDATED, 0, fields)
    writer.execute(
        "INSERT OR REPLACE INTO outline VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            mail_id,
            None if made.sent == _UNDATED else made.sent,
            made.subject,
            made.sender,
            made.to,
            made.cc,
            made.message_id,
            "\n".join(made.references),
        ),
    )
