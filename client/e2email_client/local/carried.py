"""Mail that appears a second time: what a program here copied or moved, and what else it was.

A server can move and duplicate mail, and so can the owner's other devices: they look the same from
here. So what no program of this machine did is counted, and told in one line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .cipher import Database
from .many import chunks, marks

EXPECTED_SECONDS = 86_400  # what did not arrive within a day was not done, or is listed already


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Messages of a mailbox that lay somewhere already, and that nobody here put there."""

    mailbox: str = field(repr=False)
    count: int
    since: int  # seconds since 1970


class Carried:
    """Of one account. Blocks; thread-safe."""

    def __init__(self, state: Database) -> None:
        self._state = state

    def expect(self, mailbox: str, email_ids: Iterable[str]) -> None:
        """Before they are copied or moved there."""
        now = int(time.time())
        with self._state.write() as writer:
            writer.execute("DELETE FROM carried WHERE time < ?", (now - EXPECTED_SECONDS,))
            writer.executemany(
                "INSERT INTO carried (mailbox, email_id, time) VALUES (?, ?, ?)",
                [(mailbox, one, now) for one in email_ids],
            )

    def seen(self, mailbox: str, email_ids: Sequence[str]) -> None:
        """These are new there, and were known before: those that nobody expected are counted."""
        with self._state.write() as writer:
            strange = 0
            for one in email_ids:
                found = writer.execute(
                    "DELETE FROM carried WHERE id = (SELECT id FROM carried"
                    " WHERE mailbox = ? AND email_id = ? LIMIT 1) RETURNING id",
                    (mailbox, one),
                ).fetchall()
                strange += not found
            if strange:
                writer.execute(
                    "INSERT INTO elsewhere VALUES (?1, ?2, ?3)"
                    " ON CONFLICT DO UPDATE SET count = count + ?2",
                    (mailbox, strange, int(time.time())),
                )

    def elsewhere(self) -> list[Elsewhere]:
        """What was not acknowledged, by mailbox."""
        rows = self._state.read("SELECT mailbox, count, since FROM elsewhere ORDER BY mailbox")
        return [Elsewhere(*row) for row in rows]

    def acknowledge(self, told: Iterable[Elsewhere]) -> None:
        """What came since it was told stays."""
        with self._state.write() as writer:
            for one in told:
                writer.execute(
                    "UPDATE elsewhere SET count = count - ? WHERE mailbox = ?",
                    (one.count, one.mailbox),
                )
            writer.execute("DELETE FROM elsewhere WHERE count <= 0")


def known(cache: Database, email_ids: Sequence[str]) -> set[str]:
    """Those of these mails that are known here already, wherever they lie or lay."""
    found: set[str] = set()
    for chunk in chunks(email_ids):
        rows = cache.read(f"SELECT email_id FROM mail WHERE email_id IN ({marks(chunk)})", chunk)
        found.update(row[0] for row in rows)
    return found
