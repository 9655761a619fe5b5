"""Mailboxes in SQL: names, UIDVALIDITY, and the counters that messages draw from."""

from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from e2email_server.store import message_rows
from e2email_server.store.errors import AlreadyExists, BadName, LimitReached, NotFound
from e2email_server.store.names import (
    DELETED,
    INBOX,
    MAX_MAILBOXES,
    SEEN,
    SEPARATOR,
    mailbox_name,
    new_object_id,
    renamed,
)
from e2email_server.store.schema import accounts, expunged, mailboxes, messages
from e2email_server.store.types import DEFAULT_MAILBOXES, Counts, Mailbox
from e2email_server.store.writer import Transaction


def _mailbox(row: Row[Any]) -> Mailbox:
    return Mailbox(
        row.id,
        row.account_id,
        row.name,
        row.special_use,
        row.subscribed,
        row.uidvalidity,
        row.uidnext,
        row.highest_modseq,
        row.object_id,
    )


def find(connection: Connection, mailbox_id: int) -> Mailbox:
    return _one(connection, select(mailboxes).where(mailboxes.c.id == mailbox_id))


def named(connection: Connection, account_id: int, name: str) -> Mailbox:
    mine = select(mailboxes).where(mailboxes.c.account_id == account_id)
    return _one(connection, mine.where(mailboxes.c.name == name))


def _one(connection: Connection, query: Select[Any]) -> Mailbox:
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("no such mailbox")
    return _mailbox(row)


def of_account(connection: Connection, account_id: int) -> list[Mailbox]:
    mine = select(mailboxes).where(mailboxes.c.account_id == account_id)
    return [_mailbox(row) for row in connection.execute(mine.order_by(mailboxes.c.name))]


def counts(connection: Connection, mailbox_id: int) -> Counts:
    find(connection, mailbox_id)
    padded = " " + messages.c.flags + " "
    row = connection.execute(
        select(
            func.count(),
            func.count().filter(padded.not_like(f"% {SEEN} %", escape="|")),
            func.count().filter(padded.like(f"% {DELETED} %", escape="|")),
            func.coalesce(func.sum(messages.c.size), 0),
        ).where(messages.c.mailbox_id == mailbox_id)
    ).one()
    return Counts(*row)


def create_defaults(connection: Connection, account_id: int, now: int) -> None:
    for name, special_use in DEFAULT_MAILBOXES:
        _insert(connection, account_id, name, special_use, now)


def create(
    connection: Connection, account_id: int, name: str, special_use: str | None, now: int
) -> Mailbox:
    mine = select(func.count()).where(mailboxes.c.account_id == account_id)
    if connection.execute(mine).scalar_one() >= MAX_MAILBOXES:
        raise LimitReached("the account has as many mailboxes as it may have")
    mailbox_id = _insert(connection, account_id, mailbox_name(name), special_use, now)
    return find(connection, mailbox_id)


def _insert(
    connection: Connection, account_id: int, name: str, special_use: str | None, now: int
) -> int:
    row = {
        "account_id": account_id,
        "name": name,
        "special_use": special_use,
        "subscribed": True,
        "uidvalidity": _next_uidvalidity(connection, account_id, now),
        "uidnext": 1,
        "highest_modseq": 1,
        "object_id": new_object_id(),
    }
    try:
        inserted = connection.execute(insert(mailboxes).values(row))
    except IntegrityError:
        raise AlreadyExists("a mailbox of that name exists") from None
    assert inserted.inserted_primary_key is not None
    return int(inserted.inserted_primary_key[0])


def _next_uidvalidity(connection: Connection, account_id: int, now: int) -> int:
    """Rises with every mailbox of the account, so a name made anew never has an old value."""
    this = accounts.c.id == account_id
    last = connection.execute(select(accounts.c.last_uidvalidity).where(this)).scalar()
    if last is None:
        raise NotFound("no such account")
    value = max(now, int(last) + 1)
    connection.execute(update(accounts).where(this).values(last_uidvalidity=value))
    return value


def rename(transaction: Transaction, mailbox_id: int, name: str, now: int) -> None:
    connection = transaction.connection
    mailbox, target = find(connection, mailbox_id), mailbox_name(name)
    if mailbox.name == INBOX:
        _give_away_inbox(transaction, mailbox, target, now)
        return
    if target == mailbox.name or target.startswith(mailbox.name + SEPARATOR):
        raise BadName("a mailbox cannot go below itself")
    for other in of_account(connection, mailbox.account_id):
        moved = renamed(other.name, mailbox.name, target)
        if moved is not None:
            _set_name(connection, other.mailbox_id, mailbox_name(moved))


def _set_name(connection: Connection, mailbox_id: int, name: str) -> None:
    try:
        connection.execute(update(mailboxes).where(mailboxes.c.id == mailbox_id).values(name=name))
    except IntegrityError:
        raise AlreadyExists("a mailbox of that name exists") from None


def _give_away_inbox(transaction: Transaction, inbox: Mailbox, name: str, now: int) -> None:
    target = create(transaction.connection, inbox.account_id, name, None, now)
    uids = message_rows.all_uids(transaction.connection, inbox.mailbox_id)
    message_rows.move(transaction, inbox.mailbox_id, uids, target.mailbox_id, now)


def remove(transaction: Transaction, mailbox_id: int) -> None:
    connection = transaction.connection
    if find(connection, mailbox_id).name == INBOX:
        raise BadName("INBOX cannot be deleted")
    mine = select(messages.c.record).where(messages.c.mailbox_id == mailbox_id)
    held = [row.record for row in connection.execute(mine)]
    connection.execute(delete(messages).where(messages.c.mailbox_id == mailbox_id))
    connection.execute(delete(expunged).where(expunged.c.mailbox_id == mailbox_id))
    connection.execute(delete(mailboxes).where(mailboxes.c.id == mailbox_id))
    message_rows.drop_unshared(transaction, held)
    transaction.deleted.add(mailbox_id)


def subscribe(connection: Connection, mailbox_id: int, subscribed: bool) -> None:
    this = update(mailboxes).where(mailboxes.c.id == mailbox_id)
    if connection.execute(this.values(subscribed=subscribed)).rowcount == 0:
        raise NotFound("no such mailbox")
