"""Files of an account that change together: all old or all new, whenever the machine stops.

`stage` writes the new ones beside the old, before the server hears of the change. `commit` makes
them the account's once the server took it. Between the two, both the old and the new are whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress

from e2email_client.failure import LocalFault
from e2email_client.files import private_folder, read_private, sync_folder, write_private
from e2email_client.paths import AccountPaths


def stage(paths: AccountPaths, files: Mapping[str, bytes]) -> None:
    """Write them down under their names, on disk on return. LocalFault; then nothing is staged."""
    drop(paths)
    part = paths.folder / ".change"
    shutil.rmtree(part, ignore_errors=True)
    private_folder(part)
    try:
        for name, octets in files.items():
            write_private(part / name, octets)
        try:
            part.rename(paths.pending)
            sync_folder(paths.folder)
        except OSError as fault:
            raise LocalFault(f"{paths.pending} cannot be made: {fault.strerror}.") from fault
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def staged(paths: AccountPaths, name: str) -> bytes | None:
    """One of the staged files; None: nothing is staged, or not that."""
    path = paths.pending / name
    return read_private(path) if path.exists() else None


def drop(paths: AccountPaths) -> None:
    """What was staged is not to be."""
    shutil.rmtree(paths.pending, ignore_errors=True)


def commit(paths: AccountPaths) -> None:
    """The staged files take the places of the old ones."""
    try:
        paths.pending.rename(paths.ready)
        sync_folder(paths.folder)
    except OSError as fault:
        raise LocalFault(f"{paths.ready} cannot be made: {fault.strerror}.") from fault
    finish(paths)


def finish(paths: AccountPaths) -> None:
    """Go on where a commit was cut off. Several programs may do so at the same time."""
    try:
        names = [one.name for one in paths.ready.iterdir()]
    except FileNotFoundError:
        return
    try:
        for name in names:
            with suppress(FileNotFoundError):  # another program was faster
                (paths.ready / name).replace(paths.folder / name)
        sync_folder(paths.folder)
        with suppress(FileNotFoundError):
            paths.ready.rmdir()
    except OSError as fault:
        raise LocalFault(f"A change cannot be finished: {fault.strerror}.") from fault
