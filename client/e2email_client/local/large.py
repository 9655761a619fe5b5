"""Rows that name files: octets of large mail, see local/chunks.py.

A file is written before the row that names it and removed after the row is gone. One that is
missing or damaged is a body that is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from .chunks import LARGE, Gone

if TYPE_CHECKING:
    from .cipher import Database

VIEW, DELIVERED = "view", "delivered"
_OPENED, _READY = 3, 2  # of mails.State, which needs this module

Files = Mapping[str, tuple[str, int]]  # what → (name, size)
T = TypeVar("T")


@contextmanager
def placed(
    database: Database, found: Iterable[T], octets: Callable[[T], Mapping[str, bytes]]
) -> Iterator[list[tuple[T, Files]]]:
    """Each with the files that its large octets were written to. What was not entered at the end
    is removed, and so is what nothing names any more."""
    chunks = database.chunks
    made: list[tuple[T, Files]] = []
    names: list[str] = []
    try:
        for one in found:
            files = {}
            for what, content in octets(one).items():
                if chunks is not None and len(content) > LARGE:
                    files[what] = (chunks.write(content), len(content))
                    names.append(files[what][0])
            made.append((one, files))
        yield made
    finally:
        if chunks is not None and names:
            marks = ",".join("?" * len(names))
            kept = database.read(f"SELECT name FROM large WHERE name IN ({marks})", names)
            chunks.remove(set(names) - {name for (name,) in kept})
    collect(database)


def enter(writer: Any, mail_id: int, files: Files) -> None:
    """Inside a transaction."""
    writer.executemany(
        "INSERT INTO large (mail_id, what, name, size) VALUES (?, ?, ?, ?)",
        [(mail_id, what, name, size) for what, (name, size) in files.items()],
    )


def read(
    database: Database, mail_id: int, start: int = 0, count: int | None = None
) -> dict[str, bytes]:
    """A stretch of what this mail has in files; with `count` only of its view. Raises Gone."""
    rows = database.read("SELECT what, name, size FROM large WHERE mail_id = ?", (mail_id,))
    if not rows:
        return {}
    if database.chunks is None:
        raise Gone
    return {
        what: database.chunks.read(name, size, start, count)
        for what, name, size in rows
        if count is None or what == VIEW
    }


def octets(database: Database) -> int:
    """In files altogether."""
    return int(database.read("SELECT coalesce(sum(size), 0) FROM large")[0][0])


def forget(database: Database, mail_ids: Sequence[int]) -> None:
    """Their octets are not here: they are fetched again."""
    with database.write() as writer:
        for mail_id in mail_ids:
            for table in ("body", "header", "text"):
                writer.execute(f"DELETE FROM {table} WHERE mail_id = ?", (mail_id,))
            writer.execute(
                "UPDATE mail SET state = ? WHERE id = ? AND state >= ?", (_READY, mail_id, _OPENED)
            )
    collect(database)


def forget_lost(database: Database) -> None:
    """Of those whose files are missing or cut; there are few large mails."""
    chunks = database.chunks
    rows = database.read("SELECT mail_id, name, size FROM large")
    lost = {mail_id for mail_id, name, size in rows if chunks is None or not chunks.has(name, size)}
    if lost:
        forget(database, sorted(lost))


def collect(database: Database) -> None:
    """Remove the files that nothing names any more."""
    if database.chunks is None:
        return
    names = database.read("SELECT name FROM unneeded")
    if names:
        database.chunks.remove(name for (name,) in names)
        with database.write() as writer:
            writer.executemany("DELETE FROM unneeded WHERE name = ?", names)


def sweep(database: Database) -> None:
    """At the start of a program: files of a cache that was deleted, or that were never entered."""
    if database.chunks is not None:
        collect(database)
        database.chunks.sweep({name for (name,) in database.read("SELECT name FROM large")})
