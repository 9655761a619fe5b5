"""What the user has to be told, kept in state.db until it was acknowledged."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .cipher import Database

# Whoever does not look for years is not told more than this of each kind.
MOST = 1_000


class Kind(StrEnum):
    WENT_BACK = "went-back"  # a mailbox is as it was before: the server was restored from a copy
    REPLACED = "replaced"  # another mailbox has the name, or the same one new numbers
    REFUSED = "refused"  # a change that was made here could not be made on the server
    HISTORY = "history"  # the server's key history does not continue the one that is known
    CONTACT = "contact"  # another key was seen for somebody, or theirs was revoked
    STATE = "state"  # the server gave an older or a damaged state of the account


@dataclass(frozen=True, slots=True)
class Notice:
    id: int
    time: int
    kind: Kind
    mailbox: str = field(repr=False)
    text: str = field(repr=False)


def write(writer: Any, kind: Kind, mailbox: str, text: str) -> None:
    """Inside a transaction; what was said already and is not acknowledged is not said again."""
    said = writer.execute(
        "SELECT 1 FROM notice WHERE NOT acknowledged AND kind = ?1 AND mailbox = ?2 AND text = ?3",
        (kind, mailbox, text),
    ).fetchone()
    (count,) = writer.execute("SELECT count(*) FROM notice WHERE kind = ?", (kind,)).fetchone()
    if said is None and count < MOST:
        writer.execute(
            "INSERT INTO notice (time, kind, mailbox, text) VALUES (?, ?, ?, ?)",
            (int(time.time()), kind, mailbox, text),
        )


def put(state: Database, kind: Kind, mailbox: str, text: str) -> None:
    with state.write() as writer:
        write(writer, kind, mailbox, text)


def history(state: Database, text: str) -> None:
    """What is wrong with the key history; of the account, not of a mailbox."""
    put(state, Kind.HISTORY, "", text)


def pending(state: Database) -> list[Notice]:
    """Those that nobody acknowledged, the oldest first."""
    rows = state.read(
        "SELECT id, time, kind, mailbox, text FROM notice WHERE NOT acknowledged ORDER BY id"
    )
    return [Notice(row[0], row[1], Kind(row[2]), row[3], row[4]) for row in rows]


def acknowledge(state: Database, ids: Iterable[int]) -> None:
    """They are not shown again, and need no room."""
    with state.write() as writer:
        writer.executemany("DELETE FROM notice WHERE id = ?", [(one,) for one in ids])
