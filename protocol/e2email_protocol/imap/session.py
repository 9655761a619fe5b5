"""What a backend gives the IMAP engine: two Protocols, grouped by state, and their records.

The server implements them over ciphertext, the client's proxy over opened mail. Names are
str with "/" between levels (the engine does modified UTF-7 and folds INBOX); flags are str
as on the wire ("\\Seen", "$label1"); octets are bytes. Errors: errors.py; anything else
raised is a fault of the backend and tells the peer nothing.

One session serves one connection and is called by one command at a time, except `wait`,
which runs beside the others and may be cancelled at any await.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, Flag, auto
from typing import NamedTuple, Protocol

DELIMITER = "/"


class Entry(NamedTuple):
    """One message of a mailbox as every session counts it; a tuple, for there are many."""

    uid: int
    flags: frozenset[str]  # never "\\Recent": that is the session's, not the message's
    modseq: int


class Snapshot(NamedTuple):
    """A mailbox at one moment; `entries` ascend by uid.

    A view keeps a tuple as it is, for as long as the two say the same, and a copy of anything else:
    sessions that are given the same tuple cost little.
    """

    entries: Sequence[Entry]
    uidnext: int
    modseq: int


class Changes(NamedTuple):
    """What differs from modseq `since`: entries new or changed (ascending), uids gone."""

    entries: Sequence[Entry]
    vanished: Sequence[int]
    modseq: int  # give this as `since` next time
    now: Snapshot | None = None  # the mailbox at `modseq`, where a tuple of it is at hand
    complete: bool = True  # False: more uids are gone since then than the backend remembers


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    """A line of LIST; the engine computes \\HasChildren and missing parents itself."""

    name: str
    special_use: str | None = None  # "\\Sent", "\\Drafts", ... (RFC 6154)
    subscribed: bool = True
    selectable: bool = True
    exists: bool = True  # False: only a subscription is left of it


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS items (RFC 3501 §6.3.10, RFC 8438, RFC 7162, RFC 9051 DELETED)."""

    messages: int
    unseen: int
    uidnext: int
    uidvalidity: int
    highestmodseq: int = 1
    size: int = 0
    deleted: int = 0
    recent: int = 0
    mailbox_id: str = ""  # RFC 8474 §4.1; the same after RENAME; where OBJECTID is offered


@dataclass(frozen=True, slots=True)
class AppendResult:
    uidvalidity: int
    uid: int


@dataclass(frozen=True, slots=True)
class CopyResult:
    """Which messages arrived where; `source` and `target` are parallel (RFC 4315 COPYUID).

    Messages that were already gone are left out. `uidvalidity` is the target's.
    """

    uidvalidity: int
    source: Sequence[int]
    target: Sequence[int]


class StoreOp(Enum):
    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


@dataclass(frozen=True, slots=True)
class StoreResult:
    """`entries`: the new state of every message asked for that exists and was not too new;

    `modified`: those left alone because their modseq was above `unchangedsince` (RFC 7162).
    """

    entries: Sequence[Entry]
    modified: Sequence[int] = ()


class Need(Flag):
    """What the messages of one fetch() will be asked for, so that a backend reads widely."""

    ID = auto()  # email_id
    DATE = auto()  # internal_date
    SIZE = auto()  # size
    ENVELOPE = auto()
    STRUCTURE = auto()  # BODY, BODYSTRUCTURE
    HEADER = auto()  # sections answered from the top header only
    BODY = auto()  # any other section
    PREVIEW = auto()  # extensions.PreviewMessage
    SAVED = auto()  # extensions.SavedMessage


@dataclass(frozen=True, slots=True)
class Section:
    """The inside of BODY[...]: part path, then what of that part.

    `what`: "" (all), "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT" or "MIME";
    `fields`: the field names of the two HEADER.FIELDS forms, as the client wrote them.
    """

    path: tuple[int, ...] = ()
    what: str = ""
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """A section too long to be one bytes: exactly `size` octets come out of `chunks`."""

    size: int
    chunks: AsyncIterator[bytes] = field(repr=False)


class Message(Protocol):
    """One message inside a fetch(); whatever `need` did not name may raise or be slow.

    A method that raises Refused costs only this message: the others are still given, and
    the command ends with that error's NO.
    """

    @property
    def uid(self) -> int: ...
    @property
    def size(self) -> int:
        """RFC822.SIZE: exactly the length of BODY[]."""
        ...

    @property
    def internal_date(self) -> datetime:
        """Aware; its offset is shown."""
        ...

    @property
    def email_id(self) -> str | None:
        """EMAILID (RFC 8474 §4.1): the same wherever the message is copied; None: none is kept."""
        ...

    async def envelope(self) -> bytes:
        """The ENVELOPE value, parentheses and all (RFC 3501 §7.4.2)."""
        ...

    async def structure(self, extended: bool) -> bytes:
        """The BODY (not extended) or BODYSTRUCTURE value."""
        ...

    async def section(
        self, section: Section, partial: tuple[int, int] | None
    ) -> bytes | Stream | None:
        """The octets of a section; None: there is no such part (NIL).

        `partial` is (first octet, most octets): what lies beyond the end is b"".
        """
        ...


@dataclass(frozen=True, slots=True)
class HeaderKey:
    """HEADER, SUBJECT, FROM...: the decoded field contains `text`; "": the field is there."""

    name: str  # upper case
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BodyKey:
    """BODY: the decoded text of the body contains `text`."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TextKey:
    """TEXT: header or body contains `text`."""

    text: str = field(repr=False)


class When(Enum):
    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@dataclass(frozen=True, slots=True)
class SentKey:
    """SENTBEFORE, SENTON, SENTSINCE: the Date field's day, time and zone disregarded."""

    when: When
    day: date


TextSearch = HeaderKey | BodyKey | TextKey | SentKey


class Mailbox(Protocol):
    """A selected mailbox: the selected state's half of a session.

    `readonly` may be True although read-write was asked for. Messages with uid >= `recent_from`
    are \\Recent in this session; a backend that does not care gives its uidnext.
    """

    @property
    def readonly(self) -> bool: ...
    @property
    def uidvalidity(self) -> int: ...
    @property
    def recent_from(self) -> int: ...

    async def snapshot(self) -> Snapshot: ...

    async def changes(self, since: int) -> Changes:
        """What happened after modseq `since`; asked after every command, so cheap when nothing.

        This session's own changes are in it too. NoSuchMailbox: it was deleted (ends in BYE).
        Where `capabilities` has QRESYNC, `since` may be any modseq that some session of this
        uidvalidity was ever told; only to one from before this selection may the answer be
        incomplete.
        """
        ...

    async def wait(self) -> None:
        """Return when something may have changed since the last changes(); cancellable."""
        ...

    def fetch(self, uids: Sequence[int], need: Need) -> AsyncGenerator[Message, None]:
        """Messages ascending by uid; those that are gone are left out without a word.

        The generator is closed when the client goes away in the middle.
        """
        ...

    async def store(
        self,
        uids: Sequence[int],
        op: StoreOp,
        flags: frozenset[str],
        unchangedsince: int | None = None,
    ) -> StoreResult: ...

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        """Remove messages with \\Deleted (of `uids`, or all); the uids removed."""
        ...

    async def copy(self, uids: Sequence[int], name: str) -> CopyResult:
        """All or nothing, flags and internal date kept. NoSuchMailbox, OverQuota."""
        ...

    async def move(self, uids: Sequence[int], name: str) -> CopyResult:
        """copy and expunge in one step (RFC 6851); the source uids are gone afterwards."""
        ...

    async def search(self, key: TextSearch, uids: Sequence[int]) -> Collection[int]:
        """Those of `uids` whose text matches; Cannot where text is not readable (sealed face).

        Flags, uids, sizes and internal dates the engine answers itself.
        """
        ...

    async def close(self) -> None:
        """Deselected, or the connection ends."""
        ...


class Session(Protocol):
    """One connection's backend. `capabilities`: what it has beyond the engine's own.

    What is named there the engine shows and accepts: CONDSTORE, QRESYNC (see changes()),
    APPENDLIMIT=n, those of extensions.py, and names that only promise (STATUS=SIZE,
    CREATE-SPECIAL-USE).
    """

    @property
    def capabilities(self) -> frozenset[bytes]: ...

    # not authenticated

    async def login(self, user: str, password: bytes) -> None:
        """AuthenticationFailed or Unavailable; called again after a failure."""
        ...

    # any state

    def identify(self, fields: Mapping[str, str]) -> None:
        """The client's ID (RFC 2971), keys lower case; unproven, for `append:<program>` only."""
        ...

    async def close(self) -> None:
        """The connection is over; called once, after the selected mailbox's close()."""
        ...

    # authenticated

    async def list_mailboxes(self) -> Sequence[MailboxInfo]: ...

    async def status(self, name: str) -> Status: ...

    async def create(self, name: str, special_use: str | None = None) -> None: ...

    async def delete(self, name: str) -> None: ...

    async def rename(self, old: str, new: str) -> None:
        """With all mailboxes below it; of INBOX: its messages move (RFC 3501 §6.3.5)."""
        ...

    async def subscribe(self, name: str, on: bool) -> None: ...

    async def select(self, name: str, readonly: bool) -> Mailbox: ...

    async def append(
        self, name: str, octets: bytes, flags: frozenset[str], when: datetime | None
    ) -> AppendResult:
        """Durable before it returns. NoSuchMailbox, TooBig, OverQuota, Unavailable."""
        ...
