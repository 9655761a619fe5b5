"""Disk space that is kept free for the journal: a file that is given up when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Some ten thousand changes of flags, and the write-ahead log that they go through.
RESERVE_OCTETS = 4 * 1024 * 1024


class Reserve:
    """Its octets are allocated, and hold nothing."""

    def __init__(self, path: Path, size: int = RESERVE_OCTETS) -> None:
        self._path = path
        self._size = size

    def __repr__(self) -> str:
        return f"Reserve({self._path.name})"

    @property
    def held(self) -> bool:
        return self._path.exists()

    def hold(self) -> bool:
        """Allocate it if it is not. False: the disk has no room for it now."""
        if self.held:
            return True
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.give()
            return False
        return True

    def give(self) -> None:
        """Free it for what cannot wait."""
        with suppress(OSError):
            self._path.unlink()
