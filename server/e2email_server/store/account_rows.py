"""Accounts, certificates and statements in SQL. Functions over a connection; no threads here."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from e2email_crypto.token import Field
from e2email_protocol.sealed.record import Policy
from e2email_server.store import credential_rows
from e2email_server.store.errors import AlreadyExists, Conflict, NotFound
from e2email_server.store.mailbox_rows import create_defaults
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.schema import accounts, certificates, mailboxes, statements
from e2email_server.store.types import (
    Account,
    Box,
    Certificate,
    Kdf,
    NewAccount,
    Recipient,
    Statement,
)

_SELECT: Select[Any] = select(accounts, mailboxes.c.id.label("inbox")).join(
    mailboxes, (mailboxes.c.account_id == accounts.c.id) & (mailboxes.c.name == "INBOX")
)


def _account_fields(row: Row[Any] | Any) -> Sequence[Field]:
    return (
        row.id,
        row.address,
        row.policy,
        row.enabled,
        row.created,
        row.kdf_t,
        row.kdf_m_kib,
        row.kdf_salt,
        row.auth_hash,
    )


def _account(macs: RowMacs, row: Row[Any]) -> Account:
    macs.check("accounts", _account_fields(row), row.mac)
    kdf = None if row.kdf_salt is None else Kdf(row.kdf_t, row.kdf_m_kib, row.kdf_salt)
    return Account(
        row.id,
        row.address,
        Policy(row.policy),
        row.enabled,
        row.created,
        row.inbox,
        kdf,
        row.auth_hash,
    )


def find(connection: Connection, macs: RowMacs, address: str) -> Account:
    return _one(connection, macs, accounts.c.address == address)


def find_by_id(connection: Connection, macs: RowMacs, account_id: int) -> Account:
    return _one(connection, macs, accounts.c.id == account_id)


def _one(connection: Connection, macs: RowMacs, this: ColumnElement[bool]) -> Account:
    row = connection.execute(_SELECT.where(this)).one_or_none()
    if row is None:
        raise NotFound("no such account")
    return _account(macs, row)


def everyone(connection: Connection, macs: RowMacs) -> list[Account]:
    rows = connection.execute(_SELECT.order_by(accounts.c.id))
    return [_account(macs, row) for row in rows]


def recipient(connection: Connection, macs: RowMacs, address: str) -> Recipient:
    account = find(connection, macs, address)
    newest = (
        select(statements)
        .where(statements.c.account_id == account.account_id)
        .order_by(statements.c.sequence.desc())
        .limit(1)
    )
    row = connection.execute(newest).one_or_none()
    statement = None if row is None else _statement(macs, row)
    return Recipient(account, _certificates(connection, macs, account.account_id), statement)


def _certificates(
    connection: Connection, macs: RowMacs, account_id: int
) -> tuple[Certificate, ...]:
    mine = select(certificates).where(certificates.c.account_id == account_id)
    result = []
    for row in connection.execute(mine.order_by(certificates.c.id)):
        macs.check("certificates", (row.account_id, row.fingerprint, row.octets), row.mac)
        result.append(Certificate(row.fingerprint, row.octets))
    return tuple(result)


def _statement(macs: RowMacs, row: Row[Any]) -> Statement:
    macs.check("statements", (row.account_id, row.sequence, row.octets), row.mac)
    return Statement(row.sequence, row.octets)


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


def register(
    connection: Connection,
    macs: RowMacs,
    account: NewAccount,
    invite_hash: bytes | None,
    now: int,
) -> Account:
    if invite_hash is not None:
        credential_rows.use_invite(connection, macs, invite_hash, account.address, now)
    account_id = _insert(connection, account, now)
    _sign(connection, macs, account_id)
    create_defaults(connection, account_id, now)
    _replace_certificates(connection, macs, account_id, account.certificates)
    if account.statement is not None:
        _add_statement(connection, macs, account_id, account.statement)
    for box in account.boxes:
        credential_rows.put_box(connection, account_id, box)
    return find(connection, macs, account.address)


def _insert(connection: Connection, account: NewAccount, now: int) -> int:
    kdf = account.kdf
    row = {
        "address": account.address,
        "policy": account.policy.value,
        "enabled": True,
        "created": now,
        "kdf_t": kdf and kdf.t,
        "kdf_m_kib": kdf and kdf.m_kib,
        "kdf_salt": kdf and kdf.salt,
        "auth_hash": account.auth_hash,
        "mac": b"",
        "last_uidvalidity": 0,
    }
    try:
        inserted = connection.execute(insert(accounts).values(row))
    except IntegrityError:
        raise AlreadyExists("an account with that address exists") from None
    assert inserted.inserted_primary_key is not None
    return int(inserted.inserted_primary_key[0])


def _sign(connection: Connection, macs: RowMacs, account_id: int) -> None:
    """Give the account row, as it now stands, its MAC."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).one()
    mac = macs.make("accounts", _account_fields(row))
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(mac=mac))


def _change(connection: Connection, macs: RowMacs, account_id: int, **values: object) -> None:
    """Change an account row whose MAC is right. Raises NotFound, RowTampered."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).one_or_none()
    if row is None:
        raise NotFound("no such account")
    macs.check("accounts", _account_fields(row), row.mac)
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))
    _sign(connection, macs, account_id)


def publish(
    connection: Connection,
    macs: RowMacs,
    account_id: int,
    new: Sequence[Certificate],
    statement: Statement,
    policy: Policy,
) -> None:
    _change(connection, macs, account_id, policy=policy.value)
    _add_statement(connection, macs, account_id, statement)
    _replace_certificates(connection, macs, account_id, new)


def _add_statement(
    connection: Connection, macs: RowMacs, account_id: int, statement: Statement
) -> None:
    newest = select(func.max(statements.c.sequence)).where(statements.c.account_id == account_id)
    if statement.sequence != (connection.execute(newest).scalar() or 0) + 1:
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


def _replace_certificates(
    connection: Connection, macs: RowMacs, account_id: int, new: Sequence[Certificate]
) -> None:
    connection.execute(delete(certificates).where(certificates.c.account_id == account_id))
    for certificate in new:
        fields = (account_id, certificate.fingerprint, certificate.octets)
        connection.execute(
            insert(certificates).values(
                account_id=account_id,
                fingerprint=certificate.fingerprint,
                octets=certificate.octets,
                mac=macs.make("certificates", fields),
            )
        )


def set_enabled(connection: Connection, macs: RowMacs, account_id: int, enabled: bool) -> None:
    _change(connection, macs, account_id, enabled=enabled)


def set_auth(
    connection: Connection, macs: RowMacs, account_id: int, auth_hash: str, kdf: Kdf, slots: Box
) -> None:
    _change(
        connection,
        macs,
        account_id,
        auth_hash=auth_hash,
        kdf_t=kdf.t,
        kdf_m_kib=kdf.m_kib,
        kdf_salt=kdf.salt,
    )
    credential_rows.put_box(connection, account_id, slots)
