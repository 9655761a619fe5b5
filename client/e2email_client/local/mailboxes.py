"""Mailboxes and what lies in them: UID, flags, time. UID and UIDVALIDITY are the server's.

MODSEQ is our own: max(last + 1, now in microseconds), so it rises even after the cache was deleted
and a mail program that remembers an old value never misses a change.

What lies in a mailbox when it is listed for the first time is shown at once. Whatever comes later
is announced in the order of its UIDs once its summary is final, so that nothing a mail program was
told of a message ever changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .cipher import Database
from .many import chunks, marks
from .pending import NOTHING, Effect, Pending

_NONE = Effect()

Flags = frozenset[str]


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


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What a mailbox lists of a message before anything of it is opened."""

    uid: int
    email_id: str
    flags: frozenset[str]
    internal_date: int
    modseq: int = 0  # the server's; 0: not said
    saved: int | None = None  # when it came into this mailbox


class Reused(Exception):
    """A UID names another mail than before: the mailbox is not what it was."""


class Entry(NamedTuple):
    """A message as it is listed; a tuple, for there are many."""

    uid: int
    flags: frozenset[str]
    modseq: int


_MAILBOX = (
    "SELECT id, name, special_use, subscribed, uidvalidity, uidnext, announced,"
    " upstream_modseq, modseq, complete, object_id, server_validity FROM mailbox"
)


def _mailbox(row: Sequence[Any]) -> Mailbox:
    values: Any = (*row[:3], bool(row[3]), *row[4:9], bool(row[9]), *row[10:])
    return Mailbox(*values)


_ANNOUNCED = "(SELECT announced FROM mailbox WHERE id = ?1)"


def every(database: Database) -> list[Mailbox]:
    return [_mailbox(row) for row in database.read(f"{_MAILBOX} ORDER BY name")]


def named(database: Database, name: str) -> Mailbox | None:
    rows = database.read(f"{_MAILBOX} WHERE name = ?", (name,))
    return _mailbox(rows[0]) if rows else None


def by_id(database: Database, mailbox_id: int) -> Mailbox | None:
    rows = database.read(f"{_MAILBOX} WHERE id = ?", (mailbox_id,))
    return _mailbox(rows[0]) if rows else None


def octets(database: Database, mailbox_id: int) -> int:
    """Of all messages that are shown and whose size is known."""
    rows = database.read(
        "SELECT coalesce(sum(a.size), 0) FROM message m JOIN mail a ON a.id = m.mail_id"
        f" WHERE m.mailbox_id = ?1 AND m.uid < {_ANNOUNCED}",
        (mailbox_id,),
    )
    return int(rows[0][0])


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
                (name, special_use, subscribed, uidvalidity, shown, object_id, _now()),
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


def add(
    database: Database, mailbox_id: int, found: Sequence[Skeleton], pending: Pending = NOTHING
) -> None:
    """New messages; one already known gets its flags. What is `pending` lies over them.

    Reused: one is another mail than before; then none is added.
    """
    with database.write() as writer:
        modseq = _next_modseq(writer, mailbox_id)
        effects = _effects(writer, mailbox_id, pending)
        wanted = [one for one in found if not effects.get(one.uid, _NONE).gone]
        writer.executemany(
            "INSERT INTO mail (email_id) VALUES (?) ON CONFLICT DO NOTHING",
            [(one.email_id,) for one in wanted],
        )
        added = writer.executemany(
            "INSERT INTO message"
            " (mailbox_id, uid, mail_id, flags, modseq, server_modseq, internal_date, saved)"
            " SELECT ?1, ?2, id, ?3, ?4, ?5, ?6, ?7 FROM mail WHERE email_id = ?8"
            " ON CONFLICT DO UPDATE SET server_modseq = max(server_modseq, excluded.server_modseq),"
            " modseq = CASE WHEN flags = excluded.flags OR excluded.server_modseq < server_modseq"
            " THEN modseq ELSE excluded.modseq END,"
            " flags = CASE WHEN excluded.server_modseq < server_modseq"
            " THEN flags ELSE excluded.flags END"
            " WHERE mail_id = excluded.mail_id",
            [
                (
                    mailbox_id,
                    one.uid,
                    pack(effects.get(one.uid, _NONE).over(one.flags)),
                    modseq,
                    one.modseq,
                    one.internal_date,
                    one.saved,
                    one.email_id,
                )
                for one in wanted
            ],
        ).rowcount
        if wanted and added != len(wanted):
            raise Reused


def tell(
    database: Database,
    mailbox_id: int,
    flags: Iterable[tuple[int, frozenset[str], int]],
    gone: Iterable[tuple[int, int]],
    pending: Pending = NOTHING,
) -> bool:
    """What the server said: (uid, flags, its MODSEQ or 0) and ranges of UIDs that are not there.
    What is `pending` lies over it, and a message that had these flags keeps its MODSEQ.

    Two connections may tell the same in either order: what is older than what is known is no news.
    What is known already counts again, for what was promised over it may be gone. Whether there
    was any news.
    """
    with database.write() as writer:
        modseq = _higher_modseq(writer, mailbox_id)
        if not modseq:
            return False
        effects = _effects(writer, mailbox_id, pending)
        changed = writer.executemany(
            "UPDATE message SET modseq = CASE flags WHEN ?1 THEN modseq ELSE ?2 END, flags = ?1,"
            " server_modseq = max(server_modseq, ?5) WHERE mailbox_id = ?3 AND uid = ?4"
            " AND (?5 > server_modseq OR (?5 IN (0, server_modseq) AND flags <> ?1))",
            [
                (pack(effects.get(uid, _NONE).over(value)), modseq, mailbox_id, uid, said)
                for uid, value, said in flags
            ],
        ).rowcount
        for low, high in gone:
            writer.execute(
                "INSERT OR REPLACE INTO vanished SELECT mailbox_id, uid, ?4 FROM message"
                " WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3",
                (mailbox_id, low, high, modseq),
            )
            changed += writer.execute(
                "DELETE FROM message WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3",
                (mailbox_id, low, high),
            ).rowcount
        if changed > 0:
            writer.execute("UPDATE mailbox SET modseq = ? WHERE id = ?", (modseq, mailbox_id))
        return _announce(writer, mailbox_id) or changed > 0


def change(
    database: Database, mailbox_id: int, uids: Iterable[int], added: Flags, removed: Flags
) -> None:
    """What was promised of messages that are here."""
    effect = Effect(added, removed)
    with database.write() as writer:
        modseq = _next_modseq(writer, mailbox_id)
        _set(
            writer,
            mailbox_id,
            modseq,
            [(uid, effect.over(had)) for uid, had in _flags(writer, mailbox_id, uids)],
        )


def _set(
    writer: Any, mailbox_id: int, modseq: int, flags: Iterable[tuple[int, frozenset[str]]]
) -> None:
    writer.executemany(
        "UPDATE message SET flags = ?1, modseq = ?2"
        " WHERE mailbox_id = ?3 AND uid = ?4 AND flags <> ?1",
        [(pack(value), modseq, mailbox_id, uid) for uid, value in flags],
    )


def _flags(
    writer: Any, mailbox_id: int, uids: Iterable[int]
) -> Iterator[tuple[int, frozenset[str]]]:
    for uid in uids:
        row = writer.execute(
            "SELECT flags FROM message WHERE mailbox_id = ? AND uid = ?", (mailbox_id, uid)
        ).fetchone()
        if row:
            yield uid, unpack(row[0])


def _effects(writer: Any, mailbox_id: int, pending: Pending) -> Mapping[int, Effect]:
    """Asked inside the transaction: who promises something writes it down first, and comes here
    after it or is seen by it."""
    row = writer.execute(
        "SELECT name, object_id, uidvalidity FROM mailbox WHERE id = ?", (mailbox_id,)
    ).fetchone()
    return pending.effects(*row) if row else {}


def remove(database: Database, mailbox_id: int, uids: Iterable[int]) -> None:
    tell(database, mailbox_id, (), ((uid, uid) for uid in uids))


def listed(database: Database, mailbox_id: int, *, uidnext: int, upstream_modseq: int) -> None:
    """Everything below `uidnext` is here. The first time, all of it is shown."""
    with database.write() as writer:
        writer.execute(
            "UPDATE mailbox SET uidnext = max(uidnext, ?1), upstream_modseq = ?2, complete = 1,"
            " announced = CASE complete WHEN 0 THEN ?1 ELSE announced END WHERE id = ?3",
            (uidnext, upstream_modseq, mailbox_id),
        )
        _announce(writer, mailbox_id)


def entries(database: Database, mailbox_id: int, since: int = 0) -> list[Entry]:
    """(uid, flags and reserved keywords, modseq) by UID: what is shown, changed after `since`."""
    rows = database.read(
        "SELECT m.uid, m.flags, a.keywords, m.modseq FROM message m JOIN mail a ON a.id = m.mail_id"
        f" WHERE m.mailbox_id = ?1 AND m.modseq > ?2 AND m.uid < {_ANNOUNCED} ORDER BY m.uid",
        (mailbox_id, since),
    )
    known: dict[tuple[str, str], frozenset[str]] = {}
    result = []
    for uid, flags, keywords, modseq in rows:
        value = known.get((flags, keywords))
        if value is None:
            value = known[flags, keywords] = unpack(flags) | unpack(keywords)
        result.append(Entry(uid, value, modseq))
    return result


def server_flags(database: Database, mailbox_id: int) -> dict[int, frozenset[str]]:
    """uid → the flags that the server keeps, without the reserved keywords."""
    rows = database.read("SELECT uid, flags FROM message WHERE mailbox_id = ?", (mailbox_id,))
    return {uid: unpack(flags) for uid, flags in rows}


def known_from(database: Database, mailbox_id: int, first: int) -> dict[int, str]:
    """uid → email id of what is known from UID `first` on."""
    rows = database.read(
        "SELECT m.uid, a.email_id FROM message m JOIN mail a ON a.id = m.mail_id"
        " WHERE m.mailbox_id = ? AND m.uid >= ?",
        (mailbox_id, first),
    )
    return {uid: email_id for uid, email_id in rows}  # noqa: C416  # a Row has any length


def email_ids(database: Database, mailbox_id: int, uids: Sequence[int]) -> dict[int, str]:
    """uid → email id of those that are there."""
    found: dict[int, str] = {}
    for chunk in chunks(uids):
        found |= database.read(
            "SELECT m.uid, a.email_id FROM message m JOIN mail a ON a.id = m.mail_id"
            f" WHERE m.mailbox_id = ? AND m.uid IN ({marks(chunk)})",
            (mailbox_id, *chunk),
        )
    return found


def last_uid(database: Database, mailbox_id: int) -> int:
    """The highest that is known below what is listed completely; 0: none."""
    rows = database.read(
        "SELECT coalesce(max(m.uid), 0) FROM message m JOIN mailbox b ON b.id = m.mailbox_id"
        " WHERE m.mailbox_id = ? AND m.uid < b.uidnext",
        (mailbox_id,),
    )
    return int(rows[0][0])


def count(database: Database, mailbox_id: int, below: int) -> int:
    """How many messages are known with a UID below this."""
    rows = database.read(
        "SELECT count(*) FROM message WHERE mailbox_id = ? AND uid < ?", (mailbox_id, below)
    )
    return int(rows[0][0])


def touch(writer: Any, known: Iterable[tuple[int, bool]]) -> None:
    """Inside a transaction: of these records (id, its keywords are others) more is known, wherever

    they lie. Nothing else changes for programs, so that a MODSEQ which they hold stays good.
    """
    modseqs: dict[int, int] = {}
    seen: set[int] = set()
    for mail_id, changed in known:
        places = writer.execute(
            "SELECT mailbox_id, uid FROM message WHERE mail_id = ?", (mail_id,)
        ).fetchall()
        for mailbox_id, uid in places:
            seen.add(mailbox_id)
            if not changed:
                continue
            if mailbox_id not in modseqs:
                modseqs[mailbox_id] = _next_modseq(writer, mailbox_id)
            writer.execute(
                "UPDATE message SET modseq = ? WHERE mailbox_id = ? AND uid = ?",
                (modseqs[mailbox_id], mailbox_id, uid),
            )
    for mailbox_id in seen:
        _announce(writer, mailbox_id)


def _announce(writer: Any, mailbox_id: int) -> bool:
    """Show what comes before the first message that is still being opened; whether it is more.

    A message whose opening failed for a passing reason is shown, too: a mail that kills the worker
    must not hold back all that come after it. What is asked of it is answered NO until it opens.
    """
    complete, shown, uidnext = writer.execute(
        "SELECT complete, announced, uidnext FROM mailbox WHERE id = ?", (mailbox_id,)
    ).fetchone()
    if not complete:
        return False
    (first,) = writer.execute(
        "SELECT min(m.uid) FROM message m JOIN mail a ON a.id = m.mail_id"
        " WHERE m.mailbox_id = ? AND m.uid >= ? AND a.state < 2 AND a.tries = 0",
        (mailbox_id, shown),
    ).fetchone()
    below = uidnext if first is None else first
    if below > shown:
        # newer than anything that was said before: whoever asks for changes finds them
        modseq = _next_modseq(writer, mailbox_id)
        writer.execute(
            "UPDATE message SET modseq = ? WHERE mailbox_id = ? AND uid >= ? AND uid < ?",
            (modseq, mailbox_id, shown, below),
        )
        writer.execute("UPDATE mailbox SET announced = ? WHERE id = ?", (below, mailbox_id))
    return bool(below > shown)


def vanished(database: Database, mailbox_id: int, since: int) -> list[int]:
    rows = database.read(
        "SELECT uid FROM vanished WHERE mailbox_id = ? AND modseq > ? ORDER BY uid",
        (mailbox_id, since),
    )
    return [uid for (uid,) in rows]


def horizon(database: Database, mailbox_id: int) -> int:
    """The modseq since which `vanished` is complete: before it, there was another cache."""
    rows = database.read("SELECT horizon FROM mailbox WHERE id = ?", (mailbox_id,))
    return int(rows[0][0]) if rows else 0


def identified(database: Database) -> bool:
    """There are mailboxes, and the server's MAILBOXID of each is known."""
    rows = database.read("SELECT min(object_id <> '') FROM mailbox")
    return bool(rows[0][0])


def pack(flags: Iterable[str]) -> str:
    return " ".join(sorted(flags))


def unpack(flags: str) -> frozenset[str]:
    return frozenset(flags.split())


def _now() -> int:
    return time.time_ns() // 1000


def _higher_modseq(writer: Any, mailbox_id: int) -> int:
    """0: the mailbox is gone, and with it all messages."""
    row = writer.execute("SELECT modseq FROM mailbox WHERE id = ?", (mailbox_id,)).fetchone()
    return max(row[0] + 1, _now()) if row else 0


def _next_modseq(writer: Any, mailbox_id: int) -> int:
    modseq = _higher_modseq(writer, mailbox_id)
    if not modseq:
        raise LookupError("a mailbox that is gone")
    writer.execute("UPDATE mailbox SET modseq = ? WHERE id = ?", (modseq, mailbox_id))
    return modseq
