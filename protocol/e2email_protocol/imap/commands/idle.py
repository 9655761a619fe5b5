"""IDLE (RFC 2177)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Ask, Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand


@dataclass(frozen=True, slots=True)
class Idle:
    async def run(self, context: Context) -> Steps:
        line = yield Ask(b"idling", idle=True)
        if line is None or line.upper() != b"DONE":
            raise BadCommand(b"DONE expected")
        yield Ok()


# idle = "IDLE" CRLF "DONE"
def parse(cursor: Cursor) -> Idle:
    cursor.end()
    return Idle()
