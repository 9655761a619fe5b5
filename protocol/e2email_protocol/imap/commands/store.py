"""STORE and UID STORE (RFC 3501 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand, LimitReached, Modified, Vanished
from ..flags import parse_flag, parse_flag_list
from ..limits import FLAGS
from ..sequence import Ranges, render_set
from ..session import StoreOp
from ..view import Numbered


@dataclass(frozen=True, slots=True)
class Store:
    messages: Ranges
    op: StoreOp
    silent: bool
    flags: frozenset[str]
    uid: bool
    unchangedsince: int | None = None  # leave messages alone whose modseq is above it

    async def run(self, context: Context) -> Steps:
        view, mailbox = context.selected.view, context.selected.writable()
        if self.unchangedsince is not None:
            context.require((b"CONDSTORE",))
            yield context.enable(b"CONDSTORE")
        chosen = view.by_uid(self.messages) if self.uid else view.by_number(self.messages)
        if not chosen:
            yield Ok(b"nothing to do")
            return
        flags = view.spell(self.flags)
        known = {message.entry.uid: message for message in chosen}
        result = await mailbox.store(list(known), self.op, flags, self.unchangedsince)
        show_modseq = b"CONDSTORE" in context.enabled
        render = view.renderer(
            self.uid or b"QRESYNC" in context.enabled, not self.silent, show_modseq
        )
        out = Chunks()
        for entry in result.entries:
            before = known.pop(entry.uid, None)
            if before is None:
                continue
            view.replace(entry)
            if self.silent and entry.flags != self._expected(before, flags):
                view.unsure(entry.uid)
            elif show_modseq or not self.silent:
                out.add(render(Numbered(before.number, entry)))
            if out.full:
                yield view.keyword_news() + out.take()
        yield view.keyword_news() + out.take()
        yield self._end(known, result.modified)

    def _end(self, left: dict[int, Numbered], modified: Sequence[int]) -> Ok:
        """`left`: what was not stored, for it had changed, or is gone."""
        gone = not self.uid and left.keys() - set(modified)
        if gone and self.unchangedsince is None:
            raise Vanished
        named = left if gone else [uid for uid in modified if uid in left]
        if not named:
            return Ok()
        numbers = render_set(named if self.uid else (left[uid].number for uid in named))
        if gone:
            raise Modified(numbers)
        return Ok(b"not those that had changed", b"MODIFIED " + numbers)

    def _expected(self, before: Numbered, flags: frozenset[str]) -> frozenset[str]:
        """What a client that asked for .SILENT now believes; others may have changed more."""
        if self.op is StoreOp.ADD:
            return before.entry.flags | flags
        return before.entry.flags - flags if self.op is StoreOp.REMOVE else flags


# store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"]
#         SP store-att-flags
# store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
def parse(cursor: Cursor, uid: bool) -> Store:
    cursor.space()
    messages = cursor.set()
    cursor.space()
    unchangedsince = None
    if cursor.take(b"(UNCHANGEDSINCE "):
        unchangedsince = cursor.number(2**63 - 1)
        cursor.expect(b") ")
    item = cursor.word()
    silent = item.endswith(b".SILENT")
    try:
        op = StoreOp(item.removesuffix(b".SILENT").decode())
    except ValueError as error:
        raise BadCommand(b"FLAGS expected") from error
    cursor.space()
    flags = parse_flag_list(cursor) if cursor.peek() == b"(" else _bare_flags(cursor)
    cursor.end()
    return Store(messages, op, silent, flags, uid, unchangedsince)


def _bare_flags(cursor: Cursor) -> frozenset[str]:
    flags = [parse_flag(cursor.flag())]
    while cursor.take(b" "):
        flags.append(parse_flag(cursor.flag()))
        if len(flags) > FLAGS:
            raise LimitReached
    return frozenset(flag for flag in flags if flag is not None)
