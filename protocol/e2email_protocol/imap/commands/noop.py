"""NOOP and CHECK (RFC 3501 §6.1.2, §6.4.1): what is new is told before the OK of any command."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor


@dataclass(frozen=True, slots=True)
class Noop:
    async def run(self, context: Context) -> Steps:
        yield Ok()


# noop = "NOOP"; check = "CHECK"
def parse(cursor: Cursor) -> Noop:
    cursor.end()
    return Noop()
