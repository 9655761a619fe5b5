"""UTF8 (RFC 6856 §2). Names and passwords are UTF-8 in any case, and so may be what is served."""

from __future__ import annotations

from ..context import Context, Replies
from ._arguments import none


# "UTF8"
async def run(context: Context, argument: bytes) -> Replies:
    none(argument)
    yield b"+OK as it always is\r\n"
