"""The one thread that writes: it gathers what is waiting and commits it together.

A caller's future resolves after the commit that made its work durable. When a piece of work fails,
the whole batch is rolled back and replayed one by one, so that only the guilty one fails. When the
commit itself fails nothing is replayed: after a failed sync the kernel may call lost pages clean,
so everyone is told that nothing was stored.
"""

import asyncio
import errno
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from sqlite3 import Error as DriverError
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from e2email_server.store.errors import DiskFull, StoreError, StoreFailed

W = TypeVar("W")

# More saves no further sync and lets the first of them wait longer.
MAX_BATCH = 128


@dataclass(slots=True)
class Transaction:
    """What a piece of work writes through, and what is to happen once it is durable."""

    connection: Connection
    highest: dict[int, int] = field(default_factory=dict)
    """Mailboxes with news: their new highest modseq."""
    deleted: set[int] = field(default_factory=set)
    """Mailboxes that are gone."""
    unlink: list[str] = field(default_factory=list)
    """Blob files whose last row is gone."""
    accounts_changed: bool = False
    """Account rows were written, or may have been by another process."""
    version: int = 0
    """SQLite's data_version: changes when another connection wrote."""


@dataclass(slots=True)
class Job(Generic[W]):
    """A piece of work and who waits for it."""

    work: W
    future: "asyncio.Future[Any]"


Apply = Callable[[Transaction, Sequence[W]], Sequence[Any]]
Committed = Callable[[Transaction], None]


class Writer(Generic[W]):
    """`apply` does the works of a batch in order; a result that is a StoreError fails its job.

    `committed` is called in the loop's thread, before the futures resolve; `cleanup` in this one.
    """

    def __init__(
        self,
        engine: Engine,
        apply: Apply[W],
        committed: Committed,
        cleanup: Callable[[Transaction], None],
    ) -> None:
        self._engine = engine
        self._apply = apply
        self._committed = committed
        self._cleanup = cleanup
        self._turn: list[Job[W]] = []  # what this turn of the loop wants written
        self._queue: SimpleQueue[Job[W] | None] = SimpleQueue()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._thread.start()

    async def do(self, work: W) -> Any:
        """Raises what the work raised, DiskFull or StoreFailed; then nothing of it was stored.

        Cancelling does not undo: the work may or may not be committed.
        """
        if self._closing:
            raise StoreFailed("the store is closing")
        job = Job(work, self._loop.create_future())
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append(job)
        return await job.future

    def _hand_over(self) -> None:
        """All works of one turn of the loop together: half as many commits and thread switches."""
        for job in self._turn:
            self._queue.put(job)
        self._turn.clear()

    async def close(self) -> None:
        """Commit what is queued, then end the thread."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._engine.dispose()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            while batch := self._gather():
                self._commit_batch(connection, batch)

    def _gather(self) -> list[Job[W]]:
        """The next works in order, at least one; nothing at the end."""
        first = self._queue.get()
        batch: list[Job[W]] = []
        while first is not None:
            batch.append(first)
            if len(batch) == MAX_BATCH:
                break
            try:
                first = self._queue.get_nowait()
            except Empty:
                break
        else:
            if batch:  # the end came behind them: see it again
                self._queue.put(None)
        return batch

    def _commit_batch(self, connection: Connection, batch: Sequence[Job[W]]) -> None:
        outcome = self._attempt(connection, batch)
        if isinstance(outcome, _WorkFailed) and len(batch) > 1:
            for job in batch:
                self._settle(connection, [job])
        else:
            self._announce(batch, outcome)

    def _settle(self, connection: Connection, batch: Sequence[Job[W]]) -> None:
        self._announce(batch, self._attempt(connection, batch))

    def _attempt(self, connection: Connection, batch: Sequence[Job[W]]) -> "_Outcome":
        working = True
        try:
            with connection.begin():
                transaction = Transaction(connection)
                results = self._apply(transaction, [job.work for job in batch])
                working = False
        except (StoreError, SQLAlchemyError, DriverError, OSError) as error:
            reason = translate(error)
            if working:
                return _WorkFailed(reason)
            # the transaction may still be open, and a later COMMIT would store it: start anew
            connection.invalidate()
            return _CommitFailed(reason)
        except Exception as error:  # noqa: BLE001  # a bug must fail its caller, not the thread
            return _WorkFailed(_because(StoreFailed(f"bug: {type(error).__name__}"), error))
        return _Done(transaction, results)

    def _announce(self, batch: Sequence[Job[W]], outcome: "_Outcome") -> None:
        self._loop.call_soon_threadsafe(self._resolve, batch, outcome)
        if isinstance(outcome, _Done):
            self._cleanup(outcome.transaction)

    def _resolve(self, batch: Sequence[Job[W]], outcome: "_Outcome") -> None:
        if isinstance(outcome, _Done):
            self._committed(outcome.transaction)
            for job, result in zip(batch, outcome.results, strict=True):
                _finish(job.future, result)
            return
        for job in batch:
            _finish(job.future, outcome.reason)


def _finish(future: "asyncio.Future[Any]", result: Any) -> None:
    if future.done():  # cancelled meanwhile
        return
    if isinstance(result, StoreError):
        future.set_exception(result)
    else:
        future.set_result(result)


@dataclass(frozen=True, slots=True)
class _Done:
    transaction: Transaction
    results: Sequence[Any]


@dataclass(frozen=True, slots=True)
class _WorkFailed:
    reason: StoreError


@dataclass(frozen=True, slots=True)
class _CommitFailed:
    reason: StoreError


_Outcome = _Done | _WorkFailed | _CommitFailed


def translate(error: Exception) -> StoreError:
    """A library's error as one of ours. Its text names no parameter (hide_parameters is on)."""
    if isinstance(error, StoreError):
        return error
    reason = str(getattr(error, "orig", None) or error)
    full = "disk is full" in reason or getattr(error, "errno", None) == errno.ENOSPC
    return _because(DiskFull(reason) if full else StoreFailed(reason), error)


def _because(reason: StoreError, cause: Exception) -> StoreError:
    reason.__cause__ = cause
    return reason
