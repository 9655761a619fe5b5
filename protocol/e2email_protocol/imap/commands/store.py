"""STORE and UID STORE (RFC 3501 §6.4.6)."""

from __future__ import annotations

from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand, Vanished
from ..flags import parse_flag, parse_flag_list
from ..sequence import Ranges
from ..session import StoreOp
from ..view import Numbered


@dataclass(frozen=True, slots=True)
class Store:
    messages: Ranges
    op: StoreOp
    silent: bool
    flags: frozenset[str]
    uid: bool

    async def run(self, context: Context) -> Steps:
        view, mailbox = context.selected.view, context.selected.writable()
        chosen = view.by_uid(self.messages) if self.uid else view.by_number(self.messages)
        if not chosen:
            yield Ok(b"nothing to do")
            return
        flags = view.spell(self.flags)
        known = {message.entry.uid: message for message in chosen}
        result = await mailbox.store(list(known), self.op, flags)
        out = Chunks()
        for entry in result.entries:
            before = known.pop(entry.uid, None)
            if before is None:
                continue
            view.replace(entry)
            if not self.silent:
                out.add(self._reply(before.number, entry.uid, view.flags(entry)))
            elif entry.flags != self._expected(before, flags):
                view.unsure(entry.uid)
            if out.full:
                yield view.keyword_news() + out.take()
        yield view.keyword_news() + out.take()
        if known and not self.uid:
            raise Vanished
        yield Ok()

    def _reply(self, number: int, uid: int, flags: bytes) -> bytes:
        if self.uid:
            return b"* %d FETCH (UID %d FLAGS (%b))\r\n" % (number, uid, flags)
        return b"* %d FETCH (FLAGS (%b))\r\n" % (number, flags)

    def _expected(self, before: Numbered, flags: frozenset[str]) -> frozenset[str]:
        """What a client that asked for .SILENT now believes; others may have changed more."""
        if self.op is StoreOp.ADD:
            return before.entry.flags | flags
        return before.entry.flags - flags if self.op is StoreOp.REMOVE else flags


# store = "STORE" SP sequence-set SP store-att-flags
# store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
def parse(cursor: Cursor, uid: bool) -> Store:
    cursor.space()
    messages = cursor.set()
    cursor.space()
    item = cursor.word()
    silent = item.endswith(b".SILENT")
    try:
        op = StoreOp(item.removesuffix(b".SILENT").decode())
    except ValueError as error:
        raise BadCommand(b"FLAGS expected") from error
    cursor.space()
    flags = parse_flag_list(cursor) if cursor.peek() == b"(" else _bare_flags(cursor)
    cursor.end()
    return Store(messages, op, silent, flags, uid)


def _bare_flags(cursor: Cursor) -> frozenset[str]:
    flags = [parse_flag(cursor.flag())]
    while cursor.take(b" "):
        flags.append(parse_flag(cursor.flag()))
    return frozenset(flag for flag in flags if flag is not None)
