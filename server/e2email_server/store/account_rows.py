"""Accounts in SQL, and what changes together with one. Over a connection; no threads here."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from e2email_crypto.token import Field
from e2email_protocol.sealed.record import Policy
from e2email_server.store import credential_rows, key_rows, pairing_rows
from e2email_server.store.errors import AlreadyExists, NotFound
from e2email_server.store.mailbox_rows import create_defaults
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.schema import accounts, mailboxes
from e2email_server.store.types import (
    Account,
    Certificate,
    Kdf,
    NewAccount,
    Recipient,
    Rewrap,
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
    return Recipient(
        account,
        key_rows.in_use(connection, macs, account.account_id),
        key_rows.newest(connection, macs, account.account_id),
    )


def register(
    connection: Connection,
    macs: RowMacs,
    account: NewAccount,
    invite_hash: bytes | None,
    now: int,
) -> Account:
    replaces = None
    if invite_hash is not None:
        invite = credential_rows.use_invite(connection, macs, invite_hash, account.address, now)
        replaces = invite.replaces
    if replaces is None:
        account_id = _insert(connection, account, now)
        _sign(connection, macs, account_id)
        create_defaults(connection, account_id, now)
    else:
        account_id = replaces
        _clear(connection, macs, account_id, account)
    key_rows.replace(connection, macs, account_id, account.certificates)
    if account.statement is not None:
        key_rows.add_statement(connection, macs, account_id, account.statement)
    for box in account.boxes:
        credential_rows.put_box(connection, account_id, box)
    if account.recovery_hash is not None:
        credential_rows.set_recovery(connection, macs, account_id, account.recovery_hash)
    return find(connection, macs, account.address)


def _clear(connection: Connection, macs: RowMacs, account_id: int, new: NewAccount) -> None:
    """Of an account that begins anew nothing stays but its mail and its history."""
    _change(connection, macs, account_id, policy=new.policy.value, **_login(new.kdf, new.auth_hash))
    credential_rows.drop(connection, account_id)
    pairing_rows.drop(connection, account_id)


def _insert(connection: Connection, account: NewAccount, now: int) -> int:
    row = {
        "address": account.address,
        "policy": account.policy.value,
        "enabled": True,
        "created": now,
        **_login(account.kdf, account.auth_hash),
        "mac": b"",
        "last_uidvalidity": 0,
    }
    try:
        inserted = connection.execute(insert(accounts).values(row))
    except IntegrityError:
        raise AlreadyExists("an account with that address exists") from None
    assert inserted.inserted_primary_key is not None
    return int(inserted.inserted_primary_key[0])


def _login(kdf: Kdf | None, auth_hash: str) -> dict[str, object]:
    """The columns of it."""
    return {
        "kdf_t": kdf and kdf.t,
        "kdf_m_kib": kdf and kdf.m_kib,
        "kdf_salt": kdf and kdf.salt,
        "auth_hash": auth_hash,
    }


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
    if values:
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
    key_rows.add_statement(connection, macs, account_id, statement)
    key_rows.replace(connection, macs, account_id, new)


def set_enabled(connection: Connection, macs: RowMacs, account_id: int, enabled: bool) -> None:
    _change(connection, macs, account_id, enabled=enabled)


def rewrap(connection: Connection, macs: RowMacs, account_id: int, change: Rewrap) -> None:
    login = change.login
    _change(connection, macs, account_id, **(_login(login.kdf, login.auth_hash) if login else {}))
    credential_rows.require_absent(connection, account_id, change.absent)
    for box in change.boxes:
        credential_rows.put_box(connection, account_id, box)
    if change.recovery_hash is not None:
        credential_rows.set_recovery(connection, macs, account_id, change.recovery_hash)
