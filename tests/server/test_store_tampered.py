"""Somebody writes to mail.db: no row that decides about keys or logins is used as it then is."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Boolean, Column, Integer, LargeBinary

from e2email_client.api import Login
from e2email_client.failure import Offline
from e2email_protocol import account as m
from e2email_protocol.sealed.record import Policy
from e2email_server.store.errors import NotFound, RowTampered
from e2email_server.store.schema import metadata
from e2email_server.store.sql import SqlStore
from e2email_server.store.types import (
    Certificate,
    Invite,
    NewToken,
    Pairing,
    Rewrap,
    Statement,
)
from support.account_server import ALICE, BOB, Running, account_server, split
from support.store_data import TestClock, new_account, sql_store

LATER = 2_000_000_000

# How each table with a MAC is looked at.
READS: dict[str, Callable[[SqlStore], Awaitable[object]]] = {
    "accounts": lambda store: store.account(ALICE),
    "invites": lambda store: store.find_invite(b"i" * 32),
    "recoveries": lambda store: store.find_recovery(b"r" * 32),
    "pairings": lambda store: store.take_pairing(b"p" * 32),
    "certificates": lambda store: store.certificates(1),
    "past_certificates": lambda store: store.certificates(1),
    "statements": lambda store: store.statements(1, 1, 9),
    "tokens": lambda store: store.find_token(b"t" * 32),
}
OUTSIDE = {
    "accounts.last_uidvalidity": "changes with every mailbox",
    "tokens.last_used_day": "changes with use",
    "certificates.id": "says in which order they were stored",
}
TABLES = {name: table for name, table in metadata.tables.items() if "mac" in table.columns}
COLUMNS = [
    f"{name}.{column.name}"
    for name, table in TABLES.items()
    for column in table.columns
    if f"{name}.{column.name}" not in OUTSIDE
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    """With a row in each of them."""
    made = await sql_store(tmp_path)
    alice = (await made.register(new_account(ALICE), None)).account_id
    assert alice == 1
    await made.publish(alice, [Certificate("CD" * 20, b"2")], Statement(2, b"2"), Policy.SEALED)
    await made.rewrap(alice, Rewrap(recovery_hash=b"r" * 32))
    await made.invite(Invite(ALICE, 1, LATER, alice), b"i" * 32)
    await made.add_pairing(Pairing(alice, LATER, b"p" * 32, b"message"))
    await made.add_token(NewToken(alice, "device", "x", frozenset({"read"}), b"t" * 32))
    yield made
    await made.close()


def execute(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "mail.db", timeout=30)) as connection:
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()


def test_every_table_with_a_mac_is_looked_at_here() -> None:
    assert TABLES.keys() == READS.keys()


def other(column: Column[object]) -> str:
    """Another value, in SQL."""
    if isinstance(column.type, LargeBinary):
        return f"CAST(substr({column.name}, 2) || x'00' AS BLOB)"
    if isinstance(column.type, Boolean):
        return f"NOT {column.name}"
    if isinstance(column.type, Integer):
        return f"{column.name} + 1"
    return f"{column.name} || 'x'"


@pytest.mark.parametrize("name", COLUMNS)
async def test_a_changed_column(store: SqlStore, tmp_path: Path, name: str) -> None:
    table, _, column = name.partition(".")
    assert await READS[table](store) if table != "pairings" else True
    change = f"UPDATE {table} SET {column} = {other(TABLES[table].columns[column])}"
    if name in {"statements.account_id", "statements.sequence"}:
        change += " WHERE sequence = 2"
    execute(tmp_path, change)
    try:
        found = await READS[table](store)
    except (RowTampered, NotFound):
        return
    # what is found by the column that was changed is not there any more, like a removed row
    assert column == "account_id"
    assert len(found) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in COLUMNS if name.endswith(".account_id")])
async def test_a_row_that_is_given_to_somebody_else(
    store: SqlStore, tmp_path: Path, name: str
) -> None:
    table = name.partition(".")[0]
    bob = (await store.register(new_account(BOB), None)).account_id
    execute(tmp_path, "DELETE FROM statements WHERE account_id = ?", bob)
    execute(tmp_path, "DELETE FROM certificates WHERE account_id = ?", bob)
    execute(tmp_path, f"UPDATE {table} SET account_id = ? WHERE account_id = 1", bob)
    reads: dict[str, Callable[[], Awaitable[object]]] = {
        "certificates": lambda: store.recipient(BOB),
        "past_certificates": lambda: store.certificates(bob),
        "statements": lambda: store.statements(bob, 1, 9),
    }
    with pytest.raises(RowTampered):
        await reads.get(table, lambda: READS[table](store))()


@pytest.mark.parametrize("name", TABLES)
async def test_a_row_that_somebody_made(store: SqlStore, tmp_path: Path, name: str) -> None:
    """The same values, and a MAC of nowhere: as good as what is known without the key."""
    names = ", ".join(one.name for one in TABLES[name].columns if one.name != "mac")
    _remake(tmp_path, name, names)
    with pytest.raises(RowTampered):
        await READS[name](store)


def _remake(folder: Path, table: str, names: str) -> None:
    with closing(sqlite3.connect(folder / "mail.db", timeout=30)) as connection:
        rows = connection.execute(f"SELECT {names} FROM {table}").fetchall()
        connection.execute(f"DELETE FROM {table}")
        marks = ", ".join("?" * len(rows[0]))
        insert = f"INSERT INTO {table} ({names}, mac) VALUES ({marks}, randomblob(32))"
        connection.executemany(insert, rows)
        connection.commit()


async def test_a_past_certificate_does_not_come_back_into_use(
    store: SqlStore, tmp_path: Path
) -> None:
    """The row with its own MAC, in the other table."""
    execute(
        tmp_path,
        "INSERT INTO certificates (account_id, fingerprint, octets, mac)"
        " SELECT account_id, fingerprint, octets, mac FROM past_certificates",
    )
    with pytest.raises(RowTampered):
        await store.recipient(ALICE)


async def test_an_ordinary_invite_does_not_come_to_replace(store: SqlStore, tmp_path: Path) -> None:
    await store.invite(Invite("carol@example.test", 1, LATER), b"c" * 32)
    execute(tmp_path, "UPDATE invites SET address = ?, replaces = 1 WHERE address LIKE 'c%'", "d@x")
    with pytest.raises(RowTampered):
        await store.find_invite(b"c" * 32)


@pytest.mark.parametrize("table", ["certificates", "past_certificates"])
async def test_no_change_blesses_a_changed_certificate(
    store: SqlStore, tmp_path: Path, table: str
) -> None:
    execute(tmp_path, f"UPDATE {table} SET octets = x'00'")
    name = "CD" * 20 if table == "certificates" else "AB" * 20
    with pytest.raises(RowTampered):
        await store.revise(1, Certificate(name, b"revoked"))
    if table == "certificates":
        with pytest.raises(RowTampered):
            await store.publish(1, [], Statement(3, b"3"), Policy.SEALED)


# --- over HTTPS -----------------------------------------------------------------------------


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    store = await sql_store(tmp_path, TestClock())
    async with account_server(store=store) as started:  # type: ignore[arg-type]
        await started.register()
        yield started
    await store.close()


FORGED = b"\xab" * 32


async def forge(running: Running, folder: Path, what: str) -> Login:
    """Logins that somebody writes into the database, knowing even the key of the hashes."""
    hashed = running.logins.token_hash
    if what == "recovery":
        insert = "INSERT INTO recoveries (account_id, hash, mac) VALUES (1, ?, randomblob(32))"
        execute(folder, insert, running.logins.recovery_hash(FORGED))
        return Login.device("e2r_" + FORGED.hex())
    if what == "device token":
        insert = (
            "INSERT INTO tokens (account_id, kind, name, scopes, hash, created, mac, last_used_day)"
            " VALUES (1, 'device', '', '', ?, 1, randomblob(32), 0)"
        )
        execute(folder, insert, hashed("e2d_" + "a" * 32))
        return Login.device("e2d_" + "a" * 32)
    insert = (
        "INSERT INTO invites (hash, address, created, expires, replaces, mac)"
        " VALUES (?, ?, 1, 2000000000, 1, randomblob(32))"
    )
    execute(folder, insert, hashed("e2i_" + "a" * 32), ALICE)
    return Login.invite("e2i_" + "a" * 32)


@pytest.mark.parametrize("what", ["recovery", "device token", "invite that replaces"])
async def test_a_login_that_somebody_wrote_into_the_database(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    login = await forge(running, tmp_path, what)
    with pytest.raises(Offline):  # 503
        await asyncio.to_thread(
            running.api.call, "GET", "/v1/statements", m.Statements, login=login
        )
    assert "does not carry its MAC" in caplog.text
    own = Login.afresh(ALICE, split().auth)
    await asyncio.to_thread(running.api.call, "GET", "/v1/vault", m.VaultBox, login=own)


async def test_a_changed_passphrase_hash(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    auth = await running.logins.hash_auth(FORGED)
    execute(tmp_path, "UPDATE accounts SET auth_hash = ?", auth)
    with pytest.raises(Offline):
        await asyncio.to_thread(
            running.api.call,
            "GET",
            "/v1/vault",
            m.VaultBox,
            login=Login.afresh(ALICE, FORGED),
        )
    assert "does not carry its MAC" in caplog.text
