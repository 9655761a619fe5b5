"""What only the store on SQLite can show: durability, replay, tampering, files, migrations."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from e2email_server.smtp.delivery import Refusal
from e2email_server.store import blobs, engine, message_rows
from e2email_server.store.errors import (
    DiskFull,
    NotFound,
    RowTampered,
    StoreFailed,
    StoreUnusable,
)
from e2email_server.store.migrate import migrate
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.schema import metadata
from e2email_server.store.sql import BODY_IN_ROW, SqlStore
from e2email_server.store.types import Account, FlagOp, Invite, NewMessage, NewToken
from e2email_server.store.writer import MAX_BATCH, translate
from e2email_server.targets import NotTaken
from support.store_data import MAC_KEY, append_one, message, new_account, sql_store

LARGE = b"x" * (BODY_IN_ROW + 1)
DELETED = frozenset({"\\Deleted"})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    made = await sql_store(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def alice(store: SqlStore) -> Account:
    return await store.register(new_account(), None)


def execute(folder: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """As an intruder with the database file would."""
    with closing(sqlite3.connect(folder / "mail.db")) as connection, connection:
        return connection.execute(statement, values).fetchall()


def files(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").iterdir())


# --- what a row must carry ------------------------------------------------------------------


async def test_an_inserted_certificate_stops_delivery(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    insert = "INSERT INTO certificates (account_id, fingerprint, octets, mac) VALUES (?,?,?,?)"
    execute(tmp_path, insert, alice.account_id, "EE" * 20, b"of an intruder", b"\0" * 32)
    with pytest.raises(RowTampered):
        await store.recipient(alice.address)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE certificates SET octets = x'00'",
        "UPDATE certificates SET mac = (SELECT mac FROM statements)",
        "UPDATE statements SET octets = x'00'",
        "UPDATE statements SET sequence = 2",
        "UPDATE accounts SET policy = 'baseline'",
        "UPDATE accounts SET address = 'mallory@example.test'",
        "UPDATE accounts SET auth_hash = 'known'",
        "UPDATE accounts SET enabled = 0",
        "UPDATE accounts SET kdf_t = 1",
    ],
)
async def test_a_changed_row_is_not_used(
    store: SqlStore, alice: Account, tmp_path: Path, change: str
) -> None:
    execute(tmp_path, change)
    address = "mallory@example.test" if "mallory" in change else alice.address
    with pytest.raises(RowTampered):
        await store.recipient(address)


async def test_certificates_do_not_move_between_accounts(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    bob = await store.register(new_account("bob@example.test"), None)
    move = "UPDATE certificates SET account_id = ?, fingerprint = 'FF' WHERE account_id = ?"
    execute(tmp_path, move, alice.account_id, bob.account_id)
    with pytest.raises(RowTampered):
        await store.recipient(alice.address)


@pytest.mark.parametrize("column", ["scopes = 'delete read'", "account_id = 2", "kind = 'device'"])
async def test_a_changed_token_is_not_used(
    store: SqlStore, alice: Account, tmp_path: Path, column: str
) -> None:
    await store.add_token(NewToken(alice.account_id, "app", "x", frozenset({"read"}), b"t" * 32))
    execute(tmp_path, f"UPDATE tokens SET {column}")
    with pytest.raises(RowTampered):
        await store.find_token(b"t" * 32)


async def test_a_changed_invite_is_not_used(store: SqlStore, tmp_path: Path) -> None:
    await store.invite(Invite("alice@example.test", 1, 2_000_000_000), b"h" * 32)
    execute(tmp_path, "UPDATE invites SET address = 'mallory@example.test'")
    with pytest.raises(RowTampered):
        await store.find_invite(b"h" * 32)


async def test_a_tampered_row_is_not_blessed_by_a_change(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    execute(tmp_path, "UPDATE accounts SET auth_hash = 'known'")
    with pytest.raises(RowTampered):
        await store.set_enabled(alice.account_id, True)


async def test_another_key_checks_nothing(
    store: SqlStore, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_macs", RowMacs(b"other key".ljust(32)))
    with pytest.raises(RowTampered):
        await store.account(alice.address)


async def test_the_first_delivery_after_a_foreign_write_fails(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    await store.deliver([message(alice.inbox)])
    before = store.epoch
    execute(tmp_path, "UPDATE certificates SET octets = x'00'")
    with pytest.raises(StoreFailed):
        await store.deliver([message(alice.inbox)])
    assert store.epoch != before
    await store.deliver([message(alice.inbox)])
    assert len((await store.entries(alice.inbox)).entries) == 2


async def test_our_own_writes_are_not_foreign(store: SqlStore, alice: Account) -> None:
    before = store.epoch
    for _ in range(3):
        await store.deliver([message(alice.inbox)])
        await store.entries(alice.inbox)
    assert store.epoch == before


# --- batches --------------------------------------------------------------------------------


async def test_a_batch_is_one_commit(
    store: SqlStore, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = message_rows.add

    def counted(transaction: object, arrivals: list[object]) -> object:
        calls.append(len(arrivals))
        return real(transaction, arrivals)  # type: ignore[arg-type]

    monkeypatch.setattr(message_rows, "add", counted)
    await asyncio.gather(*(store.deliver([message(alice.inbox)]) for _ in range(300)))
    assert sum(calls) == 300
    assert len(calls) < 150
    assert max(calls) <= MAX_BATCH


async def test_a_failed_batch_is_replayed_without_the_guilty(
    store: SqlStore, alice: Account
) -> None:
    tasks = [
        store.deliver([message(9999 if number == 50 else alice.inbox)]) for number in range(100)
    ]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [result for result in done if isinstance(result, BaseException)]
    assert [type(failure) for failure in failures] == [NotFound]
    assert len((await store.entries(alice.inbox)).entries) == 99


async def test_a_bug_fails_its_caller_and_nobody_else(
    store: SqlStore, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret text")

    monkeypatch.setattr(message_rows, "append", broken)
    with pytest.raises(StoreFailed) as caught:
        await append_one(store, message(alice.inbox))
    assert "secret" not in str(caught.value)
    await store.deliver([message(alice.inbox)])


async def test_a_failed_commit_stores_nothing_and_is_not_replayed(
    store: SqlStore, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[object] = []

    def fail(connection: sqlite3.Connection) -> None:
        attempts.append(connection)
        raise sqlite3.OperationalError("disk I/O error")

    dialect = store._writer._engine.dialect
    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_commit", fail)
        with pytest.raises(StoreFailed, match="disk I/O error"):
            await store.deliver([message(alice.inbox)])
    assert len(attempts) == 1
    assert (await store.entries(alice.inbox)).entries == ()
    assert (await store.deliver([message(alice.inbox)]))[0].uid == 1


async def test_a_cancelled_delivery_disturbs_nobody(store: SqlStore, alice: Account) -> None:
    task = asyncio.create_task(store.deliver([message(alice.inbox)]))
    await asyncio.sleep(0)
    task.cancel()
    await store.deliver([message(alice.inbox)])
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_commits_what_is_queued(tmp_path: Path) -> None:
    store = await sql_store(tmp_path)
    alice = await store.register(new_account(), None)
    tasks = [asyncio.create_task(store.deliver([message(alice.inbox)])) for _ in range(200)]
    await asyncio.sleep(0)
    await store.close()
    assert len(await asyncio.gather(*tasks)) == 200
    with pytest.raises(StoreFailed):
        await store.deliver([message(alice.inbox)])
    again = await sql_store(tmp_path)
    assert len((await again.entries(alice.inbox)).entries) == 200
    await again.close()


def test_a_full_disk_is_told_from_a_broken_one() -> None:
    assert isinstance(translate(sqlite3.OperationalError("database or disk is full")), DiskFull)
    assert isinstance(translate(OSError(28, "No space left on device")), DiskFull)
    assert type(translate(sqlite3.OperationalError("disk I/O error"))) is StoreFailed


def test_the_writer_asks_for_full_durability(tmp_path: Path) -> None:
    with engine.write_engine(tmp_path / "x.db").connect() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "temp_store", "secure_delete")
        }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "temp_store": 2,
        "secure_delete": 2,
    }


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    migrate(tmp_path / "mail.db")
    with (
        engine.read_engine(tmp_path / "mail.db").connect() as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.exec_driver_sql("DELETE FROM accounts")


# --- large bodies ---------------------------------------------------------------------------


async def test_a_large_body_is_a_file_until_its_last_message(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    await store.deliver([message(alice.inbox, LARGE), message(alice.inbox, LARGE[:-1])])
    assert [path.read_bytes() for path in files(tmp_path)] == [LARGE]
    assert files(tmp_path)[0].stat().st_mode & 0o777 == 0o600
    assert [m.body is None for m in await store.messages(alice.inbox, [1, 2], bodies=True)] == [
        True,
        False,
    ]
    await store.copy(alice.inbox, [1], alice.inbox)
    await store.store_flags(alice.inbox, [1], FlagOp.ADD, DELETED)
    await store.expunge(alice.inbox, None)
    assert len(files(tmp_path)) == 1
    await store.store_flags(alice.inbox, [3], FlagOp.ADD, DELETED)
    await store.expunge(alice.inbox, None)
    await store.subscribe(alice.inbox, True)  # the writer removed the file before this
    assert files(tmp_path) == []


async def test_a_deleted_mailbox_takes_its_files_along(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    made = await store.create(alice.account_id, "Gone")
    await store.deliver([message(made.mailbox_id, LARGE)])
    await store.delete(made.mailbox_id)
    await store.subscribe(alice.inbox, True)
    assert files(tmp_path) == []
    assert execute(tmp_path, "SELECT count(*) FROM records") == [(0,)]


async def test_a_refused_delivery_leaves_no_file(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    with pytest.raises(NotFound):
        await store.deliver([message(alice.inbox, LARGE), message(9999)])
    with pytest.raises(NotFound):
        await append_one(store, message(9999, LARGE))
    assert files(tmp_path) == []


async def test_of_messages_made_one_by_one_only_one_large_body_is_held(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    written = []

    async def making() -> AsyncIterator[NewMessage]:
        for _ in range(3):
            written.append(len(files(tmp_path)))
            yield message(alice.inbox, LARGE)

    assert [placed.uid for placed in await store.deliver(making())] == [1, 2, 3]
    assert written == [0, 1, 2]


async def test_small_bodies_of_one_delivery_are_held_up_to_a_bound(
    store: SqlStore, alice: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2email_server.store.sql.BODIES_HELD", 1000)
    await store.deliver([message(alice.inbox, b"x" * 400) for _ in range(5)])
    assert len(files(tmp_path)) == 3
    assert [await store.body(alice.inbox, uid, 0, 999) for uid in range(1, 6)] == [b"x" * 400] * 5


async def test_what_making_a_message_raises_leaves_nothing(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    async def making() -> AsyncIterator[NewMessage]:
        yield message(alice.inbox, LARGE)
        raise NotTaken(Refusal.NO_KEY)

    with pytest.raises(NotTaken):
        await store.deliver(making())
    assert files(tmp_path) == []
    assert (await store.mailbox(alice.inbox)).uidnext == 1


async def test_a_second_append_leaves_no_second_file(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    new = message(alice.inbox, LARGE)
    assert await append_one(store, new) == await append_one(store, new)
    await store.subscribe(alice.inbox, True)
    assert len(files(tmp_path)) == 1


async def test_orphans_are_swept_at_start(tmp_path: Path) -> None:
    store = await sql_store(tmp_path)
    alice = await store.register(new_account(), None)
    await store.deliver([message(alice.inbox, LARGE)])
    await store.close()
    kept = files(tmp_path)
    (tmp_path / "blobs" / "0123.tmp").write_bytes(b"half")
    (tmp_path / "blobs" / ("0" * 32)).write_bytes(b"no row names it")
    again = await sql_store(tmp_path)
    assert files(tmp_path) == kept
    assert await again.body(alice.inbox, 1, 0, 10) == LARGE[:10]
    await again.close()


async def test_a_file_that_cannot_be_written_stores_nothing(
    store: SqlStore, alice: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(blobs.os, "fsync", fail)
        with pytest.raises(DiskFull):
            await store.deliver([message(alice.inbox), message(alice.inbox, LARGE)])
    assert files(tmp_path) == []
    assert (await store.entries(alice.inbox)).entries == ()


async def test_a_missing_file_is_an_expunged_message(
    store: SqlStore, alice: Account, tmp_path: Path
) -> None:
    await store.deliver([message(alice.inbox, LARGE)])
    files(tmp_path)[0].unlink()
    with pytest.raises(NotFound):
        await store.body(alice.inbox, 1, 0, 10)


# --- damage and versions --------------------------------------------------------------------


@pytest.mark.parametrize("change", ["form = 'zipped'", "policy = '?'", "version = 99"])
async def test_a_damaged_record_is_an_error_not_a_message(
    store: SqlStore, alice: Account, tmp_path: Path, change: str
) -> None:
    await store.deliver([message(alice.inbox)])
    execute(tmp_path, f"UPDATE records SET {change}")
    with pytest.raises(StoreFailed):
        await store.messages(alice.inbox, [1])


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    migrate(tmp_path / "mail.db")
    with engine.read_engine(tmp_path / "mail.db").connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        tables = {
            row[0]: row[1]
            for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_schema")
        }
    assert "WITHOUT ROWID" in tables["messages"]
    assert "AUTOINCREMENT" in tables["mailboxes"]


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    migrate(tmp_path / "mail.db")
    migrate(tmp_path / "mail.db")
    assert execute(tmp_path, "SELECT version_num FROM alembic_version") == [("0004",)]
    assert (tmp_path / "mail.db").stat().st_mode & 0o777 == 0o600


@contextmanager
def at_revision(folder: Path, revision: str) -> Iterator[Connection]:
    """The database as an earlier program made it."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(engine.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    made = engine.write_engine(folder / "mail.db")
    with made.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield connection
    made.dispose()


def test_what_the_first_schema_held_is_taken_along(tmp_path: Path) -> None:
    database = tmp_path / "mail.db"
    with at_revision(tmp_path, "0001") as connection:
        for name in ("INBOX", "Sent"):
            connection.exec_driver_sql(
                "INSERT INTO mailboxes (account_id, name, subscribed, uidvalidity, uidnext, "
                "highest_modseq) VALUES (1, ?, 1, 1, 2, 2)",
                (name,),
            )
        connection.exec_driver_sql("INSERT INTO messages VALUES (1, 1, 2, '', 5, 9, 9, x'00', 1)")
    migrate(database)
    first, second = execute(tmp_path, "SELECT object_id FROM mailboxes")
    assert first != second
    assert all(re.fullmatch(r"M[0-9a-f]{32}", row[0]) for row in (first, second))
    ((date, saved),) = execute(tmp_path, "SELECT internal_date, saved FROM messages")
    assert date == 5
    assert saved > 1_700_000_000


async def test_an_invite_of_before_there_were_replacing_ones_is_good(tmp_path: Path) -> None:
    fields = (b"h" * 32, "alice@example.test", 1, 2_000_000_000)
    mac = RowMacs(MAC_KEY).make("invites", fields)
    with at_revision(tmp_path, "0002") as connection:
        connection.exec_driver_sql("INSERT INTO invites VALUES (?, ?, ?, ?, ?)", (*fields, mac))
    store = await sql_store(tmp_path)
    assert await store.find_invite(b"h" * 32) == Invite(*fields[1:])
    await store.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    migrate(tmp_path / "mail.db")
    execute(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match="made by a newer e2email-server"):
        migrate(tmp_path / "mail.db")


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mail.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreUnusable, match="not a database"):
        migrate(tmp_path / "mail.db")


# --- silence --------------------------------------------------------------------------------


def test_values_do_not_print_what_they_hold() -> None:
    account = new_account()
    texts = [
        repr(account),
        repr(message(1, b"canary-body")),
        repr(account.boxes[0]),
        repr(account.certificates[0]),
        repr(RowMacs(b"canary".ljust(32))),
    ]
    for secret in ("argon2id", "canary", "b'slots'", "certificate of", "[...]"):
        assert not any(secret in text for text in texts), secret
