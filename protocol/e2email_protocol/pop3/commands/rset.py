"""RSET (RFC 1939 §5): no message is marked any more."""

from __future__ import annotations

from ..context import Context, Replies
from ._arguments import none


# "RSET"
async def run(context: Context, argument: bytes) -> Replies:
    none(argument)
    context.drop.marked.clear()
    yield b"+OK %d messages, %d octets\r\n" % context.drop.totals()
