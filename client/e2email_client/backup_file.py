"""A backup file on the disk: written beside its place, read back and checked, and then named."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from e2email_client.failure import LocalFault
from e2email_client.files import sync_folder

PIECE = 1 << 20


def read(path: Path) -> Iterator[bytes]:
    """The file in pieces. LocalFault."""
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as fault:
        raise LocalFault(f"{path} cannot be read: {fault.strerror}.") from fault


def put(path: Path, made: Iterable[bytes], check: Callable[[Path], None], *, force: bool) -> int:
    """Octets written. Until `check` has passed, what stood at `path` before stands there.

    One hidden file beside it is used, always the same: what a kill left is written over by the
    next backup. LocalFault; what `made` and `check` raise.
    """
    if path.exists() and not force:
        raise LocalFault(f"{path} exists already; --force replaces it.")
    new = path.with_name(f".{path.name}.part")
    try:
        with _locked(new) as file:
            try:
                size = _fill(file, made)
                check(new)
                new.replace(path)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
        sync_folder(path.absolute().parent)
    except OSError as fault:
        raise LocalFault(f"{path} cannot be written: {fault.strerror}.") from fault
    return size


def _locked(new: Path) -> BinaryIO:
    """Emptied, and no other program's: two would write into each other."""
    file = os.fdopen(os.open(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate()
    except BlockingIOError:
        file.close()
        raise LocalFault("Another program writes this backup just now.") from None
    except BaseException:
        file.close()
        raise
    return file


def _fill(file: BinaryIO, made: Iterable[bytes]) -> int:
    size = sum(file.write(piece) for piece in made)
    file.flush()
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):
        # so that what is read back comes from the disk, not from memory
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return size
