"""Certificates and key history in SQL. Functions over a connection; no threads here."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, update

from e2email_server.store.errors import Conflict, NotFound
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.schema import certificates, past_certificates, statements
from e2email_server.store.types import Certificate, Statement

# --- certificates ---------------------------------------------------------------------------


def in_use(connection: Connection, macs: RowMacs, account_id: int) -> tuple[Certificate, ...]:
    return _certificates(connection, macs, certificates, account_id)


def ever(connection: Connection, macs: RowMacs, account_id: int) -> list[Certificate]:
    """Those in use first."""
    past = _certificates(connection, macs, past_certificates, account_id)
    return [*in_use(connection, macs, account_id), *past]


def _certificates(
    connection: Connection, macs: RowMacs, table: Table, account_id: int
) -> tuple[Certificate, ...]:
    mine = select(table).where(table.c.account_id == account_id)
    result = []
    for row in connection.execute(mine.order_by(*table.primary_key.columns)):
        macs.check(table.name, (row.account_id, row.fingerprint, row.octets), row.mac)
        result.append(Certificate(row.fingerprint, row.octets))
    return tuple(result)


def replace(
    connection: Connection, macs: RowMacs, account_id: int, new: Sequence[Certificate]
) -> None:
    """Use these from now on; those in use until now stay as past ones."""
    old = in_use(connection, macs, account_id)
    names = {one.fingerprint for one in new}
    connection.execute(delete(certificates).where(certificates.c.account_id == account_id))
    connection.execute(
        delete(past_certificates).where(
            past_certificates.c.account_id == account_id, past_certificates.c.fingerprint.in_(names)
        )
    )
    for one in new:
        _insert(connection, macs, certificates, account_id, one)
    for one in old:
        if one.fingerprint not in names:
            _insert(connection, macs, past_certificates, account_id, one)


def _insert(
    connection: Connection, macs: RowMacs, table: Table, account_id: int, one: Certificate
) -> None:
    fields = (account_id, one.fingerprint, one.octets)
    connection.execute(
        insert(table).values(
            account_id=account_id,
            fingerprint=one.fingerprint,
            octets=one.octets,
            mac=macs.make(table.name, fields),
        )
    )


def revise(connection: Connection, macs: RowMacs, account_id: int, new: Certificate) -> None:
    for table in (certificates, past_certificates):
        held = _certificates(connection, macs, table, account_id)
        if new.fingerprint in {one.fingerprint for one in held}:
            mac = macs.make(table.name, (account_id, new.fingerprint, new.octets))
            this = (table.c.account_id == account_id) & (table.c.fingerprint == new.fingerprint)
            connection.execute(update(table).where(this).values(octets=new.octets, mac=mac))
            return
    raise NotFound("no such certificate")


# --- statements -----------------------------------------------------------------------------


def _statement(macs: RowMacs, row: Row[Any]) -> Statement:
    macs.check("statements", (row.account_id, row.sequence, row.octets), row.mac)
    return Statement(row.sequence, row.octets)


def newest(connection: Connection, macs: RowMacs, account_id: int) -> Statement | None:
    mine = select(statements).where(statements.c.account_id == account_id)
    last = mine.order_by(statements.c.sequence.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    return None if row is None else _statement(macs, row)


def history(
    connection: Connection, macs: RowMacs, account_id: int, first: int, count: int
) -> list[Statement]:
    page = (
        select(statements)
        .where(statements.c.account_id == account_id, statements.c.sequence >= first)
        .order_by(statements.c.sequence)
        .limit(count)
    )
    return [_statement(macs, row) for row in connection.execute(page)]


def add_statement(
    connection: Connection, macs: RowMacs, account_id: int, statement: Statement
) -> None:
    last = select(func.max(statements.c.sequence)).where(statements.c.account_id == account_id)
    if statement.sequence != (connection.execute(last).scalar() or 0) + 1:
        raise Conflict("the statement is not the next one")
    fields = (account_id, statement.sequence, statement.octets)
    connection.execute(
        insert(statements).values(
            account_id=account_id,
            sequence=statement.sequence,
            octets=statement.octets,
            mac=macs.make("statements", fields),
        )
    )
