"""NAMESPACE (RFC 2342): one personal namespace, nothing of others, nothing shared."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor


@dataclass(frozen=True, slots=True)
class Namespace:
    async def run(self, context: Context) -> Steps:
        yield b'* NAMESPACE (("" "/")) NIL NIL\r\n'
        yield Ok()


# namespace = "NAMESPACE"
def parse(cursor: Cursor) -> Namespace:
    cursor.end()
    return Namespace()
