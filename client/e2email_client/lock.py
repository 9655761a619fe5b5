"""Locks between programs: which one syncs an account, which one writes. Freed when one dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from e2email_client.failure import LocalFault
from e2email_client.paths import AccountPaths


class FileLock:
    """A lock that is tried, never waited for. As a context manager it is freed at the end.

    A file of its own in place of the folder: flock of a folder fails on NFS, where an exclusive
    lock needs a descriptor that is open for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()

    def take(self) -> bool:
        """Whether this object holds the lock now. LocalFault where the disk says no."""
        if self._descriptor is not None:
            return True
        try:
            self._descriptor = _locked(self._path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class SyncLock(FileLock):
    """Of the program that syncs an account."""

    def __init__(self, paths: AccountPaths) -> None:
        super().__init__(paths.lock)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """A lock that is waited for, around a few writes. LocalFault where the disk says no."""
    descriptor = _locked(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path, how: int) -> int:
    """A descriptor to close. BlockingIOError: somebody else has it, and `how` is not to wait."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, how)
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError:
        raise
    except OSError as fault:
        raise LocalFault(f"The file {path} cannot be locked: {fault.strerror}.") from fault
    return descriptor
