"""SQLCipher connections. The key is 32 raw bytes from the vault, so no KDF runs at opening."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2

from .chunks import ChunkFiles

# Two programs may write one account's files; a writer holds its lock for milliseconds.
BUSY_TIMEOUT_MS = 10_000
PAGE_CACHE_KIB = 16_384
# What is left of a write-ahead log once it is in the file: one large mail makes it large.
LOG_OCTETS = 4 * 1024 * 1024

Row = tuple[Any, ...]


class StoreUnreadable(Exception):
    """The file is no database under this key: damaged, foreign, or of another vault."""


def connect(path: Path, key: bytes, *, synchronous: str) -> Any:
    """Open (or make) an encrypted database. Raises StoreUnreadable.

    `synchronous` is FULL for what must survive power loss and NORMAL for what can be fetched again.
    """
    if len(key) != 32:
        raise ValueError("a store key has 32 bytes")
    made = not path.exists()
    connection = dbapi2.connect(str(path), isolation_level=None, check_same_thread=False)
    if made:
        path.chmod(0o600)
    try:
        # A pragma takes no bound parameter; the key is hex, so nothing needs quoting.
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        connection.execute("PRAGMA cipher_log_level = NONE")
        connection.execute("PRAGMA cipher_memory_security = OFF")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_OCTETS}")
        connection.execute("PRAGMA foreign_keys = ON")
    except dbapi2.DatabaseError as error:
        connection.close()
        if isinstance(error, dbapi2.OperationalError):
            raise  # locked, disk full: the world failed, the file is fine
        raise StoreUnreadable(f"{path.name} cannot be opened with this account's key") from None
    return connection


class Database:
    """One file: a writer connection under a lock, and as many readers as read at one time.

    The reader that was used last is taken first: its page cache is warm, and decrypted pages are
    not kept once for each thread of a pool.
    """

    def __init__(self, path: Path, key: bytes, *, synchronous: str) -> None:
        self.path = path
        self._key = key
        self._synchronous = synchronous
        self._lock = threading.RLock()
        self._writer = connect(path, key, synchronous=synchronous)
        self._idle: deque[Any] = deque()  # the last in is the first out
        self._closed = False
        self.chunks: ChunkFiles | None = None  # where large octets lie that rows name

    def __repr__(self) -> str:
        return f"Database({self.path.name})"

    def _reader(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            reader = connect(self.path, self._key, synchronous=self._synchronous)
        reader.execute("PRAGMA query_only = ON")
        return reader

    def read(self, sql: str, parameters: Any = ()) -> list[Row]:
        """All rows of a query: no transaction stays open."""
        reader = self._reader()
        try:
            rows: list[Row] = reader.execute(sql, parameters).fetchall()
        finally:
            self._idle.append(reader)
            if self._closed:
                self._close_readers()
        return rows

    def foreign_version(self) -> int:
        """Changes whenever another program (not this object) wrote to the file."""
        with self._lock:
            return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def write(self) -> Iterator[Any]:
        """A transaction (BEGIN IMMEDIATE): all of it or nothing."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # a full disk may end the transaction by itself
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def fold_log(self) -> None:
        """Write the log into the file and free its room on the disk."""
        with self._lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """A thread may still be reading: what it reads with is closed when it is done, for SQLite
        does not survive less."""
        self._closed = True
        self._close_readers()
        with self._lock:
            self._writer.close()

    def _close_readers(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
