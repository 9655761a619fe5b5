"""The common form of LIST and UIDL: one message on one line, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from .. import limits
from ..context import Drop, Replies
from ..session import Listed
from ._arguments import number

Describe = Callable[[Listed], bytes]


async def listing(drop: Drop, argument: bytes, head: bytes, describe: Describe) -> Replies:
    """`head` is what follows +OK where all are listed."""
    if argument.strip(b" "):
        which = number(argument)
        yield b"+OK %d %b\r\n" % (which, describe(drop.message(which)))
        return
    yield b"+OK " + head + b"\r\n"
    messages = drop.messages()
    while some := list(islice(messages, limits.LISTED_AT_ONCE)):
        yield b"".join([b"%d %b\r\n" % (which, describe(message)) for which, message in some])
    yield b".\r\n"
