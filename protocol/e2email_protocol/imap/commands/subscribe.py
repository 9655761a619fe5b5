"""SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor


@dataclass(frozen=True, slots=True)
class Subscribe:
    name: bytes
    on: bool

    async def run(self, context: Context) -> Steps:
        await context.session.subscribe(context.name(self.name), self.on)
        yield Ok()


# subscribe = "SUBSCRIBE" SP mailbox; unsubscribe = "UNSUBSCRIBE" SP mailbox
def parse(cursor: Cursor, on: bool) -> Subscribe:
    cursor.space()
    name = cursor.astring()
    cursor.end()
    return Subscribe(name, on)
