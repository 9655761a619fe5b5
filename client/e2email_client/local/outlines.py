"""What SORT and THREAD compare of each mail, in narrow rows: ten thousand summaries are not read.

A row is made of a summary's fields when it is first asked for; a summary that is replaced takes it
along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from e2email_protocol.imap.extensions import Outline
from e2email_protocol.imap.outline import outline_of

from .cipher import Database, Row
from .mailboxes import IN_CHUNK

# Mails whose rows are made at once: the write lock is held for some 20 ms.
MADE_AT_ONCE = 250
# When a mail is said to have arrived, to see whether its Date can be read.
_UNDATED = -(1 << 62)

_PLACES = "FROM message m JOIN mail a ON a.id = m.mail_id"
_OUTLINES = "LEFT JOIN outline o ON o.mail_id = a.id"


def outlines(
    database: Database, mailbox_id: int, uids: Sequence[int], *, header: bool
) -> list[Outline]:
    """Of those that are there and have a summary. Not `header`: only uid, arrived, size."""
    if not header:
        what = f"m.uid, m.internal_date, a.size {_PLACES}"
        found = _asked(database, mailbox_id, uids, what, "a.state > 1")
        return [Outline(uid, at, at, size, "", "", "", "", "", ()) for uid, at, size in found]
    columns = "o.sent, o.subject, o.sender, o.recipient, o.copied, o.message_id, o.ancestors"
    what = f"m.uid, m.internal_date, a.size, o.mail_id, {columns} {_PLACES} {_OUTLINES}"
    rows = _asked(database, mailbox_id, uids, what, "a.state > 1")
    # again where a summary was replaced meanwhile: what is there is never left out
    while any(row[3] is None for row in rows):
        _prepare(database, mailbox_id, uids)
        rows = _asked(database, mailbox_id, uids, what, "a.state > 1")
    return [
        Outline(
            uid, at, at if sent is None else sent, size, subject, who, to, cc, own, _ids(others)
        )
        for uid, at, size, _, sent, subject, who, to, cc, own, others in rows
    ]


def _ids(ancestors: str) -> tuple[str, ...]:
    return tuple(ancestors.split("\n")) if ancestors else ()


def _asked(
    database: Database, mailbox_id: int, uids: Sequence[int], what: str, only: str = "true"
) -> list[Row]:
    found: list[Row] = []
    for at in range(0, len(uids), IN_CHUNK):
        chunk = uids[at : at + IN_CHUNK]
        marks = ",".join("?" * len(chunk))
        found += database.read(
            f"SELECT {what} WHERE m.mailbox_id = ? AND {only} AND m.uid IN ({marks})",
            (mailbox_id, *chunk),
        )
    return found


def _prepare(database: Database, mailbox_id: int, uids: Sequence[int]) -> None:
    """Make the rows that are not there yet."""
    only = "a.state > 1 AND o.mail_id IS NULL"
    lacking = _asked(database, mailbox_id, uids, f"a.id {_PLACES} {_OUTLINES}", only)
    ids = sorted({mail_id for (mail_id,) in lacking})
    for at in range(0, len(ids), MADE_AT_ONCE):
        _make(database, ids[at : at + MADE_AT_ONCE])


def _make(database: Database, ids: Sequence[int]) -> None:
    """Read and written under one lock: no summary is replaced in between."""
    with database.write() as writer:
        found = writer.execute(
            f"SELECT mail_id, fields FROM summary WHERE mail_id IN ({','.join('?' * len(ids))})",
            ids,
        ).fetchall()
        writer.executemany(
            "INSERT OR REPLACE INTO outline VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(mail_id, *_values(fields)) for mail_id, fields in found],
        )


def _values(fields: bytes) -> Iterable[Any]:
    """sent and the texts, in the order of the table."""
    made = outline_of(0, _UNDATED, 0, fields)
    return (
        None if made.sent == _UNDATED else made.sent,
        made.subject,
        made.sender,
        made.to,
        made.cc,
        made.message_id,
        "\n".join(made.references),
    )
