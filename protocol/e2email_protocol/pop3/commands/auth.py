"""AUTH PLAIN (RFC 5034), with or without initial response."""

from __future__ import annotations

from ... import sasl
from ..context import Context, Replies
from ..errors import BadCommand, PrivacyRequired


# "AUTH" SP "PLAIN" [SP initial-response]
# initial-response = base64 / "="
async def run(context: Context, argument: bytes) -> Replies:
    mechanism, _, response = argument.partition(b" ")
    if mechanism.upper() != b"PLAIN":
        raise BadCommand(b"only PLAIN is known here")
    if not context.may_log_in:
        raise PrivacyRequired
    if response:
        yield await _respond(context, response)
    else:
        context.asked = _answered
        yield b"+ \r\n"


# base64 / "*"
async def _answered(context: Context, line: bytes) -> Replies:
    if line == b"*":
        raise BadCommand(b"cancelled")
    yield await _respond(context, line)


async def _respond(context: Context, response: bytes) -> bytes:
    try:
        plain = sasl.parse_plain(sasl.decode(response))
    except sasl.BadResponse as error:
        raise BadCommand(b"not a response to PLAIN") from error
    return await context.log_in(plain.user, plain.password)
