"""DELE (RFC 1939 §5): a mark that counts at QUIT."""

from __future__ import annotations

from ..context import Context, Replies
from ._arguments import number


# "DELE" SP msg
async def run(context: Context, argument: bytes) -> Replies:
    which = number(argument)
    context.drop.message(which)
    context.drop.marked.add(which)
    yield b"+OK marked\r\n"
