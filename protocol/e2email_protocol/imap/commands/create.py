"""CREATE (RFC 3501 §6.3.3), with USE (RFC 6154 §3) and MAILBOXID (RFC 8474 §4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import AlreadyExists, BadCommand, Refused

SPECIAL_USES = ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")
_CANONICAL = {use.lower().encode(): use for use in SPECIAL_USES}


class UseNotPossible(Refused):
    code = b"USEATTR"
    text = b"a mailbox cannot have that use here"


@dataclass(frozen=True, slots=True)
class Create:
    name: bytes
    uses: tuple[bytes, ...]

    async def run(self, context: Context) -> Steps:
        name = context.new_name(self.name)
        if name == "INBOX":
            raise AlreadyExists
        await context.session.create(name, self._use())
        if not context.has(b"OBJECTID"):
            yield Ok()
            return
        made = await context.session.status(name)
        yield Ok(b"created", b"MAILBOXID (%b)" % made.mailbox_id.encode())

    def _use(self) -> str | None:
        if not self.uses:
            return None
        use = _CANONICAL.get(self.uses[0].lower())
        if use is None or len(self.uses) > 1:
            raise UseNotPossible
        return use


# create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]
def parse(cursor: Cursor) -> Create:
    cursor.space()
    name = cursor.astring()
    uses: list[bytes] = []
    if not cursor.at_end():
        cursor.expect(b" (USE (")
        while not cursor.take(b"))"):
            if uses:
                cursor.space()
            uses.append(cursor.flag())
        cursor.end()
    if not all(use.startswith(b"\\") for use in uses):
        raise BadCommand(b"use expected")
    return Create(name, tuple(uses))
