"""RETR (RFC 1939 §5). The first octets are here before +OK; what breaks later ends it all."""

from __future__ import annotations

from contextlib import aclosing

from ..context import Context, Replies
from ..errors import Torn
from ..multiline import Stuffer, Top, cut
from ..session import Listed
from ._arguments import number


# "RETR" SP msg
def run(context: Context, argument: bytes) -> Replies:
    message = context.drop.message(number(argument))
    return send(context, message, b"+OK %d octets\r\n" % message.size)


async def send(context: Context, message: Listed, head: bytes, top: Top | None = None) -> Replies:
    """The multi-line response; also TOP's."""
    stuffer = Stuffer()
    async with aclosing(cut(context.drop.maildrop.retrieve(message.uid), top)) as pieces:
        yield head + stuffer.feed(await anext(pieces, b""))
        try:
            async for piece in pieces:
                yield stuffer.feed(piece)
        except Exception as error:
            raise Torn("a mail broke off") from error
    yield stuffer.end()
