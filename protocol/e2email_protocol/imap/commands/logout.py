"""LOGOUT (RFC 3501 §6.1.3)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..state import State


@dataclass(frozen=True, slots=True)
class Logout:
    async def run(self, context: Context) -> Steps:
        yield b"* BYE logging out\r\n"
        await context.deselect()
        context.state = State.LOGOUT
        yield Ok()


# logout = "LOGOUT"
def parse(cursor: Cursor) -> Logout:
    cursor.end()
    return Logout()
