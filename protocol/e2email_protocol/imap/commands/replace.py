"""REPLACE and UID REPLACE (RFC 8508): a draft's next version takes the place of the last."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Steps, creatable
from ..cursor import Cursor
from ..errors import BadCommand, Vanished
from ..extensions import ReplacingMailbox
from ..sequence import Ranges
from . import append


@dataclass(frozen=True, slots=True)
class Replace:
    message: Ranges
    new: append.Append
    uid: bool

    async def run(self, context: Context) -> Steps:
        context.require((b"REPLACE",))
        view, mailbox = context.selected.view, context.selected.writable()
        chosen = view.by_uid(self.message) if self.uid else view.by_number(self.message)
        if not chosen:
            raise Vanished
        if len(chosen) > 1:
            raise BadCommand(b"one message expected")
        uid = chosen[0].entry.uid
        name, (new,) = self.new.target(context)
        assert isinstance(mailbox, ReplacingMailbox)
        with creatable():
            result = await mailbox.replace(uid, name, new.octets, new.flags, new.when)
        # untagged, and before the EXPUNGE reply (RFC 8508 §3.4)
        yield b"* OK [APPENDUID %d %d] stored\r\n" % (result.uidvalidity, result.uid)
        view.lose([uid])
        yield Ok(b"replaced", modseq=True)


# replace = "REPLACE" SP seq-number SP mailbox append-message
# uid-replace = "UID" SP "REPLACE" SP uniqueid SP mailbox append-message
def parse(cursor: Cursor, uid: bool) -> Replace:
    cursor.space()
    message, new = cursor.set(), append.parse(cursor)
    if len(new.messages) > 1:
        raise BadCommand(b"one new message expected")
    return Replace(message, new, uid)
