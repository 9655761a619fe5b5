"""The store on SQLite: mailboxes and messages, and how all of it is opened."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from e2email_server.clock import Clock, now
from e2email_server.store import mailbox_rows, message_reads, message_rows, record_rows
from e2email_server.store.disk import FreeSpace
from e2email_server.store.errors import DiskFull, NotFound
from e2email_server.store.message_rows import Arrival, arrival
from e2email_server.store.migrate import migrate
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.sql_accounts import SqlAccounts
from e2email_server.store.sql_base import DATABASE, Delivery
from e2email_server.store.types import (
    Changes,
    Copied,
    Counts,
    Envelope,
    FlagOp,
    Flags,
    FlagsStored,
    Held,
    Mailbox,
    Messages,
    NewMessage,
    Placed,
    Resealed,
    StoredMessage,
    one_by_one,
)
from e2email_server.store.writer import Transaction, translate

T = TypeVar("T")

# Larger bodies are files: SQLite keeps a large value as a chain of pages that it walks from the
# start for every range, and its log would carry each of them twice.
BODY_IN_ROW = 256 * 1024
# Of one delivery to many: beyond it small bodies are files too, so that it needs no more memory
# than this and the mail itself, however many accounts an alias names.
BODIES_HELD = 4 * 1024 * 1024


class SqlStore(SqlAccounts):
    """See api.Store. Made by `open_store`, inside a running loop."""

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
            placed: list[Placed] = await self._writer.do(Delivery(arrivals))
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

    async def body(
        self, mailbox_id: int, uid: int, start: int, count: int, serial: int | None = None
    ) -> bytes:
        def read(c: Connection) -> bytes:
            found = message_reads.body(c, mailbox_id, uid, start, count, serial)
            return found if isinstance(found, bytes) else self._from_file(found.name, start, count)

        return await self._read(read)

    def _from_file(self, name: str, start: int, count: int) -> bytes:
        try:
            return self._blobs.read(name, start, count)
        except FileNotFoundError:
            raise NotFound("the body was removed meanwhile") from None

    async def held(self, account_id: int, record_id: bytes) -> Held:
        return await self._read(lambda c: record_rows.held(c, account_id, record_id))

    async def envelopes(self, account_id: int, after: bytes, count: int) -> list[Envelope]:
        return await self._read(lambda c: record_rows.envelopes(c, account_id, after, count))

    async def reseal(self, account_id: int, record: Resealed) -> None:
        self._require_room()
        body: bytes | str | None = record.body
        if record.body is not None and len(record.body) > BODY_IN_ROW:
            body = await self._file(record.body)
        try:
            await self._write(lambda t: record_rows.reseal(t, account_id, record, body))
        except Exception:
            if isinstance(body, str):
                await asyncio.to_thread(self._blobs.unlink, [body])
            raise

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


async def open_store(folder: Path, macs: RowMacs, space: FreeSpace, clock: Clock = now) -> SqlStore:
    """Bring the schema up to date, open, sweep orphaned blobs and expired pairings.

    The caller holds the lock of the data directory. Raises StoreUnusable, StoreFailed.
    """
    await asyncio.to_thread(migrate, folder / DATABASE)
    store = SqlStore(folder, macs, space, clock)
    await store.sweep()
    await store.sweep_pairings()
    return store
