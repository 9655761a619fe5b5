"""Mail as other programs keep it on the disk: mbox, Maildir, single files. Octets, never text.

The one thing that is changed: a message without any CR, as these files hold it, gets CRLF for LF.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from e2email_client.device_seal import MAX_MAIL
from e2email_client.failure import LocalFault
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.header import fields, unfold

PIECE = 1 << 20  # octets of a line that are read at once
_FROM = b"From "
# `From ADDRESS Tue Jan  5 10:11:12 2021`, with a zone in front of the year or behind it. A line of
# a mail that begins so and was not quoted is hardly ever mistaken for it.
_SEPARATOR = re.compile(
    rb"From (?:.* )?([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]?\d \d\d:\d\d(?::\d\d)?)"
    rb"(?: [A-Z]{1,5}| [+-]\d{4})*( \d{4})"
)
_QUOTED = re.compile(rb">+From ")
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_BLANK = (b"\n", b"\r\n")
_MAILDIR_FLAGS = {
    "S": "\\Seen", "R": "\\Answered", "F": "\\Flagged", "D": "\\Draft", "T": "\\Deleted",
    "P": "$Forwarded",
}  # fmt: skip
_STATUS_FLAGS = {"R": "\\Seen", "A": "\\Answered", "F": "\\Flagged", "T": "\\Draft",
                 "D": "\\Deleted"}  # fmt: skip
# nsMsgMessageFlags.h of Thunderbird
_MOZILLA_FLAGS = {0x0001: "\\Seen", 0x0002: "\\Answered", 0x0004: "\\Flagged",
                  0x1000: "$Forwarded"}  # fmt: skip
_MOZILLA_EXPUNGED = 0x0008  # deleted, and not yet cut out of the file


class Kind(StrEnum):
    """How mail lies on the disk."""

    MBOX = "mbox"
    MAILDIR = "maildir"
    EML = "eml"


@dataclass(frozen=True, slots=True)
class Found:
    """One message. `octets` is None where it is larger than any mail may be; `taken` counts what
    was read of the files for it."""

    where: str
    taken: int
    octets: bytes | None = field(repr=False)
    flags: frozenset[str] = frozenset()
    when: int | None = None  # seconds since 1970
    deleted: bool = False  # its program shows it no more


def kind_of(path: Path) -> Kind:
    """What a path looks like. LocalFault for a folder that is no Maildir."""
    if path.is_dir():
        if (path / "cur").is_dir() and (path / "new").is_dir():
            return Kind.MAILDIR
        raise LocalFault(f"The folder {path} is not a Maildir (it has no cur and new).")
    with _opened(path) as file:
        return Kind.MBOX if file.read(len(_FROM)) == _FROM else Kind.EML


def size_of(path: Path, kind: Kind) -> int:
    """Octets that `messages` will read. LocalFault."""
    try:
        if kind is Kind.MAILDIR:
            return sum(one.stat().st_size for one in _maildir_files(path))
        return path.stat().st_size
    except OSError as fault:
        raise LocalFault(f"{path} cannot be read: {fault.strerror}.") from fault


def messages(path: Path, kind: Kind) -> Iterator[Found]:
    """Every message, in the order in which it lies there. LocalFault."""
    if kind is Kind.MAILDIR:
        for one in _maildir_files(path):
            yield _single(one, _maildir_flags(one.name), dated=True)
    elif kind is Kind.EML:
        # written by whatever exported it, at a time that says nothing of the mail
        yield _single(path, frozenset(), dated=False)
    else:
        with _opened(path) as file:
            yield from _mbox(file, str(path))


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as fault:
        raise LocalFault(f"{path} cannot be read: {fault.strerror}.") from fault


def _single(path: Path, flags: frozenset[str], *, dated: bool) -> Found:
    with _opened(path) as file:
        try:
            octets = file.read(MAX_MAIL + 1)
            when = int(path.stat().st_mtime) if dated else None
        except OSError as fault:
            raise LocalFault(f"{path} cannot be read: {fault.strerror}.") from fault
    if len(octets) > MAX_MAIL:
        return Found(str(path), len(octets), None)
    return Found(str(path), len(octets), _with_crlf(octets), flags, when)


def _maildir_files(path: Path) -> list[Path]:
    """Of this folder alone: a Maildir++ subfolder is another one."""
    return sorted(
        one
        for part in ("cur", "new")
        for one in (path / part).iterdir()
        if one.is_file() and not one.name.startswith(".")
    )


def _maildir_flags(name: str) -> frozenset[str]:
    _, _, info = name.rpartition("2,")
    known = info if re.search(r"[:;!]2,[A-Za-z]*\Z", name) else ""
    return frozenset(_MAILDIR_FLAGS[one] for one in known if one in _MAILDIR_FLAGS)


class _Gathered:
    """A message of an mbox while its lines are read."""

    def __init__(self, separator: bytes, where: str) -> None:
        self._separator = separator
        self._where = where
        self._pieces: list[bytes] = []
        self._size = 0
        self._taken = len(separator)

    def add(self, piece: bytes, taken: int) -> None:
        self._taken += taken
        self._size += len(piece)
        if self._size <= MAX_MAIL + len(b"\r\n"):  # the line in front of the next one is not its
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def done(self) -> Found:
        # the empty line that stands in front of the next separator belongs to neither
        if self._pieces and self._pieces[-1] in _BLANK:
            self._size -= len(self._pieces.pop())
        if self._size > MAX_MAIL:
            return Found(self._where, self._taken, None)
        octets = _with_crlf(b"".join(self._pieces))
        flags, deleted = _status(octets)
        return Found(
            self._where, self._taken, octets, flags, _separator_time(self._separator), deleted
        )


def _mbox(file: BinaryIO, path: str) -> Iterator[Found]:
    """Quoted `>From ` lines lose one `>` (mboxrd); Content-Length is not believed."""
    message: _Gathered | None = None
    starts, after_blank, number = True, True, 0
    while piece := file.readline(PIECE):
        separates = starts and after_blank and piece.startswith(_FROM)
        if separates and (message is None or _SEPARATOR.match(piece)):
            if message is not None:
                yield message.done()
            number += 1
            message = _Gathered(piece, f"{path}, message {number}")
        elif message is None:
            raise LocalFault(f"{path} is not an mbox: it does not begin with a From line.")
        else:
            quoted = starts and _QUOTED.match(piece)
            message.add(piece[1:] if quoted else piece, len(piece))
        after_blank = starts and piece in _BLANK
        starts = piece.endswith(b"\n")
    if message is not None:
        yield message.done()


def _with_crlf(octets: bytes) -> bytes:
    return octets if b"\r" in octets else octets.replace(b"\n", b"\r\n")


def _separator_time(line: bytes) -> int | None:
    match = _SEPARATOR.match(line)
    parsed = parse_date(match[1] + match[2]) if match else None
    return parsed[0] if parsed else None


def _status(octets: bytes) -> tuple[frozenset[str], bool]:
    """What mutt, Dovecot and Thunderbird write into the header of a message in an mbox."""
    flags: set[str] = set()
    bits = 0
    for one in fields(octets):
        name, value = one.name.lower(), unfold(one.value).decode("latin-1")
        if name in (b"status", b"x-status"):
            flags |= {_STATUS_FLAGS[letter] for letter in value if letter in _STATUS_FLAGS}
        elif name == b"x-mozilla-status" and one.start == 0 and _HEX.fullmatch(value):
            bits = int(value, 16)  # Thunderbird's own stands first; a sender may write another
    flags |= {name for bit, name in _MOZILLA_FLAGS.items() if bits & bit}
    return frozenset(flags), bool(bits & _MOZILLA_EXPUNGED)
