"""What lies in a mailbox: UID, flags, time. The UID is the server's, the MODSEQ our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .announced import ANNOUNCED, announce, higher_modseq, next_modseq
from .cipher import Database
from .many import chunks, marks
from .pending import NOTHING, Effect, Pending

_NONE = Effect()

Flags = frozenset[str]


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


def add(
    database: Database, mailbox_id: int, found: Sequence[Skeleton], pending: Pending = NOTHING
) -> None:
    """New messages; one already known gets its flags. What is `pending` lies over them.

    Reused: one is another mail than before; then none is added.
    """
    with database.write() as writer:
        modseq = next_modseq(writer, mailbox_id)
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
        modseq = higher_modseq(writer, mailbox_id)
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
        return announce(writer, mailbox_id) or changed > 0


def change(
    database: Database, mailbox_id: int, uids: Iterable[int], added: Flags, removed: Flags
) -> None:
    """What was promised of messages that are here."""
    effect = Effect(added, removed)
    with database.write() as writer:
        modseq = next_modseq(writer, mailbox_id)
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


def entries(database: Database, mailbox_id: int, since: int = 0) -> list[Entry]:
    """(uid, flags and reserved keywords, modseq) by UID: what is shown, changed after `since`."""
    rows = database.read(
        "SELECT m.uid, m.flags, a.keywords, m.modseq FROM message m JOIN mail a ON a.id = m.mail_id"
        f" WHERE m.mailbox_id = ?1 AND m.modseq > ?2 AND m.uid < {ANNOUNCED} ORDER BY m.uid",
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


def octets(database: Database, mailbox_id: int) -> int:
    """Of all messages that are shown and whose size is known."""
    rows = database.read(
        "SELECT coalesce(sum(a.size), 0) FROM message m JOIN mail a ON a.id = m.mail_id"
        f" WHERE m.mailbox_id = ?1 AND m.uid < {ANNOUNCED}",
        (mailbox_id,),
    )
    return int(rows[0][0])


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


def pack(flags: Iterable[str]) -> str:
    return " ".join(sorted(flags))


def unpack(flags: str) -> frozenset[str]:
    return frozenset(flags.split())
