"""TOP (RFC 1939 §7): the header, the empty line, and so many lines of the body."""

from __future__ import annotations

from ..context import Context, Replies
from ..multiline import Top
from ._arguments import numbers
from .retr import send


# "TOP" SP msg SP n
def run(context: Context, argument: bytes) -> Replies:
    which, lines = numbers(argument, 2)
    return send(context, context.drop.message(which), b"+OK top\r\n", Top(lines))
