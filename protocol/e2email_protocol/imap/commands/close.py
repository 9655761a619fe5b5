"""CLOSE (RFC 3501 §6.4.2) and UNSELECT (RFC 3691): leave the mailbox, with and without EXPUNGE."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import NoPermission


@dataclass(frozen=True, slots=True)
class Close:
    expunge: bool

    async def run(self, context: Context) -> Steps:
        mailbox = context.selected.mailbox
        if self.expunge and not mailbox.readonly:
            with suppress(NoPermission):  # who may not remove may still leave
                await mailbox.expunge(None)
        await context.deselect()
        yield Ok()


# close = "CLOSE"; unselect = "UNSELECT"
def parse(cursor: Cursor, expunge: bool) -> Close:
    cursor.end()
    return Close(expunge)
