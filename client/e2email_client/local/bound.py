"""How much room the bodies of mail may take, and which of them go first: the oldest."""

from __future__ import annotations

import shutil
from collections.abc import Collection

from . import large
from .cipher import Database
from .mails import State

# Of the file system, that fetching in the background leaves free.
FREE = 0.10
# So much below the bound is made free at a time, or every new mail would move an old one out.
_DOWN_TO = 0.95
# Below this, what was dropped before may come again: messages were expunged, or the bound raised.
_AGAIN_BELOW = 0.80
_AT_ONCE = 100  # mails: the write lock is held for milliseconds


class Room:
    """The bound of one cache, `most` octets. Blocks; thread-safe."""

    def __init__(self, cache: Database, most: int) -> None:
        self._cache = cache
        self.most = most

    def used(self) -> int:
        """Octets that hold something, large mail included: of the database, what was dropped is
        written over by new mail."""
        pages, free, size = (
            self._cache.read(f"PRAGMA {what}")[0][0]
            for what in ("page_count", "freelist_count", "page_size")
        )
        return int(pages - free) * int(size) + large.octets(self._cache)

    def full(self) -> bool:
        """Nothing more is to be fetched in the background."""
        disk = shutil.disk_usage(self._cache.path.parent)
        return disk.free < disk.total * FREE or self.used() >= self.most

    def wanted_after(self) -> int:
        """Bodies of mail received later than this are fetched in the background."""
        rows = self._cache.read("SELECT max(received) FROM bound")
        received = rows[0][0]
        if received is None:
            return -(2**62)
        if self.used() < self.most * _AGAIN_BELOW:
            with self._cache.write() as writer:
                writer.execute("DELETE FROM bound")
        return int(received)

    def make(self, spared: Collection[str]) -> int:
        """Drop the oldest bodies until there is room; how many. Summaries stay.

        `spared`: email ids of what somebody asked for just now.
        """
        dropped = 0
        if self.used() <= self.most:
            return dropped
        while (over := self.used() - int(self.most * _DOWN_TO)) > 0 and (
            some := self._oldest(over, spared)
        ):
            self._drop(some)
            dropped += len(some)
        return dropped

    def _oldest(self, octets: int, spared: Collection[str]) -> list[tuple[int, int]]:
        """(mail id, received) of about so many octets; at least one, and not very many."""
        rows = self._cache.read(
            "SELECT a.id, a.email_id, max(m.internal_date), a.size"
            " FROM mail a INDEXED BY mail_state"
            " JOIN message m ON m.mail_id = a.id WHERE a.state = ? GROUP BY a.id"
            " ORDER BY max(m.internal_date), a.id LIMIT ?",
            (int(State.OPENED), _AT_ONCE + len(spared)),
        )
        found: list[tuple[int, int]] = []
        for mail_id, email_id, received, size in rows:
            if octets <= 0 or len(found) == _AT_ONCE:
                break
            if email_id not in spared:
                found.append((mail_id, received))
                octets -= 2 * (size or 0)  # its text may be kept a second time, for search
        return found

    def _drop(self, some: list[tuple[int, int]]) -> None:
        with self._cache.write() as writer:
            for mail_id, _ in some:
                for table in ("body", "header", "text", "unindexed"):
                    writer.execute(f"DELETE FROM {table} WHERE mail_id = ?", (mail_id,))
                writer.execute(
                    "UPDATE mail SET state = ? WHERE id = ?", (int(State.READY), mail_id)
                )
            writer.execute("INSERT INTO bound VALUES (?)", (max(received for _, received in some),))
            writer.execute("DELETE FROM bound WHERE received < (SELECT max(received) FROM bound)")
        large.collect(self._cache)
