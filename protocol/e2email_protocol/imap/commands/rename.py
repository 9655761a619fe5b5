"""RENAME (RFC 3501 §6.3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import AlreadyExists
from ..names import BadName
from ..session import DELIMITER


@dataclass(frozen=True, slots=True)
class Rename:
    old: bytes
    new: bytes

    async def run(self, context: Context) -> Steps:
        old, new = context.name(self.old), context.new_name(self.new)
        if new in (old, "INBOX"):
            raise AlreadyExists
        if new.startswith(old + DELIMITER) and old != "INBOX":
            raise BadName
        await context.session.rename(old, new)
        yield Ok()


# rename = "RENAME" SP mailbox SP mailbox
def parse(cursor: Cursor) -> Rename:
    cursor.space()
    old = cursor.astring()
    cursor.space()
    new = cursor.astring()
    cursor.end()
    return Rename(old, new)
