"""Queries that name many messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# SQLite's default bound on parameters is 32,766; a wide read stays far below it.
IN_CHUNK = 5_000


def chunks(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (uids[at : at + IN_CHUNK] for at in range(0, len(uids), IN_CHUNK))


def marks(chunk: Sequence[int]) -> str:
    """For `IN (…)`."""
    return ",".join("?" * len(chunk))
