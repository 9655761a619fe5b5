"""The store on SQLite, its foundation: one writer thread, a few readers, what both share.

A method hands a function to the writer or to a reader and awaits it; what the functions do stands
in the `*_rows` modules.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Error as DriverError
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from e2email_server.clock import Clock, now
from e2email_server.store import message_reads, message_rows
from e2email_server.store.blobs import BlobFiles
from e2email_server.store.disk import FreeSpace
from e2email_server.store.engine import Readers, driver, read_engine, write_engine
from e2email_server.store.errors import StoreFailed
from e2email_server.store.message_rows import Arrival
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.types import Placed
from e2email_server.store.waiters import Waiters
from e2email_server.store.writer import Transaction, Writer, translate

T = TypeVar("T")

DATABASE = "mail.db"
BLOBS = "blobs"


@dataclass(frozen=True, slots=True)
class Call:
    """Any piece of work."""

    function: Callable[[Transaction], Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """New mail; neighbours in a batch are inserted together."""

    arrivals: list[Arrival]


Work = Call | Delivery


class Sql:
    """What the parts of SqlStore stand on."""

    def __init__(self, folder: Path, macs: RowMacs, space: FreeSpace, clock: Clock = now) -> None:
        self._macs, self._space, self._clock = macs, space, clock
        self._blobs = BlobFiles(folder / BLOBS)
        self._readers = Readers(read_engine(folder / DATABASE))
        self._waiters = Waiters()
        self._writer: Writer[Work] = Writer(
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

    def _apply(self, transaction: Transaction, works: Sequence[Work]) -> list[Any]:
        """Do the works in order; a run of deliveries becomes one insert."""
        transaction.version = _data_version(transaction.connection)
        foreign = self._version not in (None, transaction.version)
        transaction.accounts_changed = foreign
        results: list[Any] = []
        while len(results) < len(works):
            work = works[len(results)]
            if isinstance(work, Call):
                results.append(work.function(transaction))
            elif foreign:
                results.append(StoreFailed("another process wrote to the database"))
            else:
                results += _insert(transaction, _deliveries(works, len(results)))
        return results

    async def _write(self, function: Callable[[Transaction], T]) -> T:
        result: T = await self._writer.do(Call(function))
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


def _insert(transaction: Transaction, run: Sequence[Delivery]) -> list[list[Placed]]:
    placed = iter(message_rows.add(transaction, [a for d in run for a in d.arrivals]))
    return [[next(placed) for _ in delivery.arrivals] for delivery in run]


def _data_version(connection: Connection) -> int:
    """Stays the same over our own commits on this connection."""
    return int(driver(connection).execute("PRAGMA data_version").fetchone()[0])


def _deliveries(works: Sequence[Work], start: int) -> list[Delivery]:
    """The unbroken run of deliveries from `start` on."""
    run: list[Delivery] = []
    for work in works[start:]:
        if not isinstance(work, Delivery):
            break
        run.append(work)
    return run
