"""Invites, recovery logins, tokens and boxes in SQL."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from e2email_server.store.errors import AlreadyExists, Conflict, LimitReached, NotFound
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.schema import accounts, boxes, invites, recoveries, tokens
from e2email_server.store.types import Box, Invite, NewToken, Token

MAX_TOKENS = 200  # per account: every device and program of a person; protocol's TOKENS_CAP


# --- invites --------------------------------------------------------------------------------


def _invite_fields(row: Row[Any]) -> tuple[int | str | bytes, ...]:
    """Without `replaces` where it is null: those of before that column stay good."""
    fields = (row.hash, row.address, row.created, row.expires)
    return fields if row.replaces is None else (*fields, row.replaces)


def add_invite(connection: Connection, macs: RowMacs, invite: Invite, invite_hash: bytes) -> None:
    taken = select(accounts.c.id).where(accounts.c.address == invite.address)
    holder = connection.execute(taken).scalar()
    if holder is not None and invite.replaces is None:
        raise AlreadyExists("an account with that address exists")
    if holder != invite.replaces:
        raise NotFound("no such account")
    connection.execute(delete(invites).where(invites.c.address == invite.address))
    connection.execute(
        insert(invites).values(
            hash=invite_hash,
            address=invite.address,
            created=invite.created,
            expires=invite.expires,
            replaces=invite.replaces,
            mac=b"",
        )
    )
    this = invites.c.hash == invite_hash
    row = connection.execute(select(invites).where(this)).one()
    mac = macs.make("invites", _invite_fields(row))
    connection.execute(update(invites).where(this).values(mac=mac))


def find_invite(connection: Connection, macs: RowMacs, invite_hash: bytes, now: int) -> Invite:
    row = connection.execute(select(invites).where(invites.c.hash == invite_hash)).one_or_none()
    if row is None or row.expires <= now:
        raise NotFound("no such invite")
    macs.check("invites", _invite_fields(row), row.mac)
    return Invite(row.address, row.created, row.expires, row.replaces)


def use_invite(
    connection: Connection, macs: RowMacs, invite_hash: bytes, address: str, now: int
) -> Invite:
    invite = find_invite(connection, macs, invite_hash, now)
    if invite.address != address:
        raise NotFound("the invite is for another address")
    connection.execute(delete(invites).where(invites.c.hash == invite_hash))
    return invite


# --- recovery -------------------------------------------------------------------------------


def find_recovery(connection: Connection, macs: RowMacs, recovery_hash: bytes) -> int:
    this = recoveries.c.hash == recovery_hash
    row = connection.execute(select(recoveries).where(this)).one_or_none()
    if row is None:
        raise NotFound("no such recovery")
    macs.check("recoveries", (row.account_id, row.hash), row.mac)
    return int(row.account_id)


def has_recovery(connection: Connection, macs: RowMacs, account_id: int) -> bool:
    this = recoveries.c.account_id == account_id
    row = connection.execute(select(recoveries).where(this)).one_or_none()
    if row is not None:
        macs.check("recoveries", (row.account_id, row.hash), row.mac)
    return row is not None


def set_recovery(
    connection: Connection, macs: RowMacs, account_id: int, recovery_hash: bytes
) -> None:
    connection.execute(delete(recoveries).where(recoveries.c.account_id == account_id))
    mac = macs.make("recoveries", (account_id, recovery_hash))
    connection.execute(
        insert(recoveries).values(account_id=account_id, hash=recovery_hash, mac=mac)
    )


def drop(connection: Connection, account_id: int) -> None:
    """Recovery, tokens and boxes of an account."""
    for table in (recoveries, tokens, boxes):
        connection.execute(delete(table).where(table.c.account_id == account_id))


# --- tokens ---------------------------------------------------------------------------------


def _token_fields(row: Row[Any]) -> tuple[int | str | bytes, ...]:
    return (row.id, row.account_id, row.kind, row.name, row.scopes, row.hash, row.created)


def _token(macs: RowMacs, row: Row[Any]) -> Token:
    macs.check("tokens", _token_fields(row), row.mac)
    scopes = frozenset(row.scopes.split())
    return Token(row.id, row.account_id, row.kind, row.name, scopes, row.created, row.last_used_day)


def add_token(connection: Connection, macs: RowMacs, token: NewToken, now: int) -> Token:
    mine = select(func.count()).where(tokens.c.account_id == token.account_id)
    if connection.execute(mine).scalar_one() >= MAX_TOKENS:
        raise LimitReached("the account has as many tokens as it may have")
    inserted = connection.execute(
        insert(tokens).values(
            account_id=token.account_id,
            kind=token.kind,
            name=token.name,
            scopes=" ".join(sorted(token.scopes)),
            hash=token.token_hash,
            created=now,
            mac=b"",
            last_used_day=0,
        )
    )
    assert inserted.inserted_primary_key is not None
    this = tokens.c.id == inserted.inserted_primary_key[0]
    row = connection.execute(select(tokens).where(this)).one()
    mac = macs.make("tokens", _token_fields(row))  # over the id too, known only now
    connection.execute(update(tokens).where(this).values(mac=mac))
    return _token(macs, connection.execute(select(tokens).where(this)).one())


def find_token(connection: Connection, macs: RowMacs, token_hash: bytes) -> Token:
    row = connection.execute(select(tokens).where(tokens.c.hash == token_hash)).one_or_none()
    if row is None:
        raise NotFound("no such token")
    return _token(macs, row)


def list_tokens(connection: Connection, macs: RowMacs, account_id: int) -> list[Token]:
    mine = select(tokens).where(tokens.c.account_id == account_id).order_by(tokens.c.id)
    return [_token(macs, row) for row in connection.execute(mine)]


def remove_token(connection: Connection, account_id: int, token_id: int) -> None:
    this = (tokens.c.id == token_id) & (tokens.c.account_id == account_id)
    if connection.execute(delete(tokens).where(this)).rowcount == 0:
        raise NotFound("no such token")


def token_used(connection: Connection, token_id: int, day: int) -> None:
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_day=day))


# --- boxes ----------------------------------------------------------------------------------


def list_boxes(connection: Connection, account_id: int) -> list[Box]:
    mine = select(boxes).where(boxes.c.account_id == account_id).order_by(boxes.c.name)
    return [Box(row.name, row.version, row.octets) for row in connection.execute(mine)]


def find_box(connection: Connection, account_id: int, name: str) -> Box:
    this = (boxes.c.account_id == account_id) & (boxes.c.name == name)
    row = connection.execute(select(boxes).where(this)).one_or_none()
    if row is None:
        raise NotFound("no such box")
    return Box(row.name, row.version, row.octets)


def put_box(connection: Connection, account_id: int, box: Box) -> None:
    this = (boxes.c.account_id == account_id) & (boxes.c.name == box.name)
    stored = connection.execute(select(boxes.c.version).where(this)).scalar() or 0
    if box.version != stored + 1:
        raise Conflict("another version is stored")
    connection.execute(delete(boxes).where(this))
    connection.execute(
        insert(boxes).values(
            account_id=account_id, name=box.name, version=box.version, octets=box.octets
        )
    )


def remove_boxes(connection: Connection, account_id: int, names: Collection[str]) -> None:
    these = (boxes.c.account_id == account_id) & boxes.c.name.in_(names)
    connection.execute(delete(boxes).where(these))


def require_absent(connection: Connection, account_id: int, names: Collection[str]) -> None:
    these = (boxes.c.account_id == account_id) & boxes.c.name.in_(names)
    if connection.execute(select(boxes.c.name).where(these)).first() is not None:
        raise Conflict("something is stored that is not named")
