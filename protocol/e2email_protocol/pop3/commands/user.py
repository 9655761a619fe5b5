"""USER and PASS (RFC 1939 §7). A name that nobody has is found out with the password only."""

from __future__ import annotations

from ..context import Context, Replies
from ..errors import BadCommand, PrivacyRequired
from ..state import State


# "USER" SP name
async def run_user(context: Context, argument: bytes) -> Replies:
    if not context.may_log_in:
        raise PrivacyRequired
    if not argument:
        raise BadCommand(b"name expected")
    context.user = argument
    context.state = State.NAMED
    yield b"+OK and the password\r\n"


# "PASS" SP password; spaces are part of it
async def run_pass(context: Context, argument: bytes) -> Replies:
    context.state = State.AUTHORIZATION  # PASS counts directly after USER only
    if not argument:
        raise BadCommand(b"password expected")
    # a name that is not UTF-8 is nobody's
    yield await context.log_in(context.user.decode(errors="replace"), argument)
