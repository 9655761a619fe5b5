"""`cache.db`: what was fetched and opened; deleted, it is fetched again. And `state.db`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlcipher3 import dbapi2

from . import large, schema
from .chunks import ChunkFiles
from .cipher import Database, StoreUnreadable


def open_cache(path: Path, key: bytes, chunks: ChunkFiles | None = None) -> Database:
    """The cache database, made anew where it is missing, of another version, or unreadable.

    `chunks`: where large mail is kept; without them it is kept in the database.
    """
    database = _open_cache(path, key)
    database.chunks = chunks
    large.sweep(database)
    return database


def _open_cache(path: Path, key: bytes) -> Database:
    try:
        database = Database(path, key, synchronous="NORMAL")
    except StoreUnreadable:
        _remove(path)
        database = Database(path, key, synchronous="NORMAL")
    version = database.read("PRAGMA user_version")[0][0]
    if version not in (0, schema.CACHE_VERSION):
        database.close()
        _remove(path)
        database = Database(path, key, synchronous="NORMAL")
        version = 0
    if version == 0:
        _create(database, schema.CACHE, schema.CACHE_VERSION)
    return database


def open_state(path: Path, key: bytes) -> Database:
    """The state database. Raises StoreUnreadable: it holds what cannot be fetched again."""
    database = Database(path, key, synchronous="FULL")
    version = database.read("PRAGMA user_version")[0][0]
    if version > len(schema.STATE_STEPS):
        database.close()
        raise StoreUnreadable(f"{path.name} was written by a newer e2email")
    if version < len(schema.STATE_STEPS):  # else nothing is written: the disk may be full
        _climb(database, schema.STATE_STEPS)
    return database


def _climb(database: Database, steps: Sequence[str]) -> None:
    """Bring a database to the newest version, all steps or none; its version counts them."""
    with database.write() as writer:
        (version,) = writer.execute("PRAGMA user_version").fetchone()
        for script in steps[version:]:
            for statement in _statements(script):
                writer.execute(statement)
        writer.execute(f"PRAGMA user_version = {len(steps)}")


def _create(database: Database, script: str, version: int) -> None:
    with database.write() as writer:
        # another program may have been first
        if writer.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _statements(script):
                writer.execute(statement)
            writer.execute(f"PRAGMA user_version = {version}")


def _statements(script: str) -> list[str]:
    """Single statements: executescript would commit the transaction around them."""
    found, statement = [], ""
    for line in script.splitlines():
        statement += line.split("--")[0] + "\n"
        if dbapi2.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
