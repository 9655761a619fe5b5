"""SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Selected, Steps
from ..cursor import Cursor
from ..flags import SYSTEM
from ..names import decode_name
from ..session import Snapshot
from ..state import State
from ..view import View


@dataclass(frozen=True, slots=True)
class Select:
    name: bytes
    readonly: bool

    async def run(self, context: Context) -> Steps:
        await context.deselect()  # also when it fails (RFC 3501 §6.3.1)
        name = decode_name(self.name)
        mailbox = await context.session.select(name, self.readonly)
        try:
            snapshot = await mailbox.snapshot()
        except BaseException:
            await mailbox.close()
            raise
        selected = Selected(name, mailbox, View(snapshot, mailbox.recent_from))
        context.mailbox = selected
        context.state = State.SELECTED
        yield _describe(selected, snapshot)
        yield Ok(b"selected", b"READ-ONLY" if mailbox.readonly else b"READ-WRITE")


def _describe(selected: Selected, snapshot: Snapshot) -> bytes:
    view, mailbox = selected.view, selected.mailbox
    permanent = b"" if mailbox.readonly else " ".join([*SYSTEM, "\\*"]).encode()
    unseen = next((n for n, e in enumerate(view.entries, 1) if "\\Seen" not in e.flags), 0)
    lines = [
        view.flags_line(),
        b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(view), view.recent),
        b"* OK [UNSEEN %d] first unseen\r\n" % unseen if unseen else b"",
        b"* OK [PERMANENTFLAGS (" + permanent + b")] kept\r\n",
        b"* OK [UIDNEXT %d] next uid\r\n" % snapshot.uidnext,
        b"* OK [UIDVALIDITY %d] uids valid\r\n" % mailbox.uidvalidity,
    ]
    return b"".join(lines)


# select = "SELECT" SP mailbox; examine = "EXAMINE" SP mailbox
def parse(cursor: Cursor, readonly: bool) -> Select:
    cursor.space()
    name = cursor.astring()
    cursor.end()
    return Select(name, readonly)
