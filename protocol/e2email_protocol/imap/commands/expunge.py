"""EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps, uids
from ..cursor import Cursor
from ..sequence import Ranges


@dataclass(frozen=True, slots=True)
class Expunge:
    only: Ranges | None

    async def run(self, context: Context) -> Steps:
        view = context.selected.view
        mailbox = context.selected.writable()
        only = None if self.only is None else uids(view.by_uid(self.only))
        view.lose(await mailbox.expunge(only))
        yield Ok(modseq=True)  # RFC 7162 §3.2.7


# expunge = "EXPUNGE"; uid-expunge = "UID" SP "EXPUNGE" SP sequence-set
def parse(cursor: Cursor, uid: bool) -> Expunge:
    only = None
    if uid:
        cursor.space()
        only = cursor.set()
    cursor.end()
    return Expunge(only)
