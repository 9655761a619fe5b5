"""What people look at: lists, one message, search, counts. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import words
from .cipher import Database
from .keywords import ALARM
from .mails import SUMMARY_COLUMNS, State, Summary, summary_of

_COLUMNS = f"b.name, m.uid, m.flags, m.internal_date, a.email_id, {SUMMARY_COLUMNS}"
_FROM = (
    "FROM message m JOIN mail a ON a.id = m.mail_id JOIN mailbox b ON b.id = m.mailbox_id"
    " LEFT JOIN summary ON summary.mail_id = a.id"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A message where it lies. `summary` is None while nothing of it may be shown."""

    mailbox: str
    uid: int
    flags: tuple[str, ...]
    received: int
    email_id: str
    summary: Summary | None

    def __repr__(self) -> str:
        return f"Row({self.uid})"


@dataclass(frozen=True, slots=True)
class Count:
    """One mailbox in figures. Every figure counts messages."""

    name: str
    messages: int
    unseen: int
    listed: int  # the summary is here
    opened: int  # the octets are here, or it can never be opened
    unreadable: int
    alarms: int


def newest(database: Database, mailbox_id: int, limit: int) -> list[Row]:
    """The newest messages of a mailbox whose summary is here."""
    return _rows(
        database,
        f"WHERE m.mailbox_id = ? AND a.state >= {int(State.READY)} ORDER BY m.uid DESC LIMIT ?",
        (mailbox_id, limit),
    )


def one(database: Database, mailbox_id: int, uid: int) -> Row | None:
    found = _rows(database, "WHERE m.mailbox_id = ? AND m.uid = ?", (mailbox_id, uid))
    return found[0] if found else None


def search(database: Database, query: str, mailbox_id: int | None, limit: int) -> list[Row]:
    """Messages that have every word of the query (local/words.py), newest first."""
    match = words.match(query)
    if match is None:
        return []
    return _rows(
        database,
        "WHERE a.id IN (SELECT rowid FROM words WHERE words MATCH ?)"
        " AND m.mailbox_id = coalesce(?, b.id)"
        " ORDER BY m.internal_date DESC, m.uid DESC LIMIT ?",
        (match, mailbox_id, limit),
    )


def counts(database: Database) -> list[Count]:
    """All mailboxes, INBOX first, the rest by name."""
    rows = database.read(
        "SELECT b.name, count(m.uid),"
        " total(instr(' ' || m.flags || ' ', ' \\Seen ') = 0), total(a.state >= ?),"
        " total(a.state >= ?), total(a.state = ?), total(instr(a.keywords, ?) > 0)"
        " FROM mailbox b LEFT JOIN message m ON m.mailbox_id = b.id"
        " LEFT JOIN mail a ON a.id = m.mail_id GROUP BY b.id ORDER BY b.name <> 'INBOX', b.name",
        (int(State.READY), int(State.OPENED), int(State.UNREADABLE), ALARM),
    )
    return [Count(row[0], *(int(value) for value in row[1:])) for row in rows]


def failed(database: Database, below: State) -> tuple[int, int]:
    """Messages that were fetched or opened in vain, and are not known to `below` yet: those worth
    another try, and those whose key the account does not have any more. Those that were left out
    for want of room are none."""
    rows = database.read(
        "SELECT count(*) FILTER (WHERE a.held < 2), count(*) FILTER (WHERE a.held = 2)"
        " FROM mail a INDEXED BY mail_state JOIN message m ON m.mail_id = a.id"
        " WHERE a.state < ? AND a.tries > 0",
        (int(below),),
    )
    return int(rows[0][0]), int(rows[0][1])


def _rows(database: Database, condition: str, parameters: Sequence[Any]) -> list[Row]:
    found = database.read(f"SELECT {_COLUMNS} {_FROM} {condition}", parameters)
    return [
        Row(row[0], row[1], tuple(row[2].split()), row[3], row[4], _shown(row[5:])) for row in found
    ]


def _shown(row: Sequence[Any]) -> Summary | None:
    return summary_of(row) if row[0] >= State.READY else None
