"""CREATE (RFC 3501 §6.3.3), with USE (RFC 6154 §3)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import AlreadyExists, BadCommand, Refused
from ..names import new_name

SPECIAL_USES = ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")
_CANONICAL = {use.lower().encode(): use for use in SPECIAL_USES}


class UseNotPossible(Refused):
    code = b"USEATTR"
    text = b"a mailbox cannot have that use here"


@dataclass(frozen=True, slots=True)
class Create:
    name: bytes
    use: bytes | None

    async def run(self, context: Context) -> Steps:
        name = new_name(self.name)
        if name == "INBOX":
            raise AlreadyExists
        use = None if self.use is None else _CANONICAL.get(self.use.lower())
        if self.use is not None and use is None:
            raise UseNotPossible
        await context.session.create(name, use)
        yield Ok()


# create = "CREATE" SP mailbox [SP "(" "USE" SP "(" use-attr ")" ")"]
def parse(cursor: Cursor) -> Create:
    cursor.space()
    name = cursor.astring()
    use = None
    if not cursor.at_end():
        cursor.expect(b" (USE (")
        use = cursor.flag()
        cursor.expect(b"))")
        cursor.end()
    if use is not None and not use.startswith(b"\\"):
        raise BadCommand(b"use expected")
    return Create(name, use)
