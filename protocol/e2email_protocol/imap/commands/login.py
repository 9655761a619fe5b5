"""LOGIN (RFC 3501 §6.2.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..context import Context, Steps
from ..cursor import Cursor
from ..errors import AuthenticationFailed, BadCommand, Refused


class PrivacyRequired(Refused):
    """RFC 5530: the password would travel in clear (it already has, but not to be used)."""

    code = b"PRIVACYREQUIRED"
    text = b"not without TLS"


@dataclass(frozen=True, slots=True)
class Login:
    user: bytes
    password: bytes = field(repr=False)

    async def run(self, context: Context) -> Steps:
        if not context.may_log_in:
            raise PrivacyRequired
        try:
            user = self.user.decode()
        except UnicodeDecodeError as error:
            raise AuthenticationFailed from error
        yield await context.log_in(user, self.password)


# login = "LOGIN" SP userid SP password
# userid, password = astring
def parse(cursor: Cursor) -> Login:
    cursor.space()
    user = cursor.astring()
    cursor.space()
    password = cursor.astring()
    cursor.end()
    if b"\0" in user or b"\0" in password:
        raise BadCommand(b"NUL in an argument")
    return Login(user, password)
