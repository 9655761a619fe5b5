"""ID (RFC 2971): who speaks. The client's answer is a claim and nothing depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand
from ..limits import ID_FIELDS, ID_VALUE


@dataclass(frozen=True, slots=True)
class Id:
    fields: Mapping[str, str]

    async def run(self, context: Context) -> Steps:
        context.session.identify(self.fields)
        own = " ".join(f'"{key}" "{value}"' for key, value in context.settings.identity.items())
        yield b"* ID (" + own.encode("ascii") + b")\r\n"
        yield Ok()


# id = "ID" SP id-params-list
# id-params-list = "(" *(string SP nstring) ")" / nil
def parse(cursor: Cursor) -> Id:
    cursor.space()
    fields: dict[str, str] = {}
    if cursor.take(b"NIL"):
        cursor.end()
        return Id(fields)
    cursor.expect(b"(")
    while not cursor.take(b")"):
        if len(fields) >= ID_FIELDS:
            raise BadCommand(b"too many fields")
        if fields:
            cursor.space()
        key = _text(cursor.string())
        cursor.space()
        fields[key.lower()] = _text(cursor.nstring() or b"")
    cursor.end()
    return Id(fields)


def _text(octets: bytes) -> str:
    """Printable text only: it may end in a log or beside a stored mail."""
    if len(octets) > ID_VALUE:
        raise BadCommand(b"field too long")
    return "".join(c for c in octets.decode("utf-8", "replace") if c.isprintable())
