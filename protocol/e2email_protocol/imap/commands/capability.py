"""CAPABILITY (RFC 3501 §6.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor


@dataclass(frozen=True, slots=True)
class Capability:
    async def run(self, context: Context) -> Steps:
        yield b"* CAPABILITY " + context.capabilities() + b"\r\n"
        yield Ok()


# capability = "CAPABILITY"
def parse(cursor: Cursor) -> Capability:
    cursor.end()
    return Capability()
