"""STLS (RFC 2595 §4). The connection forgets all that was sent in clear after it."""

from __future__ import annotations

from ..context import Context, Replies
from ..errors import BadCommand
from ._arguments import none


# "STLS"
async def run(context: Context, argument: bytes) -> Replies:
    none(argument)
    if context.tls or not context.settings.stls:
        raise BadCommand(b"no TLS to start")
    context.upgrade = True
    yield b"+OK begin TLS now\r\n"
