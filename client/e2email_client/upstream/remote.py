"""What the client asks of its mailbox on the server. Everything sent is quoted here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from e2email_client.failure import BadServer
from e2email_client.local.keywords import without_reserved
from e2email_client.local.mailboxes import Skeleton
from e2email_client.upstream.wire import Literal, Result, Wire
from e2email_protocol.imap.dates import parse_date_time, render_date_time
from e2email_protocol.imap.errors import BadCommand
from e2email_protocol.imap.names import quote_name
from e2email_protocol.imap.response_types import (
    Code,
    Condition,
    Exists,
    Fetch,
    ListReply,
    StatusReply,
)
from e2email_protocol.imap.sequence import parse_set, render_set

# The bound of DESIGN §7 for commands that name their messages.
UIDS_A_COMMAND = 500
# The server takes lines of 64 KiB.
SET_OCTETS = 60 * 1024
SKELETONS_A_BATCH = 5_000
ENVELOPE_ITEM = b"BODY.PEEK[HEADER.FIELDS (E2EMAIL-ENVELOPE)]"
_ENVELOPE_NAME = b"BODY[HEADER.FIELDS (E2EMAIL-ENVELOPE)]"
T = TypeVar("T")

_SPECIAL = {"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"}


@dataclass(frozen=True, slots=True)
class RemoteMailbox:
    name: str
    special_use: str | None
    subscribed: bool


@dataclass(frozen=True, slots=True)
class RemoteState:
    """A mailbox as SELECT or STATUS describes it."""

    uidvalidity: int
    uidnext: int
    messages: int
    highestmodseq: int = 0  # of STATUS


class Remote:
    """Commands over one connection, in order. Refused, BadServer, Offline."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.selected: str | None = None

    def close(self) -> None:
        self._wire.hang_up()

    async def mailboxes(self) -> list[RemoteMailbox]:
        """What can be selected. Which are subscribed comes from LSUB's successor (RFC 5258)."""
        listed = await self._wire.run(b'LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED)')
        found = []
        for reply in _of(listed, ListReply):
            flags = {flag.lower() for flag in reply.attributes}
            if flags & {"\\noselect", "\\nonexistent"}:
                continue
            special = next((one for one in sorted(_SPECIAL) if one.lower() in flags), None)
            found.append(RemoteMailbox(reply.name, special, "\\subscribed" in flags))
        return found

    async def select(self, name: str) -> RemoteState:
        self.selected = None
        result = await self._wire.run(b"SELECT", quote_name(name))
        self.selected = name
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
        )

    async def status(self, name: str) -> RemoteState:
        """The same without selecting it."""
        result = await self._wire.run(
            b"STATUS", quote_name(name), b"(UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ)"
        )
        items = next((reply.items for reply in _of(result, StatusReply)), {})
        return RemoteState(
            uidvalidity=items.get(b"UIDVALIDITY", 0),
            uidnext=items.get(b"UIDNEXT", 0),
            messages=items.get(b"MESSAGES", 0),
            highestmodseq=items.get(b"HIGHESTMODSEQ", 0),
        )

    async def noop(self) -> None:
        """Make the server's picture of the selected mailbox current: a UID FETCH alone is answered
        from the old one, in which new mail does not exist (RFC 9051, 7.5.1)."""
        await self._wire.run(b"NOOP")

    async def skeletons(self, first: int) -> AsyncIterator[list[Skeleton]]:
        """Messages with a UID from `first` on."""
        result = await self._wire.run(b"UID FETCH %d:* (FLAGS INTERNALDATE EMAILID)" % first)
        batch = []
        for reply in _of(result, Fetch):
            # `n:*` also names the last message when n is above it (RFC 9051, 9: seq-range)
            if reply.uid is not None and reply.uid >= first and b"EMAILID" in reply.items:
                batch.append(_skeleton(reply))
            if len(batch) == SKELETONS_A_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def flags(self, first: int, last: int) -> list[tuple[int, frozenset[str]]]:
        result = await self._wire.run(b"UID FETCH %d:%d (FLAGS)" % (first, last))
        return _flags(result)

    async def flags_of(self, uids: Sequence[int]) -> list[tuple[int, frozenset[str]]]:
        """Of those that exist."""
        found = []
        for part in _parts(uids):
            found += _flags(await self._wire.run(b"UID FETCH", render_set(part), b"(FLAGS)"))
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
    ) -> list[tuple[int, frozenset[str]]]:
        """`operation`: FLAGS, +FLAGS or -FLAGS. What the server says the flags are now."""
        said = []
        listed = b"(%b)" % " ".join(sorted(flags)).encode("ascii")
        for part in _parts(uids):
            result = await self._wire.run(
                b"UID STORE", render_set(part), operation.encode("ascii"), listed
            )
            said += _flags(result)
        return said

    async def expunge(self, uids: Sequence[int]) -> None:
        for part in _parts(uids):
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
        for part in _short(uids):
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

    async def create(self, name: str) -> None:
        await self._wire.run(b"CREATE", quote_name(name))

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


def _parts(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (uids[at : at + UIDS_A_COMMAND] for at in range(0, len(uids), UIDS_A_COMMAND))


def _short(uids: Sequence[int]) -> list[Sequence[int]]:
    return [uids] if len(render_set(uids)) <= SET_OCTETS else list(_parts(uids))


def _flags(result: Result) -> list[tuple[int, frozenset[str]]]:
    return [
        (reply.uid, _believed(reply.flags))
        for reply in _of(result, Fetch)
        if reply.uid is not None and reply.flags is not None
    ]


def _believed(flags: frozenset[str]) -> frozenset[str]:
    """Without what only this client says: a program at the server's own port can store anything."""
    return without_reserved(flags) - {"\\Recent"}


def _skeleton(reply: Fetch) -> Skeleton:
    email_id, when = reply.items[b"EMAILID"], reply.items.get(b"INTERNALDATE")
    if not (isinstance(email_id, list) and len(email_id) == 1 and isinstance(email_id[0], bytes)):
        raise BadServer("The server's EMAILID is none.")
    try:
        date = parse_date_time(when if isinstance(when, bytes) else b"")
    except BadCommand:
        date = datetime.fromtimestamp(0, UTC)
    assert reply.uid is not None
    return Skeleton(
        uid=reply.uid,
        email_id=email_id[0].decode("ascii", "replace"),
        flags=_believed(reply.flags or frozenset()),
        internal_date=int(date.timestamp()),
    )


def _arguments(code: Code, count: int) -> list[bytes]:
    found = code.arguments.split(b" ")
    if len(found) != count:
        raise BadServer("The server's response code has a wrong shape.")
    return found


def _number(text: bytes | None) -> int:
    if text is None or not text.isdigit() or len(text) > 20:
        raise BadServer("The server leaves out a number.")
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
