"""Free space on the disk that holds the store."""

import os
import time
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

ASKED_EVERY = 1.0  # seconds; a disk that fills faster is told by the write that fails


@dataclass(slots=True)
class FreeSpace:
    """The floor under which new mail is refused; deletions go on and make room again."""

    path: Path
    percent: int
    octets: int
    _room: bool = field(default=True, init=False)
    _asked: float = field(default=-inf, init=False)

    def has_room(self) -> bool:
        """Counts what is free for an ordinary user: the reserve of root is not ours to fill."""
        now = time.monotonic()
        if now - self._asked >= ASKED_EVERY:
            disk = os.statvfs(self.path)
            free = disk.f_bavail * disk.f_frsize
            self._asked = now
            self._room = free >= self.octets and disk.f_bavail * 100 >= disk.f_blocks * self.percent
        return self._room
