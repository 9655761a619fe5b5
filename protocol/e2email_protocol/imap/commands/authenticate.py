"""AUTHENTICATE PLAIN (RFC 3501 §6.2.2), with initial response (RFC 4959)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ... import sasl
from ..context import Ask, Context, Steps
from ..cursor import Cursor
from ..errors import BadCommand, Cannot
from .login import PrivacyRequired


class UnknownMechanism(Cannot):
    text = b"only PLAIN is known here"


@dataclass(frozen=True, slots=True)
class Authenticate:
    mechanism: bytes
    initial: bytes | None = field(repr=False)  # base64; "=" stands for the empty response

    async def run(self, context: Context) -> Steps:
        if self.mechanism != b"PLAIN":
            raise UnknownMechanism
        if not context.may_log_in:
            raise PrivacyRequired
        response = self.initial
        if response is None:
            response = yield Ask()
            assert response is not None
        if response == b"*":
            raise BadCommand(b"cancelled")
        try:
            plain = sasl.parse_plain(sasl.decode(response))
        except sasl.BadResponse as error:
            raise BadCommand(b"not a response to PLAIN") from error
        yield await context.log_in(plain.user, plain.password)


# authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)
# initial-resp = base64 / "="
def parse(cursor: Cursor) -> Authenticate:
    cursor.space()
    mechanism = cursor.word()
    initial = None
    if not cursor.at_end():
        cursor.space()
        initial = cursor.astring()
        cursor.end()
    return Authenticate(mechanism, initial)
