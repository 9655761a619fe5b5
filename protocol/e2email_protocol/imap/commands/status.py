"""STATUS (RFC 3501 §6.3.10), with SIZE (RFC 8438), DELETED (9051), HIGHESTMODSEQ (7162),

MAILBOXID (8474) and APPENDLIMIT (7889).
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import session
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand

NUMBERS = {
    b"MESSAGES": "messages",
    b"RECENT": "recent",
    b"UIDNEXT": "uidnext",
    b"UIDVALIDITY": "uidvalidity",
    b"UNSEEN": "unseen",
    b"SIZE": "size",
    b"DELETED": "deleted",
    b"HIGHESTMODSEQ": "highestmodseq",  # answered without CONDSTORE, too: it costs nothing
}
ITEMS = NUMBERS.keys() | {b"MAILBOXID", b"APPENDLIMIT"}


@dataclass(frozen=True, slots=True)
class Status:
    name: bytes
    items: tuple[bytes, ...]

    async def run(self, context: Context) -> Steps:
        name = context.name(self.name)
        check(context, self.items)
        if b"HIGHESTMODSEQ" in self.items and context.has(b"CONDSTORE"):
            yield context.enable(b"CONDSTORE")
        yield render(context, name, await context.session.status(name), self.items)
        yield Ok()


def check(context: Context, items: tuple[bytes, ...]) -> None:
    """BadCommand for items that this backend does not have."""
    if b"MAILBOXID" in items:
        context.require((b"OBJECTID",))
    if b"APPENDLIMIT" in items:
        _ = context.append_limit


def render(context: Context, name: str, status: session.Status, items: tuple[bytes, ...]) -> bytes:
    values = b" ".join(item + b" " + _value(context, status, item) for item in items)
    return b"* STATUS " + context.quote(name) + b" (" + values + b")\r\n"


def _value(context: Context, status: session.Status, item: bytes) -> bytes:
    if item == b"MAILBOXID":
        return b"(%b)" % status.mailbox_id.encode()
    if item == b"APPENDLIMIT":
        return b"%d" % context.append_limit
    return b"%d" % getattr(status, NUMBERS[item])


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
