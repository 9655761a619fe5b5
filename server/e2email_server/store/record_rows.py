"""Records by their id, wherever in an account they are shown; and their messages sealed anew."""

from typing import Any

from sqlalchemy import Connection, select

from e2email_protocol.sealed.reseal import digest
from e2email_server.store import message_reads
from e2email_server.store.engine import driver
from e2email_server.store.errors import Conflict, NotFound
from e2email_server.store.message_rows import MAX_RECORD, Counters, drop_unshared
from e2email_server.store.schema import mailboxes, messages, records
from e2email_server.store.types import Envelope, Held, Resealed, and_former
from e2email_server.store.writer import Transaction

# Form, policy, outer header and boundary are taken from the row: nobody can change them so.
_NEW_ROW = """
INSERT INTO records
(id, form, version, policy, "outer", boundary, envelope, body_size, body_crc, former)
SELECT ?, form, version, policy, "outer", boundary, ?, coalesce(?, body_size), ?, ?
FROM records WHERE id = ?
"""
_SHOW = """
UPDATE messages SET record = ?, size = ?, header_size = ?, modseq = ?
WHERE mailbox_id = ? AND uid = ?
"""


def held(connection: Connection, account_id: int, record_id: bytes) -> Held:
    """Raises NotFound."""
    place = _shown(connection, account_id, record_id)[0]
    (found,) = message_reads.stored(connection, place.mailbox_id, [place.uid], with_bodies=False)
    return Held(place.mailbox_id, found)


def envelopes(connection: Connection, account_id: int, after: bytes, count: int) -> list[Envelope]:
    mine = select(mailboxes.c.id).where(mailboxes.c.account_id == account_id)
    page = (
        select(messages.c.record_id, messages.c.record)
        .where(messages.c.mailbox_id.in_(mine), messages.c.record_id > after)
        .distinct()
        .order_by(messages.c.record_id)
        .limit(count)
        .subquery()
    )
    query = select(page.c.record_id, records.c.envelope).join(
        records, records.c.id == page.c.record
    )
    return [Envelope(*row) for row in connection.execute(query.order_by(page.c.record_id))]


def reseal(
    transaction: Transaction, account_id: int, new: Resealed, body: bytes | str | None
) -> None:
    """`body` is what `new.body` is, or the name of the file it stands in.

    A new row with a new number: who is reading the old body sees that it is gone, and never goes
    on in another. Raises NotFound, Conflict.
    """
    connection = transaction.connection
    shown = _shown(connection, account_id, new.record_id)
    old = shown[0].record
    was = connection.execute(
        select(records.c.envelope, records.c.former).where(records.c.id == old)
    ).one()
    if digest(was.envelope) != new.old:
        raise Conflict("another form of the record is stored")
    execute = driver(connection).execute
    number = execute(MAX_RECORD).fetchone()[0] + 1
    size = None if new.body is None else len(new.body)
    former = and_former(was.envelope, was.former)
    execute(_NEW_ROW, (number, new.envelope, size, new.crc, former, old))
    if body is None:
        for table in ("bodies", "body_files"):
            execute(f"UPDATE {table} SET id = ? WHERE id = ?", (number, old))  # noqa: S608  # ours
    elif isinstance(body, str):
        execute("INSERT INTO body_files (id, name) VALUES (?, ?)", (number, body))
    else:
        execute("INSERT INTO bodies (id, octets) VALUES (?, ?)", (number, body))
    _show(transaction, shown, number, new)
    drop_unshared(transaction, [place.record for place in shown])


def _shown(connection: Connection, account_id: int, record_id: bytes) -> list[Any]:
    """Every message of the account that shows this record, at least one. Raises NotFound."""
    mine = select(mailboxes.c.id).where(mailboxes.c.account_id == account_id)
    found = list(
        connection.execute(
            select(messages.c.mailbox_id, messages.c.uid, messages.c.record)
            .where(messages.c.mailbox_id.in_(mine), messages.c.record_id == record_id)
            .order_by(messages.c.mailbox_id, messages.c.uid)
        )
    )
    if not found:
        raise NotFound("no such record")
    return found


def _show(transaction: Transaction, shown: list[Any], number: int, new: Resealed) -> None:
    """Point the messages at the new row; a modseq each mailbox, for their sizes changed."""
    counters = Counters(transaction, *(place.mailbox_id for place in shown))
    modseqs = {one: counters.bump(one) for one in {place.mailbox_id for place in shown}}
    driver(transaction.connection).executemany(
        _SHOW,
        [
            (
                number,
                new.size,
                new.header_size,
                modseqs[place.mailbox_id],
                place.mailbox_id,
                place.uid,
            )
            for place in shown
        ],
    )
    counters.flush()
