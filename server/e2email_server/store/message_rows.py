"""Messages, records and bodies in SQL: what is written.

UID and MODSEQ are drawn from the mailbox row inside the transaction that inserts. The statements
of the delivery path are few, each for a whole batch: after every step of SQLite the thread waits
for the interpreter again, which the event loop holds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from e2email_protocol.sealed.record import RecordHead
from e2email_server.store import message_reads
from e2email_server.store.engine import driver
from e2email_server.store.errors import MessageGone, NotFound, RecordTaken
from e2email_server.store.names import DELETED, flags_text, select_changes
from e2email_server.store.schema import (
    bodies,
    body_files,
    expunged,
    mailboxes,
    messages,
    records,
)
from e2email_server.store.types import (
    Copied,
    Entry,
    FlagOp,
    Flags,
    FlagsStored,
    NewMessage,
    Placed,
    same_record,
)
from e2email_server.store.writer import Transaction

_ROWS = 64  # in one INSERT: no more than 999 values, which older SQLite takes
_CHUNK = 500  # values in one IN (...): well below what SQLite takes, and one statement text


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new message whose body is here or stands in a file already, whose name this is."""

    mailbox_id: int
    record: RecordHead
    body: bytes | str = field(repr=False)
    size: int
    header_size: int
    internal_date: int
    flags: Flags
    saved: int

    @property
    def file(self) -> str | None:
        return self.body if isinstance(self.body, str) else None


def arrival(message: NewMessage, file: str | None, now: int) -> Arrival:
    """Nothing of it refers to the body where that is in a file."""
    record = message.record
    return Arrival(
        message.mailbox_id,
        record if file is None else _head(record),
        record.body if file is None else file,
        message.size,
        message.header_size,
        message.internal_date,
        message.flags,
        now,
    )


def _head(record: RecordHead) -> RecordHead:
    return RecordHead(*(getattr(record, one.name) for one in fields(RecordHead)))


_SET_COUNTERS = "UPDATE mailboxes SET uidnext = ?, highest_modseq = ? WHERE id = ?"
_READ_COUNTERS = (
    "SELECT id, uidvalidity, uidnext, highest_modseq, account_id FROM mailboxes WHERE id IN "
)
MAX_RECORD = "SELECT coalesce(max(id), 0) FROM records"


class Counters:
    """UIDNEXT and HIGHESTMODSEQ of the mailboxes a transaction touches, read and written once.

    Raises NotFound where one of them is missing.
    """

    def __init__(self, transaction: Transaction, *mailbox_ids: int) -> None:
        self._transaction = transaction
        wanted = set(mailbox_ids)
        marks = ",".join("?" * len(wanted))
        found = driver(transaction.connection).execute(
            f"{_READ_COUNTERS}({marks})",  # the marks are all that is put in
            tuple(wanted),
        )
        self._rows: dict[int, tuple[int, int, int, int]] = {row[0]: row[1:] for row in found}
        if len(self._rows) != len(wanted):
            raise NotFound("no such mailbox")

    def account(self, mailbox_id: int) -> int:
        return self._rows[mailbox_id][3]

    def uidvalidity(self, mailbox_id: int) -> int:
        return self._rows[mailbox_id][0]

    def place(self, mailbox_id: int) -> Placed:
        """The next UID and the next modseq."""
        validity, uid, modseq, account = self._rows[mailbox_id]
        self._rows[mailbox_id] = (validity, uid + 1, modseq + 1, account)
        return Placed(validity, uid, modseq + 1)

    def bump(self, mailbox_id: int) -> int:
        """The next modseq."""
        validity, uid, modseq, account = self._rows[mailbox_id]
        self._rows[mailbox_id] = (validity, uid, modseq + 1, account)
        return modseq + 1

    def flush(self) -> None:
        rows = [(uid, modseq, mailbox) for mailbox, (_, uid, modseq, _) in self._rows.items()]
        driver(self._transaction.connection).executemany(_SET_COUNTERS, rows)
        self._transaction.highest.update({row[2]: row[1] for row in rows})


def add(transaction: Transaction, arrivals: Sequence[Arrival]) -> list[Placed]:
    """Insert them all with a handful of statements, however many they are."""
    connection = transaction.connection
    counters = Counters(transaction, *(one.mailbox_id for one in arrivals))
    first = driver(connection).execute(MAX_RECORD).fetchone()[0] + 1
    placed = [counters.place(one.mailbox_id) for one in arrivals]
    numbered = list(enumerate(arrivals, first))
    _insert(connection, records, [_record_row(n, a.record) for n, a in numbered])
    _insert(
        connection,
        bodies,
        [(n, a.body) for n, a in numbered if a.file is None],
    )
    _insert(connection, body_files, [(n, a.file) for n, a in numbered if a.file is not None])
    rows = [
        _message_row(number, one, place)
        for (number, one), place in zip(numbered, placed, strict=True)
    ]
    _insert(connection, messages, rows)
    counters.flush()
    return placed


def _record_row(number: int, record: RecordHead) -> tuple[Any, ...]:
    return (
        number,
        record.form.value,
        record.version,
        record.policy.value,
        record.outer,
        record.boundary,
        record.envelope,
        record.body_size,
        record.crc,
        b"",
    )


def _message_row(number: int, message: Arrival, placed: Placed) -> tuple[Any, ...]:
    return (
        message.mailbox_id,
        placed.uid,
        placed.modseq,
        flags_text(message.flags),
        message.internal_date,
        message.size,
        message.header_size,
        message.record.record_id,
        number,
        message.saved,
    )


def _insert(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Whole rows, their values in the order of the table's columns."""
    for start in range(0, len(rows), _ROWS):
        chunk = rows[start : start + _ROWS]
        values = list(chain.from_iterable(chunk))
        driver(connection).execute(_statement(table, len(chunk)), values)


@cache
def _statement(table: Table, rows: int) -> str:
    names = ",".join(f'"{column.name}"' for column in table.columns)
    marks = ",".join([f"({','.join('?' * len(table.columns))})"] * rows)
    return f"INSERT INTO {table.name} ({names}) VALUES {marks}"  # noqa: S608  # our own names


def append(transaction: Transaction, message: Arrival) -> Placed:
    """As add; of a record that the account holds, that one. Raises RecordTaken for another."""
    connection, counters = transaction.connection, Counters(transaction, message.mailbox_id)
    held = _held(connection, counters.account(message.mailbox_id), message)
    if held is None:
        return add(transaction, [message])[0]
    if message.file is not None:
        transaction.unlink.append(message.file)
    if held.mailbox_id == message.mailbox_id:
        return Placed(counters.uidvalidity(held.mailbox_id), held.uid, held.modseq)
    placed = counters.place(message.mailbox_id)
    _insert(connection, messages, [_message_row(held.record, message, placed)])
    counters.flush()
    return placed


def replace(transaction: Transaction, mailbox_id: int, uid: int, message: Arrival) -> Placed:
    """append() after taking `uid` out. Raises NotFound (also: no such message), RecordTaken."""
    connection = transaction.connection
    counters = Counters(transaction, mailbox_id, message.mailbox_id)
    _same_account(counters, mailbox_id, message.mailbox_id)
    _held(connection, counters.account(mailbox_id), message)  # also of what goes now
    held = message_reads.rows(connection, messages, mailbox_id, [uid])
    if not held:
        raise MessageGone("no such message")
    _take_out(transaction, counters, mailbox_id, held)
    counters.flush()
    placed = append(transaction, message)
    drop_unshared(transaction, [row.record for row in held])
    return placed


def _held(connection: Connection, account_id: int, message: Arrival) -> Any:
    """The first message with this record id, in its own mailbox before others.

    Raises RecordTaken where it is another record.
    """
    # not a join: with one, SQLite would read every mailbox from end to end
    mine = select(mailboxes.c.id).where(mailboxes.c.account_id == account_id)
    held = connection.execute(
        select(messages.c.mailbox_id, messages.c.uid, messages.c.modseq, messages.c.record)
        .where(
            messages.c.mailbox_id.in_(mine),
            messages.c.record_id == message.record.record_id,
        )
        .order_by(messages.c.mailbox_id != message.mailbox_id, messages.c.uid)
        .limit(1)
    ).one_or_none()
    if held is None:
        return None
    (stored,) = message_reads.stored(connection, held.mailbox_id, [held.uid], with_bodies=False)
    former = select(records.c.former).where(records.c.id == held.record)
    if not same_record(
        stored.head, message.record, lambda: connection.execute(former).scalar_one()
    ):
        raise RecordTaken("the account holds another record with this id")
    return held


def store_flags(
    transaction: Transaction,
    mailbox_id: int,
    uids: Sequence[int],
    op: FlagOp,
    flags: Flags,
    unchanged_since: int | None,
) -> FlagsStored:
    connection, counters = transaction.connection, Counters(transaction, mailbox_id)
    found = message_reads.entries(connection, mailbox_id, uids)
    changes, modified = select_changes(found, op, flags, unchanged_since)
    if not changes:
        return FlagsStored((), tuple(modified))
    modseq = counters.bump(mailbox_id)
    texts = {new: flags_text(new) for new in {new for _, new in changes}}
    driver(connection).executemany(
        "UPDATE messages SET flags = ?, modseq = ? WHERE mailbox_id = ? AND uid = ?",
        [(texts[new], modseq, mailbox_id, entry.uid) for entry, new in changes],
    )
    counters.flush()
    changed = tuple(_with_flags(entry, new, modseq) for entry, new in changes)
    return FlagsStored(changed, tuple(modified))


def _with_flags(entry: Entry, flags: Flags, modseq: int) -> Entry:
    return Entry(
        entry.uid,
        modseq,
        flags,
        entry.internal_date,
        entry.size,
        entry.header_size,
        entry.record_id,
        entry.saved,
    )


def expunge(transaction: Transaction, mailbox_id: int, uids: Iterable[int] | None) -> list[int]:
    wanted = None if uids is None else list(uids)
    found = message_reads.entries(transaction.connection, mailbox_id, wanted)
    return remove(transaction, mailbox_id, [e.uid for e in found if DELETED in e.flags])


def remove(transaction: Transaction, mailbox_id: int, uids: Sequence[int]) -> list[int]:
    counters = Counters(transaction, mailbox_id)
    held = message_reads.rows(transaction.connection, messages, mailbox_id, uids)
    if held:
        _take_out(transaction, counters, mailbox_id, held)
        drop_unshared(transaction, [row.record for row in held])
        counters.flush()
    return [row.uid for row in held]


def _take_out(
    transaction: Transaction, counters: Counters, mailbox_id: int, held: Sequence[Any]
) -> None:
    """Remove these message rows, leave their UIDs in `expunged`."""
    connection = transaction.connection
    modseq = counters.bump(mailbox_id)
    driver(connection).executemany(
        "DELETE FROM messages WHERE mailbox_id = ? AND uid = ?",
        [(mailbox_id, row.uid) for row in held],
    )
    _insert(connection, expunged, [(mailbox_id, row.uid, modseq) for row in held])


def copy(
    transaction: Transaction, mailbox_id: int, uids: Sequence[int], target_id: int, now: int
) -> Copied:
    counters = Counters(transaction, mailbox_id, target_id)
    _same_account(counters, mailbox_id, target_id)
    found = message_reads.rows(transaction.connection, messages, mailbox_id, uids)
    return _put_in(transaction, counters, found, target_id, now)


def move(
    transaction: Transaction, mailbox_id: int, uids: Sequence[int], target_id: int, now: int
) -> Copied:
    counters = Counters(transaction, mailbox_id, target_id)
    _same_account(counters, mailbox_id, target_id)
    found = message_reads.rows(transaction.connection, messages, mailbox_id, uids)
    if found:
        _take_out(transaction, counters, mailbox_id, found)
    return _put_in(transaction, counters, found, target_id, now)


def _same_account(counters: Counters, mailbox_id: int, target_id: int) -> None:
    if counters.account(mailbox_id) != counters.account(target_id):
        raise NotFound("no such mailbox")  # whether it exists is another account's affair


def _put_in(
    transaction: Transaction, counters: Counters, rows: Sequence[Any], target_id: int, now: int
) -> Copied:
    placed = [counters.place(target_id) for _ in rows]
    _insert(
        transaction.connection,
        messages,
        [
            (target_id, place.uid, place.modseq, *row[3:-1], now)
            for row, place in zip(rows, placed, strict=True)
        ],
    )
    counters.flush()
    return Copied(
        counters.uidvalidity(target_id),
        tuple(row.uid for row in rows),
        tuple(place.uid for place in placed),
    )


def all_uids(connection: Connection, mailbox_id: int) -> list[int]:
    mine = select(messages.c.uid).where(messages.c.mailbox_id == mailbox_id)
    return list(connection.execute(mine.order_by(messages.c.uid)).scalars())


def drop_unshared(transaction: Transaction, held: Iterable[int]) -> None:
    """Remove the records and bodies among `held` that no message shares any longer."""
    connection, numbers = transaction.connection, sorted(set(held))
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        used = select(messages.c.record).where(messages.c.record.in_(chunk))
        gone = set(chunk).difference(connection.execute(used).scalars())
        files = select(body_files.c.name).where(body_files.c.id.in_(gone))
        transaction.unlink.extend(connection.execute(files).scalars())
        for table in (records, bodies, body_files):
            connection.execute(delete(table).where(table.c.id.in_(gone)))
