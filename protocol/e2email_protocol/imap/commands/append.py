"""APPEND (RFC 3501 §6.3.11), with APPENDUID (RFC 4315) and of several messages (RFC 3502)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..context import Context, Ok, Steps, creatable
from ..cursor import Cursor
from ..dates import parse_date_time
from ..errors import BadCommand, Cannot, LimitReached
from ..extensions import MultiAppendSession, NewMessage
from ..flags import parse_flag_list
from ..limits import APPENDED
from ..sequence import render_set
from ..session import AppendResult


class EmptyMessage(Cannot):
    text = b"an empty message is not stored"


@dataclass(frozen=True, slots=True)
class Append:
    name: bytes
    messages: tuple[NewMessage, ...] = field(repr=False)
    utf8: bool = False  # RFC 6855 §4

    async def run(self, context: Context) -> Steps:
        name, messages = self.target(context)
        with creatable():
            stored = await _store(context, name, messages)
        uids = render_set((result.uid for result in stored), ordered=False)
        yield Ok(b"stored", b"APPENDUID %d %b" % (stored[0].uidvalidity, uids))

    def target(self, context: Context) -> tuple[str, list[NewMessage]]:
        """Where they go, with their flags as they are spelt there."""
        if len(self.messages) > 1:
            context.require((b"MULTIAPPEND",))
        if not all(message.octets for message in self.messages):  # how RFC 3502 §3 calls it off
            raise EmptyMessage
        if self.utf8 and b"UTF8=ACCEPT" not in context.enabled:
            raise BadCommand(b"UTF8=ACCEPT is not enabled")
        name = context.name(self.name)
        if context.mailbox is None or context.mailbox.name != name:
            return name, list(self.messages)
        spell = context.mailbox.view.spell
        return name, [replace(one, flags=spell(one.flags)) for one in self.messages]


async def _store(context: Context, name: str, messages: list[NewMessage]) -> Sequence[AppendResult]:
    session = context.session
    if len(messages) > 1:
        assert isinstance(session, MultiAppendSession)
        return await session.append_many(name, messages)
    (one,) = messages
    return [await session.append(name, one.octets, one.flags, one.when)]


# append = "APPEND" SP mailbox 1*append-message ; RFC 3502 §6.3.11
def parse(cursor: Cursor) -> Append:
    cursor.space()
    name = cursor.astring()
    found = [_message(cursor)]
    while not cursor.at_end():
        found.append(_message(cursor))
        if len(found) > APPENDED:
            raise LimitReached
    messages = tuple(message for message, _ in found)
    return Append(name, messages, any(utf8 for _, utf8 in found))


# append-message = SP [flag-list SP] [date-time SP] append-data
# append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"
def _message(cursor: Cursor) -> tuple[NewMessage, bool]:
    cursor.space()
    flags: frozenset[str] = frozenset()
    when: datetime | None = None
    if cursor.peek() == b"(":
        flags = parse_flag_list(cursor)
        cursor.space()
    if cursor.peek() == b'"':
        when = parse_date_time(cursor.string())
        cursor.space()
    utf8 = cursor.take(b"UTF8 (")
    octets = cursor.literal8()
    if utf8:
        cursor.expect(b")")
    return NewMessage(octets, flags, when), utf8
