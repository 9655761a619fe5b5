"""Large octets beside `cache.db`: encrypted files, of which any stretch is read by itself.

A file is made of boxes (docs/specs/keys.md, "Blob"), each of PART octets, that say which file and
which part of it they are. Written whole under another name and renamed; not synced to the disk:
what a power failure takes is fetched again.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from e2email_crypto import blob
from e2email_crypto.errors import CryptoError

# Octets above which a mail lies in a file: the database would copy them with every checkpoint.
LARGE = 256 * 1024
PART = 256 * 1024  # is decrypted for however little of it is wanted
_BOX = blob.box_size(PART)
_NAME = 16  # random octets
# A file that no row names may be one that another program just wrote and has not entered yet.
_YOUNG = 3600.0  # seconds


class Gone(Exception):
    """The file is missing or damaged: its octets are not here."""


class ChunkFiles:
    """The files of one account in a folder of their own. Blocks; thread-safe."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._key = key

    def __repr__(self) -> str:
        return f"ChunkFiles({self._folder.name})"

    def write(self, octets: bytes) -> str:
        """A new file's name. Raises OSError, and leaves nothing behind then."""
        name = secrets.token_hex(_NAME)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path, view = self._folder / f"{name}.new", memoryview(octets)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for number, at in enumerate(range(0, len(octets), PART)):
                    told = _told(name, number, len(octets))
                    file.writelines(
                        blob.seal_chunks(self._key, told, [bytes(view[at : at + PART])])
                    )
            path.rename(self._folder / name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return name

    def read(self, name: str, size: int, start: int = 0, count: int | None = None) -> bytes:
        """Octets start … start + count of a file of `size`; fewer at its end. Raises Gone."""
        stop = size if count is None else min(start + count, size)
        return b"".join(self._parts(name, size, start, stop))

    def _parts(self, name: str, size: int, start: int, stop: int) -> Iterator[bytes]:
        if start >= stop:
            return
        try:
            with (self._folder / name).open("rb") as file:
                file.seek(start // PART * _BOX)
                for number in range(start // PART, (stop - 1) // PART + 1):
                    at = number * PART
                    part = self._open(file.read(_BOX), _told(name, number, size))
                    if len(part) != min(PART, size - at):
                        raise Gone
                    yield part[max(start - at, 0) : stop - at]
        except (OSError, CryptoError):
            raise Gone from None

    def _open(self, box: bytes, told: bytes) -> bytes:
        return b"".join(blob.open_chunks(self._key, told, [box]))

    def has(self, name: str, size: int) -> bool:
        """Whether the file is there in its full length; not, whether it is whole."""
        try:
            return (self._folder / name).stat().st_size == file_size(size)
        except OSError:
            return False

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(OSError):  # what stays is swept when it is older
                (self._folder / name).unlink(missing_ok=True)

    def sweep(self, known: set[str]) -> None:
        """Remove what no row names, and what was never finished."""
        try:
            found = list(self._folder.iterdir())
        except OSError:
            return
        old = time.time() - _YOUNG
        for one in found:
            with suppress(OSError):
                if one.name not in known and one.stat().st_mtime < old:
                    one.unlink()


def file_size(size: int) -> int:
    """Octets on the disk of a file that holds `size`."""
    whole, rest = divmod(size, PART)
    return whole * _BOX + (blob.box_size(rest) if rest else 0)


def _told(name: str, number: int, size: int) -> bytes:
    """What a box says it is: a part may not stand for another, nor a file for a longer one."""
    return f"e2email chunk {name} {number} {size}".encode()
