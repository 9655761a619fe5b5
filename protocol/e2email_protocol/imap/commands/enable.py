"""ENABLE (RFC 5161). Nothing here needs it yet: unknown names are ignored, as the RFC wants."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor


@dataclass(frozen=True, slots=True)
class Enable:
    names: tuple[bytes, ...]

    async def run(self, context: Context) -> Steps:
        yield b"* ENABLED\r\n"
        yield Ok()


# enable = "ENABLE" 1*(SP capability)
def parse(cursor: Cursor) -> Enable:
    names: list[bytes] = []
    while not names or not cursor.at_end():
        cursor.space()
        names.append(cursor.word())
    return Enable(tuple(names))
