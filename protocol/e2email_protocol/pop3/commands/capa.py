"""CAPA (RFC 2449 §5). What cannot be used is not shown."""

from __future__ import annotations

from ..context import Context, Replies
from ..state import State
from ._arguments import none

_ALWAYS = (
    b"TOP",
    b"UIDL",
    b"PIPELINING",
    b"RESP-CODES",
    b"AUTH-RESP-CODE",
    b"UTF8 USER",
    b"EXPIRE NEVER",
)


# "CAPA"
async def run(context: Context, argument: bytes) -> Replies:
    none(argument)
    names = list(_ALWAYS)
    if context.may_log_in:
        names += [b"USER", b"SASL PLAIN"]
    if context.settings.stls and not context.tls and context.state is not State.TRANSACTION:
        names.append(b"STLS")
    names.append(b"IMPLEMENTATION " + context.settings.implementation)
    yield b"+OK capabilities\r\n" + b"".join(name + b"\r\n" for name in names) + b".\r\n"
