"""ENABLE (RFC 5161). Unknown names are ignored, as the RFC wants."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import ENABLEABLE, Context, Ok, Steps
from ..cursor import Cursor

_KNOWN = {name.upper(): name for name in ENABLEABLE}


@dataclass(frozen=True, slots=True)
class Enable:
    names: tuple[bytes, ...]  # upper case

    async def run(self, context: Context) -> Steps:
        known = [_KNOWN[name] for name in self.names if name in _KNOWN]
        known = [name for name in known if context.has(name)]
        yield b"* ENABLED" + b"".join(b" " + name for name in known) + b"\r\n"
        for name in known:
            yield context.enable(name)
        yield Ok()


# enable = "ENABLE" 1*(SP capability)
def parse(cursor: Cursor) -> Enable:
    names: dict[bytes, None] = {}
    while not names or not cursor.at_end():
        cursor.space()
        names[cursor.word()] = None
    return Enable(tuple(names))
