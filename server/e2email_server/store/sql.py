"""The store on SQLite: async methods over one writer thread and a few readers.

A method hands a function to the writer or to a reader and awaits it; what the functions do stands
in the `*_rows` modules.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Error as DriverError
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from e2email_protocol.sealed.record import Policy
from e2email_server.clock import Clock, now
from e2email_server.store import (
    account_rows,
    credential_rows,
    mailbox_rows,
    message_reads,
    message_rows,
)
from e2email_server.store.blobs import BlobFiles
from e2email_server.store.disk import FreeSpace
from e2email_server.store.engine import Readers, driver, read_engine, write_engine
from e2email_server.store.errors import DiskFull, NotFound, StoreFailed
from e2email_server.store.message_rows import Arrival, arrival
from e2email_server.store.migrate import migrate
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.types import (
    Account,
    Box,
    Certificate,
    Changes,
    Copied,
    Counts,
    FlagOp,
    Flags,
    FlagsStored,
    Invite,
    Kdf,
    Mailbox,
    Messages,
    NewAccount,
    NewMessage,
    NewToken,
    Placed,
    Recipient,
    Statement,
    StoredMessage,
    Token,
    one_by_one,
)
from e2email_server.store.waiters import Waiters
from e2email_server.store.writer import Transaction, Writer, translate

T = TypeVar("T")

DATABASE = "mail.db"
BLOBS = "blobs"
# Larger bodies are files: SQLite keeps a large value as a chain of pages that it walks from the
# start for every range, and its log would carry each of them twice.
BODY_IN_ROW = 256 * 1024
# Of one delivery to many: beyond it small bodies are files too, so that it needs no more memory
# than this and the mail itself, however many accounts an alias names.
BODIES_HELD = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Call:
    """Any piece of work."""

    function: Callable[[Transaction], Any]


@dataclass(frozen=True, slots=True)
class _Delivery:
    """New mail; neighbours in a batch are inserted together."""

    arrivals: list[Arrival]


_Work = _Call | _Delivery


class SqlStore:
    """See api.Store. Made by `open_store`, inside a running loop."""

    def __init__(self, folder: Path, macs: RowMacs, space: FreeSpace, clock: Clock = now) -> None:
        self._macs, self._space, self._clock = macs, space, clock
        self._blobs = BlobFiles(folder / BLOBS)
        self._readers = Readers(read_engine(folder / DATABASE))
        self._waiters = Waiters()
        self._writer: Writer[_Work] = Writer(
            write_engine(folder / DATABASE), self._apply, self._committed, self._durable
        )
        self._epoch = 0
        self._version: int | None = None  # of the database; the writer thread's

    @property
    def epoch(self) -> int:
        return self._epoch

    def _committed(self, transaction: Transaction) -> None:
        self._epoch += transaction.accounts_changed
        self._waiters.committed(transaction.highest, transaction.deleted)

    def _durable(self, transaction: Transaction) -> None:
        self._version = transaction.version
        self._blobs.unlink(transaction.unlink)

    def _apply(self, transaction: Transaction, works: Sequence[_Work]) -> list[Any]:
        """Do the works in order; a run of deliveries becomes one insert."""
        transaction.version = _data_version(transaction.connection)
        foreign = self._version not in (None, transaction.version)
        transaction.accounts_changed = foreign
        results: list[Any] = []
        while len(results) < len(works):
            work = works[len(results)]
            if isinstance(work, _Call):
                results.append(work.function(transaction))
            elif foreign:
                results.append(StoreFailed("another process wrote to the database"))
            else:
                results += _insert(transaction, _deliveries(works, len(results)))
        return results

    async def _write(self, function: Callable[[Transaction], T]) -> T:
        result: T = await self._writer.do(_Call(function))
        return result

    async def _change(self, function: Callable[[Connection], T]) -> T:
        return await self._write(lambda transaction: function(transaction.connection))

    async def _change_account(self, function: Callable[[Connection], T]) -> T:
        def change(transaction: Transaction) -> T:
            transaction.accounts_changed = True
            return function(transaction.connection)

        return await self._write(change)

    async def _read(self, function: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers.pool, self._readers.call, function)
        except (SQLAlchemyError, DriverError, OSError) as error:
            raise translate(error) from error

    def has_room(self) -> bool:
        return self._space.has_room()

    async def sweep(self) -> int:
        """Remove blob files that no row names; only before the first delivery."""
        await self._change(lambda _: None)  # learns the database's version
        known = await self._read(message_reads.file_names)
        return await asyncio.to_thread(self._blobs.sweep, known)

    async def close(self) -> None:
        await self._writer.close()
        await asyncio.to_thread(self._readers.close)

    # --- accounts ---------------------------------------------------------------------------

    async def register(self, account: NewAccount, invite_hash: bytes | None) -> Account:
        time = self._clock()
        return await self._change_account(
            lambda c: account_rows.register(c, self._macs, account, invite_hash, time)
        )

    async def account(self, address: str) -> Account:
        return await self._read(lambda c: account_rows.find(c, self._macs, address))

    async def account_by_id(self, account_id: int) -> Account:
        return await self._read(lambda c: account_rows.find_by_id(c, self._macs, account_id))

    async def accounts(self) -> list[Account]:
        return await self._read(lambda c: account_rows.everyone(c, self._macs))

    async def recipient(self, address: str) -> Recipient:
        return await self._read(lambda c: account_rows.recipient(c, self._macs, address))

    async def statements(self, account_id: int, first: int, count: int) -> list[Statement]:
        return await self._read(
            lambda c: account_rows.history(c, self._macs, account_id, first, count)
        )

    async def publish(
        self,
        account_id: int,
        certificates: Sequence[Certificate],
        statement: Statement,
        policy: Policy,
    ) -> None:
        await self._change_account(
            lambda c: account_rows.publish(
                c, self._macs, account_id, certificates, statement, policy
            )
        )

    async def set_enabled(self, account_id: int, enabled: bool) -> None:
        await self._change_account(
            lambda c: account_rows.set_enabled(c, self._macs, account_id, enabled)
        )

    async def set_auth(self, account_id: int, auth_hash: str, kdf: Kdf, slots: Box) -> None:
        await self._change_account(
            lambda c: account_rows.set_auth(c, self._macs, account_id, auth_hash, kdf, slots)
        )

    # --- credentials ------------------------------------------------------------------------

    async def invite(self, invite: Invite, invite_hash: bytes) -> None:
        await self._change(lambda c: credential_rows.add_invite(c, self._macs, invite, invite_hash))

    async def find_invite(self, invite_hash: bytes) -> Invite:
        time = self._clock()
        return await self._read(
            lambda c: credential_rows.find_invite(c, self._macs, invite_hash, time)
        )

    async def add_token(self, token: NewToken) -> Token:
        time = self._clock()
        return await self._change(lambda c: credential_rows.add_token(c, self._macs, token, time))

    async def find_token(self, token_hash: bytes) -> Token:
        return await self._read(lambda c: credential_rows.find_token(c, self._macs, token_hash))

    async def tokens(self, account_id: int) -> list[Token]:
        return await self._read(lambda c: credential_rows.list_tokens(c, self._macs, account_id))

    async def remove_token(self, account_id: int, token_id: int) -> None:
        await self._change_account(lambda c: credential_rows.remove_token(c, account_id, token_id))

    async def token_used(self, token_id: int, day: int) -> None:
        await self._change(lambda c: credential_rows.token_used(c, token_id, day))

    async def boxes(self, account_id: int) -> list[Box]:
        return await self._read(lambda c: credential_rows.list_boxes(c, account_id))

    async def box(self, account_id: int, name: str) -> Box:
        return await self._read(lambda c: credential_rows.find_box(c, account_id, name))

    async def put_box(self, account_id: int, box: Box) -> None:
        await self._change(lambda c: credential_rows.put_box(c, account_id, box))

    async def remove_box(self, account_id: int, name: str) -> None:
        await self._change(lambda c: credential_rows.remove_box(c, account_id, name))

    # --- mailboxes --------------------------------------------------------------------------

    async def mailboxes(self, account_id: int) -> list[Mailbox]:
        return await self._read(lambda c: mailbox_rows.of_account(c, account_id))

    async def mailbox(self, mailbox_id: int) -> Mailbox:
        return await self._read(lambda c: mailbox_rows.find(c, mailbox_id))

    async def mailbox_named(self, account_id: int, name: str) -> Mailbox:
        return await self._read(lambda c: mailbox_rows.named(c, account_id, name))

    async def counts(self, mailbox_id: int) -> Counts:
        return await self._read(lambda c: mailbox_rows.counts(c, mailbox_id))

    async def create(self, account_id: int, name: str, special_use: str | None = None) -> Mailbox:
        time = self._clock()
        return await self._change(
            lambda c: mailbox_rows.create(c, account_id, name, special_use, time)
        )

    async def rename(self, mailbox_id: int, name: str) -> None:
        time = self._clock()
        await self._write(lambda t: mailbox_rows.rename(t, mailbox_id, name, time))

    async def delete(self, mailbox_id: int) -> None:
        await self._write(lambda t: mailbox_rows.remove(t, mailbox_id))

    async def subscribe(self, mailbox_id: int, subscribed: bool) -> None:
        await self._change(lambda c: mailbox_rows.subscribe(c, mailbox_id, subscribed))

    # --- messages ---------------------------------------------------------------------------

    async def deliver(self, messages: Messages) -> list[Placed]:
        arrivals = await self._arrivals(messages)
        try:
            placed: list[Placed] = await self._writer.do(_Delivery(arrivals))
        except Exception:
            await self._discard(arrivals)
            raise
        return placed

    async def append(self, messages: Sequence[NewMessage]) -> list[Placed]:
        return await self._store(
            messages, lambda t, arrivals: [message_rows.append(t, one) for one in arrivals]
        )

    async def replace(self, mailbox_id: int, uid: int, message: NewMessage) -> Placed:
        return await self._store(
            [message], lambda t, arrivals: message_rows.replace(t, mailbox_id, uid, arrivals[0])
        )

    async def _store(
        self,
        messages: Sequence[NewMessage],
        function: Callable[[Transaction, Sequence[Arrival]], T],
    ) -> T:
        arrivals = await self._arrivals(messages)
        try:
            return await self._write(lambda t: function(t, arrivals))
        except Exception:
            await self._discard(arrivals)
            raise

    async def _arrivals(self, messages: Messages) -> list[Arrival]:
        """Large bodies go to their files first, outside the writer: a sync takes its time."""
        self._require_room()
        arrivals: list[Arrival] = []
        held, now = 0, self._clock()
        try:
            async for message in one_by_one(messages):
                body, file = message.record.body, None
                if len(body) > min(BODY_IN_ROW, BODIES_HELD - held):
                    file = await self._file(body)
                else:
                    held += len(body)
                arrivals.append(arrival(message, file, now))
        except Exception:
            await self._discard(arrivals)
            raise
        return arrivals

    async def _file(self, body: bytes) -> str:
        try:
            return await asyncio.to_thread(self._blobs.write, body)
        except OSError as error:
            raise translate(error) from error

    async def _discard(self, arrivals: Sequence[Arrival]) -> None:
        """Of work that is known not to be committed; a cancelled one's are swept at next start."""
        names = [one.file for one in arrivals if one.file is not None]
        if names:
            await asyncio.to_thread(self._blobs.unlink, names)

    def _require_room(self) -> None:
        if not self._space.has_room():
            raise DiskFull("free space is below the floor")

    async def entries(self, mailbox_id: int) -> Changes:
        def read(c: Connection) -> Changes:
            mailbox = mailbox_rows.find(c, mailbox_id)
            return Changes(mailbox, tuple(message_reads.entries(c, mailbox_id, None)), ())

        return await self._read(read)

    async def changes(self, mailbox_id: int, since: int) -> Changes:
        def read(c: Connection) -> Changes:
            return Changes(
                mailbox_rows.find(c, mailbox_id),
                tuple(message_reads.changed(c, mailbox_id, since)),
                tuple(message_reads.vanished(c, mailbox_id, since)),
            )

        return await self._read(read)

    async def messages(
        self, mailbox_id: int, uids: Sequence[int], *, bodies: bool = False
    ) -> list[StoredMessage]:
        return await self._read(lambda c: message_reads.stored(c, mailbox_id, uids, bodies))

    async def body(self, mailbox_id: int, uid: int, start: int, count: int) -> bytes:
        def read(c: Connection) -> bytes:
            found = message_reads.body(c, mailbox_id, uid, start, count)
            return found if isinstance(found, bytes) else self._from_file(found.name, start, count)

        return await self._read(read)

    def _from_file(self, name: str, start: int, count: int) -> bytes:
        try:
            return self._blobs.read(name, start, count)
        except FileNotFoundError:
            raise NotFound("the body was removed meanwhile") from None

    async def store_flags(
        self,
        mailbox_id: int,
        uids: Sequence[int],
        op: FlagOp,
        flags: Flags,
        unchanged_since: int | None = None,
    ) -> FlagsStored:
        return await self._write(
            lambda t: message_rows.store_flags(t, mailbox_id, uids, op, flags, unchanged_since)
        )

    async def expunge(self, mailbox_id: int, uids: Iterable[int] | None) -> list[int]:
        wanted = None if uids is None else list(uids)
        return await self._write(lambda t: message_rows.expunge(t, mailbox_id, wanted))

    async def remove(self, mailbox_id: int, uids: Sequence[int]) -> list[int]:
        return await self._write(lambda t: message_rows.remove(t, mailbox_id, uids))

    async def copy(self, mailbox_id: int, uids: Sequence[int], target_id: int) -> Copied:
        self._require_room()
        time = self._clock()
        return await self._write(lambda t: message_rows.copy(t, mailbox_id, uids, target_id, time))

    async def move(self, mailbox_id: int, uids: Sequence[int], target_id: int) -> Copied:
        time = self._clock()
        return await self._write(lambda t: message_rows.move(t, mailbox_id, uids, target_id, time))

    async def wait(self, mailbox_id: int, modseq: int) -> int:
        async def highest(mailbox: int) -> int:
            return (await self.mailbox(mailbox)).highest_modseq

        return await self._waiters.wait(mailbox_id, modseq, highest)


def _insert(transaction: Transaction, run: Sequence[_Delivery]) -> list[list[Placed]]:
    placed = iter(message_rows.add(transaction, [a for d in run for a in d.arrivals]))
    return [[next(placed) for _ in delivery.arrivals] for delivery in run]


def _data_version(connection: Connection) -> int:
    """Stays the same over our own commits on this connection."""
    return int(driver(connection).execute("PRAGMA data_version").fetchone()[0])


def _deliveries(works: Sequence[_Work], start: int) -> list[_Delivery]:
    """The unbroken run of deliveries from `start` on."""
    run: list[_Delivery] = []
    for work in works[start:]:
        if not isinstance(work, _Delivery):
            break
        run.append(work)
    return run


async def open_store(folder: Path, macs: RowMacs, space: FreeSpace, clock: Clock = now) -> SqlStore:
    """Bring the schema up to date, open, sweep orphaned blobs.

    The caller holds the lock of the data directory. Raises StoreUnusable, StoreFailed.
    """
    await asyncio.to_thread(migrate, folder / DATABASE)
    store = SqlStore(folder, macs, space, clock)
    await store.sweep()
    return store
