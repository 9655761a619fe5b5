"""Messages, records and bodies in SQL: what is read, many rows with one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, func, select

from e2email_protocol.sealed.record import Form, Policy, RecordHead
from e2email_server.store.errors import NotFound, StoreFailed
from e2email_server.store.names import parse_flags
from e2email_server.store.schema import bodies, body_files, expunged, messages, records
from e2email_server.store.types import Entry, StoredMessage

_CHUNK = 500
# A selection that fills this part of its span is read as a span and thinned out here: one
# statement instead of many.
_DENSE = 4

_ENTRY = (
    messages.c.uid,
    messages.c.modseq,
    messages.c.flags,
    messages.c.internal_date,
    messages.c.size,
    messages.c.header_size,
    messages.c.record_id,
    messages.c.saved,
)
_HEAD = (
    records.c.form,
    records.c.version,
    records.c.policy,
    records.c.outer,
    records.c.boundary,
    records.c.envelope,
    records.c.body_crc,
    records.c.body_size,
)


@dataclass(frozen=True, slots=True)
class BodyFile:
    """Where a body lies that is not in the database."""

    name: str


def _select_uids(
    connection: Connection, query: Select[Any], mailbox_id: int, uids: Sequence[int] | None
) -> list[Row[Any]]:
    """The rows of these UIDs (None: all) in UID order; `query` has `uid` in its columns."""
    mine = query.where(messages.c.mailbox_id == mailbox_id).order_by(messages.c.uid)
    if uids is None:
        return list(connection.execute(mine))
    wanted = sorted(set(uids))
    if not wanted:
        return []
    if wanted[-1] - wanted[0] < _DENSE * len(wanted):
        chosen = set(wanted)
        span = mine.where(messages.c.uid.between(wanted[0], wanted[-1]))
        return [row for row in connection.execute(span) if row.uid in chosen]
    found: list[Row[Any]] = []
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        found.extend(connection.execute(mine.where(messages.c.uid.in_(chunk))))
    return found


def rows(
    connection: Connection, table: Table, mailbox_id: int, uids: Sequence[int]
) -> list[Row[Any]]:
    return _select_uids(connection, select(table), mailbox_id, uids)


def _entry(row: Any) -> Entry:
    return Entry(row[0], row[1], parse_flags(row[2]), *row[3:8])


def entries(connection: Connection, mailbox_id: int, uids: Sequence[int] | None) -> list[Entry]:
    found = _select_uids(connection, select(*_ENTRY), mailbox_id, uids)
    return [_entry(row) for row in found]


def changed(connection: Connection, mailbox_id: int, since: int) -> list[Entry]:
    query = select(*_ENTRY).where(messages.c.modseq > since)
    return [_entry(row) for row in _select_uids(connection, query, mailbox_id, None)]


def vanished(connection: Connection, mailbox_id: int, since: int) -> list[int]:
    query = select(expunged.c.uid).where(
        expunged.c.mailbox_id == mailbox_id, expunged.c.modseq > since
    )
    return list(connection.execute(query.order_by(expunged.c.uid)).scalars())


def stored(
    connection: Connection, mailbox_id: int, uids: Sequence[int], with_bodies: bool
) -> list[StoredMessage]:
    query = select(*_ENTRY, *_HEAD, records.c.id).join(records, records.c.id == messages.c.record)
    if with_bodies:
        query = query.add_columns(bodies.c.octets).outerjoin(
            bodies, bodies.c.id == messages.c.record
        )
    found = _select_uids(connection, query, mailbox_id, uids)
    return [_stored(row, with_bodies) for row in found]


def _stored(row: Any, with_body: bool) -> StoredMessage:
    form, version, policy, outer, boundary, envelope, crc, body_size = row[8:16]
    try:
        head = RecordHead(
            row[6], Form(form), version, Policy(policy), outer, boundary, envelope, crc, body_size
        )
    except ValueError as error:
        raise StoreFailed(f"message row {row[0]} is damaged") from error
    return StoredMessage(_entry(row), head, row[17] if with_body else None, row[16])


def body(
    connection: Connection,
    mailbox_id: int,
    uid: int,
    start: int,
    count: int,
    serial: int | None,
) -> bytes | BodyFile:
    """A range of a body, or the file where it lies. Raises NotFound."""
    row = connection.execute(
        select(func.substr(bodies.c.octets, start + 1, count), body_files.c.name, messages.c.record)
        .select_from(messages)
        .outerjoin(bodies, bodies.c.id == messages.c.record)
        .outerjoin(body_files, body_files.c.id == messages.c.record)
        .where(messages.c.mailbox_id == mailbox_id, messages.c.uid == uid)
    ).one_or_none()
    if row is None:
        raise NotFound("no such message")
    if serial not in (None, row[2]):
        raise NotFound("the message was resealed meanwhile")
    if row[1] is not None:
        return BodyFile(row[1])
    if row[0] is None:
        raise StoreFailed(f"message row {uid} has no body")
    return bytes(row[0])


def file_names(connection: Connection) -> frozenset[str]:
    """Every blob file that a row names."""
    return frozenset(connection.execute(select(body_files.c.name)).scalars())
