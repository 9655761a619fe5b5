"""STATUS (RFC 3501 §6.3.10), with SIZE (RFC 8438) and DELETED (RFC 9051)."""

from __future__ import annotations

from dataclasses import dataclass

from .. import session
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand
from ..names import decode_name, quote_name

ITEMS = {
    b"MESSAGES": "messages",
    b"RECENT": "recent",
    b"UIDNEXT": "uidnext",
    b"UIDVALIDITY": "uidvalidity",
    b"UNSEEN": "unseen",
    b"SIZE": "size",
    b"DELETED": "deleted",
    b"HIGHESTMODSEQ": "highestmodseq",  # answered without CONDSTORE, too: it costs nothing
}


@dataclass(frozen=True, slots=True)
class Status:
    name: bytes
    items: tuple[bytes, ...]

    async def run(self, context: Context) -> Steps:
        name = decode_name(self.name)
        if b"HIGHESTMODSEQ" in self.items and context.has(b"CONDSTORE"):
            yield context.enable(b"CONDSTORE")
        yield render(name, await context.session.status(name), self.items)
        yield Ok()


def render(name: str, status: session.Status, items: tuple[bytes, ...]) -> bytes:
    values = b" ".join(b"%b %d" % (item, getattr(status, ITEMS[item])) for item in items)
    return b"* STATUS " + quote_name(name) + b" (" + values + b")\r\n"


# status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
def parse(cursor: Cursor) -> Status:
    cursor.space()
    name = cursor.astring()
    cursor.space()
    items = parse_items(cursor)
    cursor.end()
    return Status(name, items)


def parse_items(cursor: Cursor) -> tuple[bytes, ...]:
    cursor.expect(b"(")
    items: dict[bytes, None] = {}
    while not items or not cursor.take(b")"):
        if items:
            cursor.space()
        item = cursor.word()
        if item not in ITEMS:
            raise BadCommand(b"unknown status item")
        items[item] = None
    return tuple(items)
