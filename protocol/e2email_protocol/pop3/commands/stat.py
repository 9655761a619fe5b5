"""STAT (RFC 1939 §5)."""

from __future__ import annotations

from ..context import Context, Replies
from ._arguments import none


# "STAT"
async def run(context: Context, argument: bytes) -> Replies:
    none(argument)
    yield b"+OK %d %d\r\n" % context.drop.totals()
