"""NOOP (RFC 1939 §5)."""

from __future__ import annotations

from ..context import Context, Replies
from ._arguments import none


# "NOOP"
async def run(context: Context, argument: bytes) -> Replies:
    none(argument)
    yield b"+OK\r\n"
