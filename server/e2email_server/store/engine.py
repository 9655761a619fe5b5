"""SQLite engines as the store needs them: one that writes, one for the readers.

The driver's own transaction control is switched off; BEGIN comes from the event hook. A writer that
began deferred would fail with "database is locked" when it upgrades, whatever the busy timeout.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection as DriverConnection
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event

T = TypeVar("T")

READERS = 4  # reads are short; more threads only contend for the interpreter
_BUSY_MS = 5000  # backup and inspection tools may hold the lock for a moment
_WRITER_CACHE_KIB = 16 * 1024
# The log is copied back at this many pages (16 MiB): at the default of 1000 a busy writer
# spends its time in checkpoints.
_CHECKPOINT_PAGES = 4000
_LOG_KEPT = 64 * 1024 * 1024  # octets; a log that one huge transaction made is cut to this


def write_engine(path: Path) -> Engine:
    """For the one writer thread: WAL, synchronous=FULL, BEGIN IMMEDIATE."""
    return _engine(
        path,
        "BEGIN IMMEDIATE",
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}",
        f"PRAGMA journal_size_limit={_LOG_KEPT}",
        f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}",
        # a rolled-back or temporary page must not reach a file outside the data directory
        "PRAGMA temp_store=MEMORY",
        # removed mail is overwritten, so that old ciphertext does not linger in free pages
        "PRAGMA secure_delete=FAST",
    )


def read_engine(path: Path) -> Engine:
    """For reader threads: a write through it is an error."""
    return _engine(path, "BEGIN", "PRAGMA query_only=ON", "PRAGMA temp_store=MEMORY")


def _engine(path: Path, begin: str, *pragmas: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: DriverConnection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        driver(connection).execute(begin)

    return engine


def driver(connection: Connection) -> DriverConnection:
    """The sqlite3 connection beneath, for the few statements of every delivery: around each of
    them SQLAlchemy takes several times what SQLite does. Its errors are sqlite3.Error.
    """
    beneath = connection.connection.dbapi_connection
    assert isinstance(beneath, DriverConnection)
    return beneath


class Readers:
    """A few threads, each with a connection of its own; every read is one short transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = threading.local()
        self._connections: list[Connection] = []
        self.pool = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")

    def call(self, work: Callable[[Connection], T]) -> T:
        """Run in a reader thread; hand to `loop.run_in_executor(readers.pool, ...)`."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._engine.connect()
            self._connections.append(connection)
        with connection.begin():
            return work(connection)

    def close(self) -> None:
        self.pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
        self._engine.dispose()
