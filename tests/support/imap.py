"""An IMAP backend in memory, the twin of the real ones, and a driver that is a transcript."""

import asyncio
import base64
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.imap.errors import (
    AlreadyExists,
    AuthenticationFailed,
    NoSuchMailbox,
    UnknownEncoding,
    Vanished,
)
from e2email_protocol.imap.extensions import Outline
from e2email_protocol.imap.outline import outline_of
from e2email_protocol.imap.search_run import is_when
from e2email_protocol.imap.session import (
    AppendResult,
    BodyKey,
    Changes,
    CopyResult,
    Entry,
    HeaderKey,
    MailboxInfo,
    Section,
    SentKey,
    Snapshot,
    Status,
    StoreOp,
    StoreResult,
    Stream,
)

WHEN = datetime(2026, 11, 3, 12, 30, 5, tzinfo=UTC)
MAIL = (
    b"From: Alice <alice@example.test>\r\n"
    b"To: bob@example.test\r\n"
    b"Subject: breakfast\r\n"
    b"Date: Tue, 3 Nov 2026 12:30:05 +0000\r\n"
    b"\r\n"
    b"Eggs at nine?\r\n"
)


@dataclass
class Stored:
    """One message; ENVELOPE and structure are prepared text, as in the real backends."""

    octets: bytes
    when: datetime = WHEN
    envelope: bytes = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    structure: bytes = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 15 1)'
    email_id: str | None = "E00"
    preview: str | None = "Eggs at nine?"
    saved: datetime | None = WHEN + timedelta(days=2)


@dataclass
class Box:
    """A mailbox that all sessions share."""

    uidvalidity: int = 1
    uidnext: int = 1
    modseq: int = 1
    entries: dict[int, Entry] = field(default_factory=dict)
    stored: dict[int, Stored] = field(default_factory=dict)
    vanished: list[tuple[int, int]] = field(default_factory=list)  # modseq, uid
    forgotten: int = 0  # what vanished up to this modseq is remembered no more
    seen_until: int = 1  # what some session has been told is recent no more
    waiters: dict[asyncio.Event, int] = field(default_factory=dict)  # and the modseq they know
    special_use: str | None = None
    subscribed: bool = True
    deleted: bool = False

    def bump(self) -> int:
        self.modseq += 1
        for waiter in self.waiters:
            waiter.set()
        return self.modseq

    def add(self, stored: Stored, flags: frozenset[str] = frozenset()) -> int:
        uid = self.uidnext
        self.uidnext += 1
        self.stored[uid] = stored
        self.entries[uid] = Entry(uid, flags, self.bump())
        return uid

    def set_flags(self, uid: int, flags: frozenset[str]) -> None:
        if self.entries[uid].flags != flags:
            self.entries[uid] = Entry(uid, flags, self.bump())

    def remove(self, uid: int) -> None:
        del self.entries[uid], self.stored[uid]
        self.vanished.append((self.bump(), uid))

    def forget(self) -> None:
        """What all open sessions have heard of needs no memory."""
        self.forgotten = min([self.modseq, *self.waiters.values()])
        self.vanished = [(modseq, uid) for modseq, uid in self.vanished if modseq > self.forgotten]


class Account:
    def __init__(self, *mails: bytes):
        self.boxes = {"INBOX": Box()}
        self.validity = 1
        for mail in mails:
            self.boxes["INBOX"].add(Stored(mail))

    def box(self, name: str) -> Box:
        if name not in self.boxes:
            raise NoSuchMailbox(name)
        return self.boxes[name]


class MemoryMessage:
    def __init__(self, uid: int, stored: Stored, stream_above: int):
        self.uid = uid
        self._stored = stored
        self._stream_above = stream_above

    @property
    def size(self) -> int:
        return len(self._stored.octets)

    @property
    def internal_date(self) -> datetime:
        return self._stored.when

    @property
    def email_id(self) -> str | None:
        return self._stored.email_id

    @property
    def save_date(self) -> datetime | None:
        return self._stored.saved

    async def preview(self, lazy: bool) -> str | None:
        return None if lazy and self.uid > 2 else self._stored.preview

    async def binary(self, path, partial):
        octets = cut(self._stored.octets, Section(path))
        if octets is None:
            return None
        if path and b"Encoding: x-" in self._stored.octets:
            raise UnknownEncoding
        if path and b"Encoding: base64" in self._stored.octets:
            octets = base64.b64decode(octets)
        if partial is not None:
            octets = octets[partial[0] : sum(partial)]
        if len(octets) > self._stream_above:
            return Stream(len(octets), pieces(octets, self._stream_above))
        return octets

    async def binary_size(self, path):
        octets = await self.binary(path, None)
        return None if octets is None else len(octets)

    async def envelope(self) -> bytes:
        return self._stored.envelope

    async def structure(self, extended: bool) -> bytes:
        return self._stored.structure

    async def section(self, section, partial):
        octets = cut(self._stored.octets, section)
        if octets is None:
            return None
        if partial is not None:
            octets = octets[partial[0] : partial[0] + partial[1]]
        if len(octets) > self._stream_above:
            return Stream(len(octets), pieces(octets, self._stream_above))
        return octets


async def pieces(octets: bytes, size: int):
    for start in range(0, len(octets), size):
        await asyncio.sleep(0)
        yield octets[start : start + size]


def cut(octets: bytes, section) -> bytes | None:
    """Sections of a message that is one text part; real backends have the MIME scanner."""
    head, _, body = octets.partition(b"\r\n\r\n")
    head += b"\r\n\r\n"
    if section.path not in ((), (1,)):
        return None
    if section.path == (1,):
        return {"": body, "MIME": b"\r\n"}.get(section.what)
    match section.what:
        case "":
            return octets
        case "HEADER":
            return head
        case "TEXT":
            return body
        case what:
            wanted = {name.lower() for name in section.fields}
            keep = what == "HEADER.FIELDS"
            lines = head[:-2].splitlines(keepends=True)
            chosen = [x for x in lines if (x.split(b":")[0].lower() in wanted) == keep]
            return b"".join(chosen) + b"\r\n"


class MemoryMailbox:
    def __init__(self, account: Account, name: str, readonly: bool, stream_above: int):
        self._account = account
        self._box = account.box(name)
        self.readonly = readonly
        self.uidvalidity = self._box.uidvalidity
        self.mailbox_id = f"F{self._box.uidvalidity}"
        self.recent_from = self._box.seen_until
        self._stream_above = stream_above
        self._event = asyncio.Event()
        self._box.waiters[self._event] = self._box.modseq
        self.fetched: list[tuple[list[int], object]] = []
        if not readonly:
            self._box.seen_until = self._box.uidnext

    async def snapshot(self) -> Snapshot:
        entries = tuple(self._box.entries.values())
        return Snapshot(entries, self._box.uidnext, self._box.modseq)

    async def changes(self, since: int) -> Changes:
        if self._box.deleted:
            raise NoSuchMailbox
        entries = [e for e in self._box.entries.values() if e.modseq > since]
        gone = [uid for modseq, uid in self._box.vanished if modseq > since]
        if not self.readonly:
            self._box.seen_until = self._box.uidnext
        told = self._box.waiters
        told[self._event] = max(told[self._event], since)
        complete = since >= self._box.forgotten
        return Changes(entries, gone, self._box.modseq, await self.snapshot(), complete)

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()

    async def fetch(self, uids, need):
        self.fetched.append((list(uids), need))
        for uid in uids:
            if uid in self._box.stored:
                yield MemoryMessage(uid, self._box.stored[uid], self._stream_above)

    async def store(self, uids, op, flags, unchangedsince=None) -> StoreResult:
        result, modified = [], []
        for uid in uids:
            if uid not in self._box.entries:
                continue
            if unchangedsince is not None and self._box.entries[uid].modseq > unchangedsince:
                modified.append(uid)
                continue
            old = self._box.entries[uid].flags
            new = {StoreOp.ADD: old | flags, StoreOp.REMOVE: old - flags}.get(op, flags)
            self._box.set_flags(uid, new)
            result.append(self._box.entries[uid])
        return StoreResult(result, modified)

    async def expunge(self, uids):
        chosen = [
            uid
            for uid, entry in self._box.entries.items()
            if "\\Deleted" in entry.flags and (uids is None or uid in set(uids))
        ]
        for uid in chosen:
            self._box.remove(uid)
        return chosen

    async def copy(self, uids, name) -> CopyResult:
        target = self._account.box(name)
        source = [uid for uid in uids if uid in self._box.stored]
        made = [target.add(self._box.stored[u], self._box.entries[u].flags) for u in source]
        return CopyResult(target.uidvalidity, source, made)

    async def move(self, uids, name) -> CopyResult:
        result = await self.copy(uids, name)
        for uid in result.source:
            self._box.remove(uid)
        return result

    async def replace(self, uid, name, octets, flags, when) -> AppendResult:
        target = self._account.box(name)
        if uid not in self._box.stored:
            raise Vanished
        made = target.add(Stored(octets, when or WHEN), flags)
        self._box.remove(uid)
        return AppendResult(target.uidvalidity, made)

    async def outlines(self, uids, fields):
        """What was not asked for is wrong."""
        return [
            _asked(outline_of(uid, int(one.when.timestamp()), len(one.octets), one.octets), fields)
            for uid in uids
            if (one := self._box.stored.get(uid))
        ]

    async def search(self, key, uids):
        return [uid for uid in uids if uid in self._box.stored and self._matches(key, uid)]

    def _matches(self, key, uid: int) -> bool:
        head, _, body = (
            self._box.stored[uid].octets.decode("utf-8", "replace").partition("\r\n\r\n")
        )
        fields = dict(line.partition(": ")[::2] for line in head.split("\r\n"))
        match key:
            case HeaderKey():
                value = {k.upper(): v for k, v in fields.items()}.get(key.name)
                return value is not None and key.text.lower() in value.lower()
            case SentKey():
                if "Date" not in fields:
                    return False
                day = datetime.strptime(fields["Date"], "%a, %d %b %Y %H:%M:%S %z").date()
                return is_when(day, key.when, key.day)
            case BodyKey():
                return key.text.lower() in body.lower()
            case _:
                return key.text.lower() in (head + body).lower()

    async def close(self) -> None:
        self._box.waiters.pop(self._event, None)


class MemorySession:
    """`fail`: method name → exception to raise, for the unhappy transcripts."""

    users: ClassVar = {"alice@example.test": b"secret", "bob@example.test": b"secret"}

    def __init__(
        self, account: Account, stream_above: int = 1 << 16, has: frozenset[bytes] = frozenset()
    ):
        self.account = account
        self.capabilities = frozenset({b"STATUS=SIZE"}) | has
        self.stream_above = stream_above
        self.fail: dict[str, Exception] = {}
        self.identity: dict[str, str] = {}
        self.closed = False

    def _may(self, method: str) -> None:
        if method in self.fail:
            raise self.fail[method]

    async def login(self, user: str, password: bytes) -> None:
        self._may("login")
        if self.users.get(user.lower()) != password:
            raise AuthenticationFailed(user)

    def identify(self, fields) -> None:
        self.identity = dict(fields)

    async def close(self) -> None:
        self.closed = True

    async def list_mailboxes(self):
        self._may("list_mailboxes")
        return [
            MailboxInfo(name, box.special_use, box.subscribed)
            for name, box in self.account.boxes.items()
        ]

    async def status(self, name: str) -> Status:
        box = self.account.box(name)
        entries = box.entries.values()
        return Status(
            messages=len(entries),
            unseen=sum("\\Seen" not in e.flags for e in entries),
            uidnext=box.uidnext,
            uidvalidity=box.uidvalidity,
            highestmodseq=box.modseq,
            size=sum(len(m.octets) for m in box.stored.values()),
            deleted=sum("\\Deleted" in e.flags for e in entries),
            recent=sum(e.uid >= box.seen_until for e in entries),
            mailbox_id=f"F{box.uidvalidity}",
        )

    async def create(self, name: str, special_use=None) -> None:
        if name in self.account.boxes:
            raise AlreadyExists
        self.account.validity += 1
        self.account.boxes[name] = Box(self.account.validity, special_use=special_use)

    async def delete(self, name: str) -> None:
        box = self.account.box(name)
        box.deleted = True
        box.bump()
        del self.account.boxes[name]

    async def rename(self, old: str, new: str) -> None:
        self.account.box(old)
        if new in self.account.boxes:
            raise AlreadyExists
        for name in list(self.account.boxes):
            if name == old or name.startswith(old + "/"):
                self.account.boxes[new + name[len(old) :]] = self.account.boxes.pop(name)

    async def subscribe(self, name: str, on: bool) -> None:
        self.account.box(name).subscribed = on

    async def select(self, name: str, readonly: bool) -> MemoryMailbox:
        self._may("select")
        return MemoryMailbox(self.account, name, readonly, self.stream_above)

    async def append(self, name, octets, flags, when) -> AppendResult:
        self._may("append")
        box = self.account.box(name)
        return AppendResult(box.uidvalidity, box.add(Stored(octets, when or WHEN), flags))

    async def append_many(self, name, messages) -> list[AppendResult]:
        self._may("append")
        self.account.box(name)
        return [await self.append(name, m.octets, m.flags, m.when) for m in messages]


class Client:
    """A conversation without a socket: `ask(octets)` gives everything the engine then says."""

    def __init__(
        self,
        account: Account,
        settings: Settings | None = None,
        tls: bool = True,
        has: frozenset[bytes] = frozenset(),
    ):
        self.session = MemorySession(account, has=has)
        self.reports: list[BaseException] = []
        self.connection = Connection(
            self.session, settings or Settings(), tls=tls, report=self.reports.append
        )

    async def ask(self, octets: bytes = b"") -> bytes:
        self.connection.receive_data(octets)
        return b"".join([chunk async for chunk in self.connection.replies()])

    async def login(self) -> None:
        greeting = await self.ask()
        assert greeting.startswith(b"* OK ")
        assert b"L OK " in await self.ask(b"L LOGIN alice@example.test secret\r\n")

    async def select(self, name: bytes = b"INBOX") -> bytes:
        await self.login()
        return await self.ask(b"S SELECT " + name + b"\r\n")


_WRONG = Outline(0, 7, 7, 7, "wrong", "wrong", "wrong", "wrong", "wrong", ("wrong",))


def _asked(made: Outline, fields: Collection[str]) -> Outline:
    return _WRONG._replace(uid=made.uid, **{name: getattr(made, name) for name in fields})
