"""COPY (RFC 3501 §6.4.7), MOVE (RFC 6851) and their UID forms, with COPYUID (RFC 4315)."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import Context, Ok, Selected, Steps, creatable, uids
from ..cursor import Cursor
from ..errors import Vanished
from ..sequence import Ranges, render_pairs
from ..session import CopyResult


@dataclass(frozen=True, slots=True)
class Copy:
    messages: Ranges
    name: bytes
    uid: bool
    move: bool

    async def run(self, context: Context) -> Steps:
        selected, name = context.selected, context.name(self.name)
        view = selected.view
        chosen = uids(view.by_uid(self.messages) if self.uid else view.by_number(self.messages))
        if not chosen:
            yield Ok(b"nothing to do")
            return
        result = await self._transfer(selected, chosen, name)
        if not result.source:
            if not self.uid:
                raise Vanished
            yield Ok(b"nothing to do")
            return
        code = b"COPYUID %d " % result.uidvalidity + render_pairs(result.source, result.target)
        if not self.move:
            yield Ok(b"copied", code)
            return
        # before the EXPUNGE replies, so that nobody loses track (RFC 6851 §4.3)
        yield b"* OK [" + code + b"] moved\r\n"
        view.lose(result.source)
        yield Ok(b"moved", modseq=True)

    async def _transfer(self, selected: Selected, chosen: list[int], name: str) -> CopyResult:
        with creatable():
            if self.move:
                return await selected.writable().move(chosen, name)
            return await selected.mailbox.copy(chosen, name)


# copy = "COPY" SP sequence-set SP mailbox; move = "MOVE" SP sequence-set SP mailbox
def parse(cursor: Cursor, uid: bool, move: bool) -> Copy:
    cursor.space()
    messages = cursor.set()
    cursor.space()
    name = cursor.astring()
    cursor.end()
    return Copy(messages, name, uid, move)
