"""DELETE (RFC 3501 §6.3.4)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import Cannot


class InboxStays(Cannot):
    text = b"INBOX stays"


@dataclass(frozen=True, slots=True)
class Delete:
    name: bytes

    async def run(self, context: Context) -> Steps:
        name = context.name(self.name)
        if name == "INBOX":
            raise InboxStays
        await context.session.delete(name)
        if context.mailbox is not None and context.mailbox.name == name:
            await context.deselect()
        yield Ok()


# delete = "DELETE" SP mailbox
def parse(cursor: Cursor) -> Delete:
    cursor.space()
    name = cursor.astring()
    cursor.end()
    return Delete(name)
