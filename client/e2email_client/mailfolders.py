"""Writing mail as other programs keep it on the disk: a Maildir or an mbox for each mailbox.

The counterpart of mailfiles.py, which reads both. A folder of mail appears whole or not at all.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from e2email_client.export import folder_name
from e2email_client.files import new_folder

# https://cr.yp.to/proto/maildir.html; P as nmh and mutt use it
_MAILDIR_FLAGS = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F", "\\Draft": "D",
                  "\\Deleted": "T", "$Forwarded": "P"}  # fmt: skip
# Lines that a reader would take for the next message (mboxrd).
_FROM_LINE = re.compile(rb"^(>*From )", re.MULTILINE)


class Folders(Protocol):
    """Where mail is put. LocalFault where the disk says no."""

    def put(self, mailbox: str, octets: bytes, flags: Iterable[str], received: int) -> None: ...


class Maildirs:
    """A Maildir in `root` for each mailbox: octets exactly, flags in the name, time of the file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._count = 0

    def put(self, mailbox: str, octets: bytes, flags: Iterable[str], received: int) -> None:
        folder = self._root / folder_name(mailbox)
        if not folder.exists():
            for part in ("tmp", "new", "cur"):
                (folder / part).mkdir(mode=0o700, parents=True)
        self._count += 1
        info = "".join(sorted(_MAILDIR_FLAGS[one] for one in flags if one in _MAILDIR_FLAGS))
        path = folder / "cur" / f"{received}.M{self._count:08}.e2email:2,{info}"
        with _new(path) as file:
            file.write(octets)
        os.utime(path, (received, received))


class Mboxes:
    """An mbox in `root` for each mailbox: `>From ` quoted as mboxrd does, flags not kept."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, mailbox: str, octets: bytes, flags: Iterable[str], received: int) -> None:
        del flags  # they would be header fields, and the octets are the mail's own
        when = time.asctime(time.gmtime(received))
        with (self._root / f"{folder_name(mailbox)}.mbox").open("ab") as file:
            file.write(f"From MAILER-DAEMON {when}\n".encode("ascii"))
            file.write(_FROM_LINE.sub(rb">\1", octets))
            # the empty line in front of the next message is no part of this one
            file.write(b"\n" if octets[-1:] in (b"", b"\n") else b"\n\n")
            file.flush()
            os.fsync(file.fileno())


KINDS: Mapping[str, Callable[[Path], Folders]] = {"maildir": Maildirs, "mbox": Mboxes}


@contextmanager
def writing(folder: Path, kind: str) -> Iterator[Folders]:
    """`folder` is named when all of it is there; it must not exist. LocalFault."""
    with new_folder(folder) as new:
        yield KINDS[kind](new)


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
