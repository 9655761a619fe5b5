"""Large bodies as files, written so that a file a committed row names is whole and durable.

Guarantee: when `write` returns, the content and the name survive a power cut, provided the disk
honours fsync. A crash between `write` and the commit of its row leaves an orphan, which `sweep`
removes at the next start; a crash before the return leaves a name that no row can hold.
"""

import os
import secrets
from collections.abc import Iterable, Set
from contextlib import suppress
from pathlib import Path
from typing import Protocol

NAME_BYTES = 16


class Blobs(Protocol):
    """Where bodies above the row limit lie. Names are made by `write` and never used twice."""

    def write(self, octets: bytes) -> str:
        """Durable on return. Raises OSError; then nothing is left behind."""
        ...

    def read(self, name: str, start: int, count: int) -> bytes:
        """A range, cut at the end. Raises FileNotFoundError."""
        ...

    def unlink(self, names: Iterable[str]) -> None:
        """Absent names are passed over."""
        ...

    def sweep(self, known: Set[str]) -> int:
        """Remove every file that is not in `known`; how many there were."""
        ...


class BlobFiles:
    """Blobs in one folder (mode 0700), a file each (mode 0600)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder

    def write(self, octets: bytes) -> str:
        name = secrets.token_hex(NAME_BYTES)
        temporary = self._folder / f"{name}.tmp"
        try:
            _write_durably(temporary, octets)
            temporary.rename(self._folder / name)
            self._sync_folder()
        except OSError:
            self.unlink((temporary.name, name))
            raise
        return name

    def read(self, name: str, start: int, count: int) -> bytes:
        with (self._folder / name).open("rb") as file:
            file.seek(start)
            return file.read(count)

    def unlink(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                (self._folder / name).unlink()

    def sweep(self, known: Set[str]) -> int:
        orphans = [entry.name for entry in self._folder.iterdir() if entry.name not in known]
        self.unlink(orphans)
        return len(orphans)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class MemoryBlobs:
    """The twin for tests: nothing survives the process."""

    def __init__(self) -> None:
        self._octets: dict[str, bytes] = {}

    def write(self, octets: bytes) -> str:
        name = secrets.token_hex(NAME_BYTES)
        self._octets[name] = octets
        return name

    def read(self, name: str, start: int, count: int) -> bytes:
        try:
            return self._octets[name][start : start + count]
        except KeyError:
            raise FileNotFoundError(name) from None

    def unlink(self, names: Iterable[str]) -> None:
        for name in names:
            self._octets.pop(name, None)

    def sweep(self, known: Set[str]) -> int:
        orphans = self._octets.keys() - known
        self.unlink(orphans)
        return len(orphans)


def _write_durably(path: Path, octets: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
