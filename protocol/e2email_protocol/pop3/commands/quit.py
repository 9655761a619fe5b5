"""QUIT (RFC 1939 §4, §6): what DELE marked is removed, then the mailbox is free, then +OK."""

from __future__ import annotations

from ..context import Context, Replies
from ..state import State
from ._arguments import none


# "QUIT"
async def run(context: Context, argument: bytes) -> Replies:
    none(argument)
    context.state = State.UPDATE
    try:
        if context.opened is not None and context.opened.marked:
            await context.opened.maildrop.delete(context.opened.marked_uids())
    finally:
        # before the reply: the client may come again at once
        await context.let_go()
    yield b"+OK bye\r\n"
