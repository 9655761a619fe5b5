"""STARTTLS (RFC 3501 §6.2.1). The connection forgets all that was sent in clear after it."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand


@dataclass(frozen=True, slots=True)
class Starttls:
    async def run(self, context: Context) -> Steps:
        if context.tls or not context.settings.starttls:
            raise BadCommand(b"no TLS to start")
        context.upgrade = True
        yield Ok(b"begin TLS now")


# starttls = "STARTTLS"
def parse(cursor: Cursor) -> Starttls:
    cursor.end()
    return Starttls()
