"""APPEND (RFC 3501 §6.3.11), with APPENDUID (RFC 4315)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..context import Context, Ok, Steps, creatable
from ..cursor import Cursor
from ..dates import parse_date_time
from ..errors import BadCommand, Cannot
from ..flags import parse_flag_list


class EmptyMessage(Cannot):
    text = b"an empty message is not stored"


@dataclass(frozen=True, slots=True)
class Append:
    name: bytes
    flags: frozenset[str]
    when: datetime | None
    octets: bytes = field(repr=False)
    utf8: bool = False  # RFC 6855 §4

    async def run(self, context: Context) -> Steps:
        name, flags = self.target(context)
        with creatable():
            result = await context.session.append(name, self.octets, flags, self.when)
        yield Ok(b"stored", b"APPENDUID %d %d" % (result.uidvalidity, result.uid))

    def target(self, context: Context) -> tuple[str, frozenset[str]]:
        """Where it goes, and its flags as they are spelt there."""
        if not self.octets:  # how RFC 3502 clients call an APPEND off
            raise EmptyMessage
        if self.utf8 and not context.utf8:
            raise BadCommand(b"UTF8=ACCEPT is not enabled")
        name = context.name(self.name)
        if context.mailbox is not None and context.mailbox.name == name:
            return name, context.mailbox.view.spell(self.flags)
        return name, self.flags


# append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP append-data
# append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"
def parse(cursor: Cursor) -> Append:
    cursor.space()
    name = cursor.astring()
    cursor.space()
    flags: frozenset[str] = frozenset()
    when = None
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
    cursor.end()
    return Append(name, flags, when, octets, utf8)
