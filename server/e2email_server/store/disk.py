"""Free space on the disk that holds the store."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The floor under which new mail is refused; deletions go on and make room again."""

    path: Path
    percent: int
    octets: int

    def has_room(self) -> bool:
        """Counts what is free for an ordinary user: the reserve of root is not ours to fill."""
        disk = os.statvfs(self.path)
        free = disk.f_bavail * disk.f_frsize
        return free >= self.octets and disk.f_bavail * 100 >= disk.f_blocks * self.percent
