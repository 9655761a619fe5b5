"""Mail as files: one `.eml` for each message, its octets exactly those that were delivered.

Nothing that exists is ever overwritten: a file of the same name with other octets is a conflict,
told and left alone.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections import Counter
from enum import Enum
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from e2email_client.failure import LocalFault
from e2email_client.files import sync_folder
from e2email_client.local.browse import Row
from e2email_client.local.mails import Body, State
from e2email_client.notice import sealed_original

# NAME_MAX of common file systems is 255 octets; this leaves room for temporary names.
MAX_NAME = 200


class Outcome(Enum):
    """What became of one message."""

    WRITTEN = "written"
    SAME = "same"  # a file with these octets is there
    CONFLICT = "conflict"  # a file with other octets is there
    MISSING = "missing"  # its octets are not here


class Tally:
    """How many messages became what, and the first of each kind by name."""

    def __init__(self) -> None:
        self._counts: Counter[Outcome] = Counter()
        self._first: dict[Outcome, str] = {}
        self.unreadable = 0  # among those written and the same

    def add(self, outcome: Outcome, what: str) -> None:
        self._counts[outcome] += 1
        self._first.setdefault(outcome, what)

    def __getitem__(self, outcome: Outcome) -> int:
        return self._counts[outcome]

    def first(self, outcome: Outcome) -> str:
        return self._first[outcome]


def folder_name(mailbox: str) -> str:
    """A name for a mailbox's folder: letters and digits of any script, space and `-_.@+`; all else
    percent-encoded, so that none leaves its place and two mailboxes never share one."""
    safe = "".join(
        one if one.isalnum() or one in " -_@+." else quote(one, safe="") for one in mailbox
    )
    if not safe:
        return "%"
    if safe[0] in ". ":
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    if len(safe.encode()) <= MAX_NAME:
        return safe
    digest = blake2b(mailbox.encode(), digest_size=8).hexdigest()
    return f"{safe.encode()[: MAX_NAME - 17].decode('utf-8', 'ignore')}~{digest}"


class Target:
    """The folder of one mailbox. LocalFault where the disk says no."""

    def __init__(self, root: Path, mailbox: str) -> None:
        self._folder = root / folder_name(mailbox)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as fault:
            raise LocalFault(
                f"The folder {self._folder} cannot be made: {fault.strerror}."
            ) from fault

    def put(self, uid: int, octets: bytes | memoryview, suffix: str = ".eml") -> Outcome:
        path = self._folder / f"{uid}{suffix}"
        try:
            return _put(path, octets)
        except OSError as fault:
            raise LocalFault(f"The file {path} cannot be written: {fault.strerror}.") from fault

    def finish(self) -> None:
        """All names that were written are durable afterwards."""
        try:
            sync_folder(self._folder)
        except OSError as fault:
            raise LocalFault(f"The folder {self._folder}: {fault.strerror}.") from fault


def export(target: Target, tally: Tally, row: Row, body: Body | None, received: bool) -> None:
    """One message. `received`: without the server's own two fields."""
    name = f"message {row.uid} of {row.mailbox}"
    if row.summary is None or body is None:
        tally.add(Outcome.MISSING, name)
    elif row.summary.state is State.UNREADABLE and body.delivered == body.view:
        # a notice of ours, and what was delivered is not known
        tally.unreadable += 1
        original = sealed_original(body.view)
        tally.add(target.put(row.uid, original, ".sealed.eml"), name)
    else:
        start = body.trace_length if received else 0
        tally.add(target.put(row.uid, memoryview(body.delivered)[start:]), name)


def _put(path: Path, octets: bytes | memoryview) -> Outcome:
    """As files.write_private, but never over something else; the folder is synced at the end."""
    found = _existing(path, len(octets))
    if found is not None:
        return Outcome.SAME if found == octets else Outcome.CONFLICT
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        # link would refuse a name that somebody took in between, but file systems of memory
        # sticks have none
        new.rename(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return Outcome.WRITTEN


def _existing(path: Path, size: int) -> bytes | None:
    """None: nothing there. Octets that cannot be the same where something else is in the way."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        return b"" if size else b"other"
    return path.read_bytes()
