"""Messages that wait for a new device, in SQL. Each is given once."""

from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from e2email_server.store.errors import Conflict, LimitReached, NotFound
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.schema import pairings
from e2email_server.store.types import Pairing

MAX_PAIRINGS = 5  # per account; protocol's PAIRINGS_CAP


def _fields(row: Row[Any] | Pairing, pairing_hash: bytes) -> tuple[int | bytes, ...]:
    return (pairing_hash, row.account_id, row.expires, row.message)


def add(connection: Connection, macs: RowMacs, pairing: Pairing, now: int) -> None:
    sweep(connection, now)
    this = pairings.c.hash == pairing.pairing_hash
    holder = connection.execute(select(pairings.c.account_id).where(this)).scalar()
    if holder not in (None, pairing.account_id):
        raise Conflict("another account has a pairing with that id")
    connection.execute(delete(pairings).where(this))
    mine = select(func.count()).where(pairings.c.account_id == pairing.account_id)
    if connection.execute(mine).scalar_one() >= MAX_PAIRINGS:
        raise LimitReached("the account has as many open pairings as it may have")
    connection.execute(
        insert(pairings).values(
            hash=pairing.pairing_hash,
            account_id=pairing.account_id,
            expires=pairing.expires,
            message=pairing.message,
            mac=macs.make("pairings", _fields(pairing, pairing.pairing_hash)),
        )
    )


def take(connection: Connection, macs: RowMacs, pairing_hash: bytes, now: int) -> Pairing:
    this = pairings.c.hash == pairing_hash
    row = connection.execute(select(pairings).where(this)).one_or_none()
    if row is None or row.expires <= now:
        raise NotFound("no such pairing")
    macs.check("pairings", _fields(row, row.hash), row.mac)
    connection.execute(delete(pairings).where(this))
    return Pairing(row.account_id, row.expires, row.hash, row.message)


def sweep(connection: Connection, now: int) -> int:
    return connection.execute(delete(pairings).where(pairings.c.expires <= now)).rowcount


def drop(connection: Connection, account_id: int) -> None:
    connection.execute(delete(pairings).where(pairings.c.account_id == account_id))
