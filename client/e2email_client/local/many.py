"""Queries that name many messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# SQLite's default bound on parameters is 32,766; a wide read stays far below it.
IN_CHUNK = 5_000


def chunks(uids: Sequence[T]) -> Iterator[Sequence[T]]:
    return (uids[at : at + IN_CHUNK] for at in range(0, len(uids), IN_CHUNK))


def marks(chunk: Sequence[object]) -> str:
    """For `IN (…)`."""
    return ",".join("?" * len(chunk))
