"""FETCH and UID FETCH (RFC 3501 §6.4.5), with CHANGEDSINCE and VANISHED (RFC 7162).

UID comes first in every reply: Thunderbird wants it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from ..chunks import Chunks
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand, Refused, Torn, Vanished
from ..fair import Turns
from ..fetch_items import Items
from ..fetch_parse import parse_items
from ..limits import FETCH_BATCH, SEEN_AHEAD, VALUES
from ..sequence import Ranges, vanished_lines
from ..session import StoreOp, Stream
from ..view import Numbered, View

_SEEN = frozenset({"\\Seen"})


@dataclass(frozen=True, slots=True)
class Fetch:
    messages: Ranges
    items: Items
    uid: bool
    since: int | None = None  # only messages whose modseq is above it
    vanished: bool = False

    async def run(self, context: Context) -> Steps:
        context.require(self.items.requires)
        if self.vanished and b"QRESYNC" not in context.enabled:
            raise BadCommand(b"QRESYNC is not enabled")
        if self.items.modseq:
            yield context.enable(b"CONDSTORE")
        selected = context.selected
        view = selected.view
        chosen = view.by_uid(self.messages) if self.uid else view.by_number(self.messages)
        if self.since is not None:
            since = self.since
            chosen = [message for message in chosen if message.entry.modseq > since]
            if self.vanished:
                changes = await selected.mailbox.changes(since)
                among = view.spans(self.messages)
                for octets in vanished_lines(view.missing(changes, among), b"(EARLIER) "):
                    yield octets
        if not self.items.others:
            for octets in self._from_view(view, chosen):
                yield octets
            yield Ok()
            return
        given = 0
        for start in range(0, len(chosen), FETCH_BATCH):
            batch = Batch(context, self.items, chosen[start : start + FETCH_BATCH])
            async with aclosing(batch.replies()) as replies:
                async for octets in replies:
                    yield octets
            given += batch.given
            if batch.trouble is not None:
                raise batch.trouble
        if given < len(chosen) and not self.uid:
            raise Vanished
        yield Ok()

    def _from_view(self, view: View, chosen: list[Numbered]) -> Iterator[bytes]:
        """UID, FLAGS and MODSEQ alone: the backend is not asked."""
        out = Chunks()
        render = view.renderer(self.items.uid, self.items.flags, self.items.modseq)
        for message in chosen:
            out.add(render(message))
            if out.full:
                yield out.take()
        yield out.take()


class Batch:
    """Some hundred messages read at once. `given` counts those that were there.

    `trouble` is raised when the messages that could be had are on their way.

    Where reading sets \\Seen, some messages wait until SEEN_AHEAD octets are together; they are
    marked in one step and then sent. A client that goes away has little marked that it did not get.
    """

    def __init__(self, context: Context, items: Items, chosen: list[Numbered]):
        self._context = context
        self._selected = context.selected
        self._items = items
        self._chosen = {message.entry.uid: message for message in chosen}
        self._flags_changed: set[int] = set()
        self._marks = items.sets_seen and not self._selected.mailbox.readonly
        self._waiting: list[tuple[int, list[bytes | Stream]]] = []
        self._size = 0  # octets of those that wait
        self._turns = Turns(VALUES)
        self.given = 0
        self.trouble: Refused | None = None

    async def replies(self) -> AsyncGenerator[bytes, None]:
        out = Chunks()
        try:
            async with aclosing(self._read(out)) as pieces:
                async for octets in pieces:
                    yield octets
        except Refused as error:
            self.trouble = error
        async for octets in self._give(out):
            yield octets
        yield out.take()

    async def _read(self, out: Chunks) -> AsyncGenerator[bytes, None]:
        found = self._selected.mailbox.fetch(list(self._chosen), self._items.need)
        async with aclosing(found) as messages:
            async for message in messages:
                self.given += 1
                await self._turns.spend(len(self._items.others))
                try:
                    values = [await item.value(message) for item in self._items.others]
                except Refused as error:
                    self.trouble = self.trouble or error
                    continue
                texts = [value for value in values if isinstance(value, bytes)]
                if not self._marks and len(texts) == len(values):
                    self._give_at_once(message.uid, texts, out)
                    if out.full:
                        yield out.take()
                    continue
                self._waiting.append((message.uid, values))
                self._size += sum(_length(value) for value in values)
                if not self._marks or self._size >= SEEN_AHEAD:
                    async for octets in self._give(out):
                        yield octets

    def _give_at_once(self, uid: int, texts: Iterable[bytes], out: Chunks) -> None:
        """One of ten thousand: it waits for nothing, and no generator is made for it."""
        pieces = [self._head(uid)]
        for item, text in zip(self._items.others, texts, strict=True):
            pieces += item.label, b" ", text, b" "
        pieces[-1] = b")\r\n"  # after the last one
        out.add(b"".join(pieces))

    async def _give(self, out: Chunks) -> AsyncIterator[bytes]:
        waiting, self._waiting, self._size = self._waiting, [], 0
        if self._marks:
            await self._set_seen(uid for uid, _ in waiting)
        for uid, values in waiting:
            out.add(self._head(uid))
            async for octets in self._body(values, out):
                yield octets
            if out.full:
                yield out.take()

    async def _set_seen(self, uids: Iterable[int]) -> None:
        """Where that fails the mail is given all the same, and it fails no second time."""
        view = self._selected.view
        unseen = [uid for uid in uids if "\\Seen" not in self._chosen[uid].entry.flags]
        if not unseen:
            return
        try:
            result = await self._selected.mailbox.store(unseen, StoreOp.ADD, _SEEN)
        except Refused as error:
            self.trouble = self.trouble or error
            self._marks = False
            return
        for entry in result.entries:
            if entry.uid in self._chosen and view.replace(entry):
                self._flags_changed.add(entry.uid)
                self._chosen[entry.uid] = Numbered(self._chosen[entry.uid].number, entry)

    def _head(self, uid: int) -> bytes:
        number, entry = self._chosen[uid]
        head = b"* %d FETCH (" % number
        if self._items.uid:
            head += b"UID %d " % entry.uid
        changed = entry.uid in self._flags_changed
        if self._items.flags or changed:
            head += b"FLAGS (%b) " % self._selected.view.flags(entry)
        if self._items.modseq or (changed and b"CONDSTORE" in self._context.enabled):
            head += b"MODSEQ (%d) " % entry.modseq
        return head

    async def _body(self, values: list[bytes | Stream], out: Chunks) -> AsyncIterator[bytes]:
        separator = b""
        for item, value in zip(self._items.others, values, strict=True):
            label = separator + item.label + b" "
            separator = b" "
            if isinstance(value, bytes):
                out.add(label + value)
                continue
            out.add(label + item.opening(value.size))
            self._context.in_literal = True
            yield out.take()
            async for octets in _exactly(value):
                yield octets
            self._context.in_literal = False
        out.add(b")\r\n")


def _length(value: bytes | Stream) -> int:
    """A stream is there while its message is: nothing waits behind it."""
    return SEEN_AHEAD if isinstance(value, Stream) else len(value)


async def _exactly(stream: Stream) -> AsyncIterator[bytes]:
    """Once its size is announced, a literal comes whole or the connection must end."""
    left = stream.size
    try:
        async for octets in stream.chunks:
            left -= len(octets)
            if left < 0:
                break
            yield octets
    except Exception as error:
        raise Torn from error
    if left:
        raise Torn


# fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
#         "(" fetch-att *(SP fetch-att) ")") [SP "(" fetch-modifier *(SP fetch-modifier) ")"]
# fetch-modifier = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED"
def parse(cursor: Cursor, uid: bool) -> Fetch:
    cursor.space()
    messages = cursor.set()
    cursor.space()
    items = parse_items(cursor, uid)
    since, vanished = _parse_modifiers(cursor)
    if vanished and (since is None or not uid):
        raise BadCommand(b"VANISHED needs UID FETCH and CHANGEDSINCE")
    if since is not None:
        items = replace(items, modseq=True)  # CHANGEDSINCE asks for it (RFC 7162 §3.1.4.1)
    return Fetch(messages, items, uid, since, vanished)


def _parse_modifiers(cursor: Cursor) -> tuple[int | None, bool]:
    since, vanished = None, False
    if not cursor.at_end():
        cursor.space()
        cursor.expect(b"(")
        more = True
        while more:
            if cursor.take(b"CHANGEDSINCE "):
                since = cursor.number(2**63 - 1)
            elif cursor.take(b"VANISHED"):
                vanished = True
            else:
                raise BadCommand(b"unknown FETCH modifier")
            more = cursor.take(b" ")
        cursor.expect(b")")
        cursor.end()
    return since, vanished
