"""What the client asks of its mailbox on the server. Everything sent is quoted here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from e2email_client.failure import BadServer
from e2email_client.local.contents import Skeleton
from e2email_client.local.seen import Counters
from e2email_client.upstream.news import Hearing, News, believed
from e2email_client.upstream.wire import Literal, Result, Wire
from e2email_protocol.imap.dates import parse_date_time, render_date_time
from e2email_protocol.imap.errors import BadCommand
from e2email_protocol.imap.names import quote_name
from e2email_protocol.imap.response_types import (
    MODSEQ_MAX,
    Capability,
    Code,
    Condition,
    Enabled,
    Exists,
    Fetch,
    ListReply,
    StatusReply,
    Value,
)
from e2email_protocol.imap.sequence import parse_set, render_set

# The bound of DESIGN §7 for commands that name their messages.
UIDS_A_COMMAND = 500
# Changes of one command: the server makes them in one transaction, and others wait meanwhile.
CHANGES_A_COMMAND = 5_000
# The server takes lines of 64 KiB.
SET_OCTETS = 60 * 1024
SKELETONS_A_BATCH = 5_000
ENVELOPE_ITEM = b"BODY.PEEK[HEADER.FIELDS (E2EMAIL-ENVELOPE)]"
_ENVELOPE_NAME = b"BODY[HEADER.FIELDS (E2EMAIL-ENVELOPE)]"
T = TypeVar("T")

_SPECIAL = {"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"}


_COUNTERS = b"UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ"


@dataclass(frozen=True, slots=True)
class RemoteState:
    """A mailbox as SELECT or STATUS describes it."""

    uidvalidity: int
    uidnext: int
    messages: int
    highestmodseq: int = 0  # 0: the server keeps none
    mailbox_id: str = ""  # MAILBOXID (RFC 8474); "": the server has none

    @property
    def counters(self) -> Counters:
        return Counters(self.uidvalidity, self.uidnext, self.highestmodseq, self.mailbox_id)


@dataclass(frozen=True, slots=True)
class RemoteMailbox:
    name: str
    special_use: str | None
    subscribed: bool
    state: RemoteState | None = None  # None: it was not told


class Remote:
    """Commands over one connection, in order. Refused, BadServer, Offline."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._hearing = Hearing()
        wire.listen(self._hearing.heard)
        self._can: frozenset[bytes] = frozenset()
        self.resyncs = False  # the server tells what changed since a MODSEQ (RFC 7162)
        self.selected: str | None = None

    def close(self) -> None:
        self._wire.hang_up()

    async def begin(self) -> None:
        """After login: learn what the server can, and switch on what sync lives on."""
        said = await self._wire.run(b"CAPABILITY")
        self._can = frozenset().union(*(reply.names for reply in _of(said, Capability)))
        if {b"ENABLE", b"QRESYNC"} <= self._can:
            said = await self._wire.run(b"ENABLE QRESYNC")
            self.resyncs = any(b"QRESYNC" in reply.names for reply in _of(said, Enabled))

    def news(self) -> News:
        """What was said of the selected mailbox since the last time, besides answers."""
        return self._hearing.take()

    async def mailboxes(self) -> list[RemoteMailbox]:
        """What can be selected, with its counters: one command however many there are."""
        listed = await self._wire.run(
            b'LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE STATUS (%b))' % self._items
        )
        states = {reply.name: _state(reply) for reply in _of(listed, StatusReply)}
        found = []
        for reply in _of(listed, ListReply):
            flags = {flag.lower() for flag in reply.attributes}
            if flags & {"\\noselect", "\\nonexistent"}:
                continue
            special = next((one for one in sorted(_SPECIAL) if one.lower() in flags), None)
            state = states.get(reply.name)
            found.append(RemoteMailbox(reply.name, special, "\\subscribed" in flags, state))
        if not any(one.name == "INBOX" for one in found):
            # there always is one; what is not listed would be taken for deleted
            raise BadServer("The server lists no inbox.")
        return found

    @property
    def _items(self) -> bytes:
        return _COUNTERS + b" MAILBOXID" if b"OBJECTID" in self._can else _COUNTERS

    async def select(self, name: str, since: tuple[int, int, int] | None = None) -> RemoteState:
        """`since`: (UIDVALIDITY, MODSEQ, UIDNEXT) that are known; what changed then is `news`."""
        self.selected = None
        self._hearing.clear()
        parameters = []
        if since is not None and self.resyncs and since[1]:
            validity, modseq, uidnext = since
            uids = b" 1:%d" % (uidnext - 1) if uidnext > 1 else b""
            parameters = [b"(QRESYNC (%d %d%b))" % (validity, modseq, uids)]
        result = await self._wire.run(b"SELECT", quote_name(name), *parameters)
        self.selected = name
        self._hearing.selected()
        said = {
            reply.code.name: reply.code.arguments
            for reply in _of(result, Condition)
            if reply.code is not None
        }
        messages = [reply.count for reply in _of(result, Exists)]
        return RemoteState(
            uidvalidity=_number(said.get(b"UIDVALIDITY")),
            uidnext=_number(said.get(b"UIDNEXT")),
            messages=messages[-1] if messages else 0,
            highestmodseq=_number(said.get(b"HIGHESTMODSEQ", b"0")),
            mailbox_id=said.get(b"MAILBOXID", b"").strip(b"()").decode("ascii", "replace"),
        )

    async def status(self, name: str) -> RemoteState:
        """The same without selecting it."""
        result = await self._wire.run(b"STATUS", quote_name(name), b"(%b)" % self._items)
        found = [state for reply in _of(result, StatusReply) if (state := _state(reply))]
        if not found:
            raise BadServer("The server does not answer STATUS.")
        return found[-1]

    async def noop(self) -> None:
        """Make the server's picture of the selected mailbox current: a UID FETCH alone is answered
        from the old one, in which new mail does not exist (RFC 9051, 7.5.1)."""
        await self._wire.run(b"NOOP")

    async def skeletons(self, first: int) -> AsyncIterator[list[Skeleton]]:
        """Messages with a UID from `first` on."""
        more = b" MODSEQ" if self.resyncs else b""
        more += b" SAVEDATE" if b"SAVEDATE" in self._can else b""
        result = await self._wire.run(
            b"UID FETCH %d:* (FLAGS INTERNALDATE EMAILID%b)" % (first, more)
        )
        batch = []
        for reply in _of(result, Fetch):
            # `n:*` also names the last message when n is above it (RFC 9051, 9: seq-range)
            if b"EMAILID" in reply.items and reply.uid is not None and reply.uid >= first:
                batch.append(_skeleton(reply))
            if len(batch) == SKELETONS_A_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def flags(self, first: int, last: int) -> list[tuple[int, frozenset[str]]]:
        with self._hearing.apart():
            result = await self._wire.run(b"UID FETCH %d:%d (FLAGS)" % (first, last))
        return [(uid, flags) for uid, flags, _ in _said(result)]

    async def email_ids(self, uids: Sequence[int]) -> dict[int, str]:
        """uid → EMAILID of those that exist."""
        found = {}
        for part in _short(uids):
            result = await self._wire.run(b"UID FETCH", render_set(part), b"(EMAILID)")
            for reply in _of(result, Fetch):
                if b"EMAILID" in reply.items and reply.uid is not None:
                    found[reply.uid] = _email_id(reply)
        return found

    async def flags_of(self, uids: Sequence[int]) -> list[tuple[int, frozenset[str], int]]:
        """(uid, flags, MODSEQ or 0) of those that exist."""
        found = []
        items = b"(FLAGS MODSEQ)" if self.resyncs else b"(FLAGS)"
        for part in _short(uids):
            found += _said(await self._wire.run(b"UID FETCH", render_set(part), items))
        return found

    async def envelopes(self, uids: Sequence[int]) -> list[tuple[int, bytes]]:
        """(uid, E2email-Envelope field) of those that exist."""
        return await self._fetch(uids, ENVELOPE_ITEM, _ENVELOPE_NAME)

    async def bodies(self, uids: Sequence[int]) -> list[tuple[int, bytes]]:
        """(uid, the record as it is rendered) of those that exist."""
        return await self._fetch(uids, b"BODY.PEEK[]", b"BODY[]")

    async def _fetch(
        self, uids: Sequence[int], item: bytes, name: bytes
    ) -> list[tuple[int, bytes]]:
        found = []
        for part in _parts(uids):
            result = await self._wire.run(b"UID FETCH", render_set(part), b"(%b)" % item)
            for reply in _of(result, Fetch):
                octets = reply.items.get(name)
                if reply.uid is not None and isinstance(octets, bytes):
                    found.append((reply.uid, octets))
        return found

    async def store(
        self, uids: Sequence[int], operation: str, flags: Iterable[str]
    ) -> list[tuple[int, frozenset[str], int]]:
        """`operation`: FLAGS, +FLAGS or -FLAGS. What the server says the flags are now, and since
        which MODSEQ (0: it does not say)."""
        said = []
        listed = b"(%b)" % " ".join(sorted(flags)).encode("ascii")
        for part in _short(uids):
            result = await self._wire.run(
                b"UID STORE", render_set(part), operation.encode("ascii"), listed
            )
            said += _said(result)
        return said

    async def expunge(self, uids: Sequence[int]) -> None:
        for part in _short(uids):
            await self._wire.run(b"UID EXPUNGE", render_set(part))

    async def copy(self, uids: Sequence[int], name: str) -> tuple[int, list[int], list[int]]:
        """(UIDVALIDITY there, UIDs here, UIDs there), parallel."""
        return await self._copy(b"UID COPY", uids, name)

    async def move(self, uids: Sequence[int], name: str) -> tuple[int, list[int], list[int]]:
        return await self._copy(b"UID MOVE", uids, name)

    async def _copy(
        self, verb: bytes, uids: Sequence[int], name: str
    ) -> tuple[int, list[int], list[int]]:
        """One command where its line is not too long: then COPY is all or nothing."""
        validity = 0
        here: list[int] = []
        there: list[int] = []
        for part in _fitting(uids):
            validity, source, target = await self._copy_some(verb, part, name)
            here += source
            there += target
        return validity, here, there

    async def _copy_some(
        self, verb: bytes, uids: Sequence[int], name: str
    ) -> tuple[int, list[int], list[int]]:
        result = await self._wire.run(verb, render_set(uids), quote_name(name))
        codes = [result.code] + [reply.code for reply in _of(result, Condition)]
        for code in codes:
            if code is not None and code.name == b"COPYUID":
                validity, source, target = _arguments(code, 3)
                return _number(validity), _uids(source), _uids(target)
        return 0, [], []

    async def append(
        self, name: str, octets: bytes, flags: Iterable[str], when: datetime
    ) -> tuple[int, int]:
        """(UIDVALIDITY, UID) of the new message."""
        result = await self._wire.run(
            b"APPEND",
            quote_name(name),
            b"(%b)" % " ".join(sorted(flags)).encode("ascii"),
            render_date_time(when),
            Literal(octets),
        )
        if result.code is None or result.code.name != b"APPENDUID":
            raise BadServer("The server does not say where it put a message.")
        validity, uid = _arguments(result.code, 2)
        return _number(validity), _number(uid)

    async def create(self, name: str, special_use: str | None = None) -> None:
        """`special_use`: RFC 6154, which the server must have."""
        use = [b"(USE (%b))" % special_use.encode("ascii")] if special_use else []
        await self._wire.run(b"CREATE", quote_name(name), *use)

    async def delete(self, name: str) -> None:
        await self._wire.run(b"DELETE", quote_name(name))

    async def rename(self, old: str, new: str) -> None:
        await self._wire.run(b"RENAME", quote_name(old), quote_name(new))

    async def subscribe(self, name: str, on: bool) -> None:
        await self._wire.run(b"SUBSCRIBE" if on else b"UNSUBSCRIBE", quote_name(name))

    async def unselect(self) -> None:
        if self.selected is not None:
            self.selected = None
            await self._wire.run(b"UNSELECT")


def _of(result: Result, kind: type[T]) -> Iterator[T]:
    return (reply for reply in result.untagged if isinstance(reply, kind))


def _parts(uids: Sequence[int], size: int = UIDS_A_COMMAND) -> Iterator[Sequence[int]]:
    return (uids[at : at + size] for at in range(0, len(uids), size))


def _fitting(uids: Sequence[int]) -> list[Sequence[int]]:
    """All at once where their set is not too long."""
    return [uids] if len(render_set(uids)) <= SET_OCTETS else list(_parts(uids))


def _short(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (some for part in _parts(uids, CHANGES_A_COMMAND) for some in _fitting(part))


def _state(reply: StatusReply) -> RemoteState | None:
    items = reply.items
    if not items.get(b"UIDVALIDITY") or not items.get(b"UIDNEXT"):
        return None
    return RemoteState(
        uidvalidity=items[b"UIDVALIDITY"],
        uidnext=items[b"UIDNEXT"],
        messages=items.get(b"MESSAGES", 0),
        highestmodseq=items.get(b"HIGHESTMODSEQ", 0),
        mailbox_id=reply.mailbox_id,
    )


def _said(result: Result) -> list[tuple[int, frozenset[str], int]]:
    return [
        (reply.uid, believed(reply.flags), reply.modseq or 0)
        for reply in _of(result, Fetch)
        if reply.uid is not None and reply.flags is not None
    ]


def _email_id(reply: Fetch) -> str:
    email_id = reply.items[b"EMAILID"]
    if not (isinstance(email_id, list) and len(email_id) == 1 and isinstance(email_id[0], bytes)):
        raise BadServer("The server's EMAILID is none.")
    return email_id[0].decode("ascii", "replace")


def _skeleton(reply: Fetch) -> Skeleton:
    assert reply.uid is not None
    return Skeleton(
        uid=reply.uid,
        email_id=_email_id(reply),
        flags=believed(reply.flags or frozenset()),
        internal_date=_seconds(reply.items.get(b"INTERNALDATE")) or 0,
        modseq=reply.modseq or 0,
        saved=_seconds(reply.items.get(b"SAVEDATE")),
    )


def _seconds(when: Value) -> int | None:
    try:
        return int(parse_date_time(when).timestamp()) if isinstance(when, bytes) else None
    except BadCommand:
        return None


def _arguments(code: Code, count: int) -> list[bytes]:
    found = code.arguments.split(b" ")
    if len(found) != count:
        raise BadServer("The server's response code has a wrong shape.")
    return found


def _number(text: bytes | None) -> int:
    if text is None or not text.isdigit() or len(text) > 20:
        raise BadServer("The server leaves out a number.")
    if int(text) > MODSEQ_MAX:
        raise BadServer("The server's number is above what IMAP knows.")
    return int(text)


def _uids(text: bytes) -> list[int]:
    try:
        ranges = parse_set(text)
    except BadCommand as fault:
        raise BadServer("The server's list of messages makes no sense.") from fault
    found: list[int] = []
    for low, high in ranges:
        if high - low >= 1_000_000:
            raise BadServer("The server's list of messages makes no sense.")
        found += range(low, high + 1)
    return found
