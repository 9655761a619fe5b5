"""Small private files: 0600, mostly in folders of 0700, replaced whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2email_client.failure import LocalFault

# Far above any file that is read whole here; a larger one is not ours.
FILE_CAP = 8 * 1024 * 1024


def folder(path: Path) -> None:
    """Make `path` with mode 0700; one that is there already is the user's and stays as it is."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise LocalFault(f"The folder {path} cannot be used: {fault.strerror}.") from fault


def private_folder(path: Path) -> None:
    """Make `path` (and what is missing above it) with mode 0700, and keep others out of it."""
    folder(path)
    try:
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise LocalFault(f"The folder {path} belongs to another user.")
        if status.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as fault:
        raise LocalFault(f"The folder {path} cannot be used: {fault.strerror}.") from fault


def write_private(path: Path, content: bytes) -> None:
    """Replace `path`: after a crash it holds the old content or the new, and is on disk on return.

    Rests on rename being atomic and on fsync of file and folder reaching the disk, as POSIX file
    systems with barriers do.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as fault:
        raise LocalFault(f"The file {path} cannot be written: {fault.strerror}.") from fault


def read_private(path: Path) -> bytes:
    """All of a file up to FILE_CAP. LocalFault when it is missing or cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_CAP + 1)
    except OSError as fault:
        raise LocalFault(f"The file {path} cannot be read: {fault.strerror}.") from fault
    if len(content) > FILE_CAP:
        raise LocalFault(f"The file {path} is too large to be ours.")
    return content


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder of 0700 to be filled, which gets the name `path` when all went well.

    Else nothing is left. Who fills it makes its files durable. LocalFault, also where something of
    that name is there.
    """
    if path.exists():
        raise LocalFault(f"{path} exists already; name a folder that does not.")
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.mkdir(mode=0o700, parents=True)
        yield new
        for folder, _, _ in os.walk(new):
            sync_folder(Path(folder))
        new.rename(path)
        sync_folder(path.absolute().parent)
    except OSError as fault:
        shutil.rmtree(new, ignore_errors=True)
        raise LocalFault(f"The folder {path} cannot be written: {fault.strerror}.") from fault
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def sync_folder(path: Path) -> None:
    """Make names that were added to or removed from a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
