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

# Mails whose rows are made and written at once: the write lock is held for milliseconds.
MADE_AT_ONCE = 1_000
# When a mail is said to have arrived, to see whether its Date can be read.
_UNDATED = -(1 << 62)

_PLACES = "FROM message m JOIN mail a ON a.id = m.mail_id"


def outlines(
    database: Database, mailbox_id: int, uids: Sequence[int], *, header: bool
) -> list[Outline]:
    """Of those that are there and have a summary. Not `header`: only uid, arrived, size."""
    if not header:
        what = f"m.uid, m.internal_date, a.size {_PLACES}"
        found = _asked(database, mailbox_id, uids, what, "a.state > 1")
        return [Outline(uid, at, at, size, "", "", "", "", "", ()) for uid, at, size in found]
    _prepare(database, mailbox_id, uids)
    columns = "o.sent, o.subject, o.sender, o.recipient, o.copied, o.message_id, o.ancestors"
    rows = _asked(
        database,
        mailbox_id,
        uids,
        f"m.uid, m.internal_date, a.size, {columns} {_PLACES} JOIN outline o ON o.mail_id = a.id",
    )
    return [
        Outline(
            uid, at, at if sent is None else sent, size, subject, who, to, cc, own, _ids(others)
        )
        for uid, at, size, sent, subject, who, to, cc, own, others in rows
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
    lacking = _asked(
        database,
        mailbox_id,
        uids,
        f"a.id {_PLACES} LEFT JOIN outline o ON o.mail_id = a.id",
        "a.state > 1 AND o.mail_id IS NULL",
    )
    ids = sorted({mail_id for (mail_id,) in lacking})
    for at in range(0, len(ids), MADE_AT_ONCE):
        _make(database, ids[at : at + MADE_AT_ONCE])


def _make(database: Database, ids: Sequence[int]) -> None:
    found = database.read(
        "SELECT a.id, a.state, s.fields FROM mail a JOIN summary s ON s.mail_id = a.id"
        f" WHERE a.id IN ({','.join('?' * len(ids))})",
        ids,
    )
    rows = [(mail_id, state, *_values(fields)) for mail_id, state, fields in found]
    with database.write() as writer:
        # not of a summary that was replaced meanwhile: that makes the state another one
        writer.executemany(
            "INSERT OR REPLACE INTO outline SELECT ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
            " WHERE EXISTS (SELECT 1 FROM mail WHERE id = ?1 AND state = ?2)",
            rows,
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
