"""Which mailboxes there are. All of them are known at once: a program that were shown some of them
would take the others for deleted, and delete its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .cipher import Database
from .mailboxes import Mailbox


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    special_use: str | None
    subscribed: bool
    object_id: str  # the server's MAILBOXID; '' where it is not known


def enter(database: Database, found: Iterable[Name]) -> bool:
    """Mailboxes of which nothing but this is known yet; whether there were any new ones.

    They have no UIDVALIDITY and cannot be selected until they are listed.
    """
    known = {name for (name,) in database.read("SELECT name FROM mailbox")}
    new = [one for one in found if one.name not in known]
    if new:
        with database.write() as writer:
            for one in new:
                _insert(writer, one)
    return bool(new)


def unlist(database: Database, local: Mailbox) -> None:
    """What is known of its messages is wrong: it is there, and listed anew under another id."""
    with database.write() as writer:
        removed = writer.execute(
            "DELETE FROM mailbox WHERE id = ? AND name = ?", (local.id, local.name)
        ).rowcount
        if removed:
            _insert(writer, Name(local.name, local.special_use, local.subscribed, local.object_id))


def _insert(writer: Any, one: Name) -> None:
    writer.execute(
        "INSERT INTO mailbox (name, special_use, subscribed, object_id, uidvalidity,"
        " server_validity, modseq, horizon) VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)"
        " ON CONFLICT DO NOTHING",
        (one.name, one.special_use, one.subscribed, one.object_id, time.time_ns() // 1000),
    )
