"""Which mailboxes are here, and how far each is listed; what lies in them is in `contents`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .announced import announce, now
from .cipher import Database


@dataclass(frozen=True, slots=True)
class Mailbox:
    id: int
    name: str
    special_use: str | None
    subscribed: bool
    uidvalidity: int  # as programs are told
    uidnext: int
    announced: int  # UIDs from here on are known and not shown yet
    upstream_modseq: int
    modseq: int
    complete: bool
    object_id: str  # the server's MAILBOXID; '' while it is not known
    server_validity: int  # the server's own UIDVALIDITY

    def shown(self, uidvalidity: int) -> int:
        """For programs, in place of what the server says."""
        return self.uidvalidity if uidvalidity == self.server_validity else uidvalidity


_MAILBOX = (
    "SELECT id, name, special_use, subscribed, uidvalidity, uidnext, announced,"
    " upstream_modseq, modseq, complete, object_id, server_validity FROM mailbox"
)


def _mailbox(row: Sequence[Any]) -> Mailbox:
    values: Any = (*row[:3], bool(row[3]), *row[4:9], bool(row[9]), *row[10:])
    return Mailbox(*values)


def every(database: Database) -> list[Mailbox]:
    return [_mailbox(row) for row in database.read(f"{_MAILBOX} ORDER BY name")]


def named(database: Database, name: str) -> Mailbox | None:
    rows = database.read(f"{_MAILBOX} WHERE name = ?", (name,))
    return _mailbox(rows[0]) if rows else None


def by_id(database: Database, mailbox_id: int) -> Mailbox | None:
    rows = database.read(f"{_MAILBOX} WHERE id = ?", (mailbox_id,))
    return _mailbox(rows[0]) if rows else None


def put(
    database: Database,
    name: str,
    uidvalidity: int,
    special_use: str | None,
    subscribed: bool,
    *,
    object_id: str = "",
    shown: int | None = None,
) -> Mailbox:
    """Make or update a mailbox. `shown`: UIDVALIDITY for programs, where it is not the server's.

    Another UIDVALIDITY empties it (RFC 9051, section 2.3.1.1). Its mails stay until `sweep`: most
    of them are listed again.
    """
    shown = uidvalidity if shown is None else shown
    with database.write() as writer:
        row = writer.execute(
            "SELECT id, server_validity, uidvalidity FROM mailbox WHERE name = ?", (name,)
        ).fetchone()
        if row and row[1:] != (uidvalidity, shown):
            writer.execute("DELETE FROM mailbox WHERE id = ?", (row[0],))
            row = None
        if row:
            writer.execute(
                "UPDATE mailbox SET special_use = ?, subscribed = ?, object_id = ? WHERE id = ?",
                (special_use, subscribed, object_id, row[0]),
            )
        else:
            writer.execute(
                "INSERT INTO mailbox (name, special_use, subscribed, server_validity, uidvalidity,"
                " object_id, modseq, horizon) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                (name, special_use, subscribed, uidvalidity, shown, object_id, now()),
            )
    found = named(database, name)
    assert found is not None
    return found


def rename(database: Database, names: Mapping[int, str]) -> None:
    """id → another name, all at once: two may have changed places. What had the name is gone."""
    with database.write() as writer:
        for mailbox_id in names:
            # no server's name has a NUL
            writer.execute("UPDATE mailbox SET name = char(0) || id WHERE id = ?", (mailbox_id,))
        for mailbox_id, name in names.items():
            writer.execute("DELETE FROM mailbox WHERE name = ?", (name,))
            writer.execute("UPDATE mailbox SET name = ? WHERE id = ?", (name, mailbox_id))


def drop(database: Database, gone: Iterable[Mailbox]) -> None:
    """Unless one has another name by now."""
    with database.write() as writer:
        writer.executemany(
            "DELETE FROM mailbox WHERE id = ? AND name = ?", [(one.id, one.name) for one in gone]
        )


def sweep(database: Database) -> None:
    """Mail that lies in no mailbox any more is forgotten: to be called when all were listed, for
    what went from one mailbox may have come to another."""
    lost = "WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.mail_id = mail.id)"
    if not database.read(f"SELECT 1 FROM mail {lost} LIMIT 1"):
        return
    with database.write() as writer:
        for (mail_id,) in writer.execute(f"SELECT id FROM mail {lost}").fetchall():
            writer.execute("DELETE FROM words WHERE rowid = ?", (mail_id,))
            writer.execute("DELETE FROM mail WHERE id = ?", (mail_id,))


def listed(database: Database, mailbox_id: int, *, uidnext: int, upstream_modseq: int) -> None:
    """Everything below `uidnext` is here. The first time, all of it is shown."""
    with database.write() as writer:
        writer.execute(
            "UPDATE mailbox SET uidnext = max(uidnext, ?1), upstream_modseq = ?2, complete = 1,"
            " announced = CASE complete WHEN 0 THEN ?1 ELSE announced END WHERE id = ?3",
            (uidnext, upstream_modseq, mailbox_id),
        )
        announce(writer, mailbox_id)


def identified(database: Database) -> bool:
    """There are mailboxes, and the server's MAILBOXID of each is known."""
    rows = database.read("SELECT min(object_id <> '') FROM mailbox")
    return bool(rows[0][0])
