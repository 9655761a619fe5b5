"""Mail as one stream of octets, for a backup: each with its place, the number of all at the end.

docs/specs/backup.md, "Mail". One mail at a time is in memory.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import _wire
from ._pieces import Pieces
from .errors import Damaged

MAIL_MAX = 64 * 1024 * 1024  # octets; the server takes 50 MiB, and two fields of ours come on top
MAILBOX_MAX = 1024  # octets of a name
FLAGS_MAX = 8192  # octets of all flags and keywords of one mail
ID_SIZE = 16
TIME_MAX = 2**53 - 1
_MAIL, _END = b"\1", b"\0"
_FLAG = re.compile("[!-~]+")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it was delivered, and where it lay. `time` in seconds since 1970."""

    mailbox: str
    flags: tuple[str, ...]
    time: int
    record_id: bytes
    octets: bytes = field(repr=False)


def encode(mails: Iterable[Mail]) -> Iterator[bytes]:
    """Raises ValueError for what `decode` would refuse."""
    count = 0
    for mail in mails:
        yield _front(mail)
        yield mail.octets
        count += 1
    yield _END + count.to_bytes(8)


def decode(pieces: Iterable[bytes]) -> Iterator[Mail]:
    """Raises Damaged; what came before it was whole."""
    source = Pieces(pieces)
    count = 0
    while (mark := _exactly(source, 1)) == _MAIL:
        yield _mail(source)
        count += 1
    if mark != _END or int.from_bytes(_exactly(source, 8)) != count or source.take(1):
        raise Damaged("the stream of mail does not end where it should")


def _front(mail: Mail) -> bytes:
    mailbox, flags = mail.mailbox.encode(), " ".join(mail.flags).encode("ascii")
    if not all(map(_FLAG.fullmatch, mail.flags)) or len(flags) > FLAGS_MAX:
        raise ValueError("flags are atoms, and not too many")
    if not 0 < len(mailbox) <= MAILBOX_MAX or len(mail.octets) > MAIL_MAX:
        raise ValueError("a mailbox's name or a mail is too long")
    if len(mail.record_id) != ID_SIZE or not 0 <= mail.time <= TIME_MAX:
        raise ValueError("a record id has 16 bytes, and a time is not before 1970")
    return (
        _MAIL
        + _wire.pack(mailbox, flags)
        + mail.time.to_bytes(8)
        + mail.record_id
        + len(mail.octets).to_bytes(4)
    )


def _mail(source: Pieces) -> Mail:
    try:
        mailbox, flags = (
            _field(source, most).decode(code)
            for most, code in ((MAILBOX_MAX, "utf-8"), (FLAGS_MAX, "ascii"))
        )
    except UnicodeDecodeError:
        raise Damaged("a mailbox or flag that is no text") from None
    time, record_id = int.from_bytes(_exactly(source, 8)), _exactly(source, ID_SIZE)
    words = tuple(flags.split(" ")) if flags else ()
    mail = Mail(mailbox, words, time, record_id, _field(source, MAIL_MAX))
    try:
        _front(mail)
    except ValueError:
        raise Damaged("a mail outside its limits") from None
    return mail


def _field(source: Pieces, most: int) -> bytes:
    size = int.from_bytes(_exactly(source, 4))
    if size > most:
        raise Damaged("a field is too long")
    return _exactly(source, size)


def _exactly(source: Pieces, size: int) -> bytes:
    octets = source.take(size)
    if len(octets) < size:
        raise Damaged("cut short")
    return octets
