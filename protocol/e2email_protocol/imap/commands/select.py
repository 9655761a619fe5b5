"""SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2), with CONDSTORE and QRESYNC (RFC 7162)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Selected, Steps
from ..cursor import Cursor
from ..errors import BadCommand
from ..extensions import IdentifiedMailbox
from ..flags import SYSTEM
from ..sequence import STAR, Ranges, normal, vanished_lines
from ..session import Changes, Mailbox, Snapshot
from ..state import State
from ..view import View
from .list import list_line

_MODSEQ = 2**63 - 1  # RFC 7162 §7: mod-sequence-value


@dataclass(frozen=True, slots=True)
class Resync:
    """What a client knows of a mailbox from before; `uids` None: all that there were."""

    uidvalidity: int
    modseq: int
    uids: Ranges | None


@dataclass(frozen=True, slots=True)
class Select:
    name: bytes
    readonly: bool
    condstore: bool
    resync: Resync | None

    async def run(self, context: Context) -> Steps:
        self._check(context)
        was_selected = context.mailbox is not None
        await context.deselect()  # also when it fails (RFC 3501 §6.3.1)
        if was_selected and (context.rev2 or context.has(b"QRESYNC")):
            yield b"* OK [CLOSED] that mailbox is left\r\n"
        name = context.name(self.name)
        listed = await list_line(context, name) if context.rev2 else b""
        mailbox = await context.session.select(name, self.readonly)
        try:
            snapshot = await mailbox.snapshot()
            changes = await self._changes(mailbox, snapshot)
        except BaseException:
            await mailbox.close()
            raise
        selected = Selected(name, mailbox, View(snapshot, mailbox.recent_from))
        context.mailbox = selected
        context.state = State.SELECTED
        if self.condstore:
            context.enable(b"CONDSTORE")
        selected.view.tell(context.enabled)
        yield _describe(selected, snapshot, context.rev2) + listed
        if context.has(b"OBJECTID"):
            assert isinstance(mailbox, IdentifiedMailbox)
            yield b"* OK [MAILBOXID (%b)] its id\r\n" % mailbox.mailbox_id.encode()
        if context.has(b"CONDSTORE"):
            yield b"* OK [HIGHESTMODSEQ %d] highest\r\n" % snapshot.modseq
        if changes is not None:
            for octets in self._resync(selected.view, changes):
                yield octets
        yield Ok(b"selected", b"READ-ONLY" if mailbox.readonly else b"READ-WRITE")

    def _check(self, context: Context) -> None:
        if self.condstore:
            context.require((b"CONDSTORE",))
        if self.resync is not None and b"QRESYNC" not in context.enabled:
            raise BadCommand(b"QRESYNC is not enabled")

    async def _changes(self, mailbox: Mailbox, snapshot: Snapshot) -> Changes | None:
        """Since the client was last here; None: it does not ask, or knows another mailbox."""
        if self.resync is None or self.resync.uidvalidity != mailbox.uidvalidity:
            return None
        if self.resync.modseq > snapshot.modseq:  # the mailbox went back in time: say everything
            return Changes(snapshot.entries, (), snapshot.modseq, complete=False)
        return await mailbox.changes(self.resync.modseq)

    def _resync(self, view: View, changes: Changes) -> Iterator[bytes]:
        """VANISHED first, then FETCH (RFC 7162 §3.2.6); later changes are the next news."""
        assert self.resync is not None
        known = self.resync.uids or ((1, max(1, view.uidnext - 1)),)
        among = normal(known, 0)
        yield from vanished_lines(view.missing(changes, among), b"(EARLIER) ")
        since = self.resync.modseq if self.resync.modseq <= view.since else 0
        render = view.renderer(uid=True, flags=True, modseq=True)
        out = Chunks()
        for message in view.by_uid(known):
            if message.entry.modseq > since:
                out.add(render(message))
            if out.full:
                yield out.take()
        yield out.take()


def _describe(selected: Selected, snapshot: Snapshot, rev2: bool) -> bytes:
    view, mailbox = selected.view, selected.mailbox
    permanent = b"" if mailbox.readonly else " ".join([*SYSTEM, "\\*"]).encode()
    unseen = 0 if rev2 else _first_unseen(view)
    lines = [
        view.flags_line(),
        view.counts(),
        b"* OK [UNSEEN %d] first unseen\r\n" % unseen if unseen else b"",
        b"* OK [PERMANENTFLAGS (" + permanent + b")] kept\r\n",
        b"* OK [UIDNEXT %d] next uid\r\n" % snapshot.uidnext,
        b"* OK [UIDVALIDITY %d] uids valid\r\n" % mailbox.uidvalidity,
    ]
    return b"".join(lines)


def _first_unseen(view: View) -> int:
    """Its number; 0: there is none."""
    return next((n for n, e in enumerate(view.entries, 1) if "\\Seen" not in e.flags), 0)


# select = "SELECT" SP mailbox [select-params]; examine = "EXAMINE" SP mailbox [select-params]
# select-params = SP "(" select-param *(SP select-param) ")"
# select-param = "CONDSTORE" / "QRESYNC" SP "(" qresync ")"
def parse(cursor: Cursor, readonly: bool) -> Select:
    cursor.space()
    name = cursor.astring()
    condstore, resync = False, None
    if not cursor.at_end():
        cursor.space()
        cursor.expect(b"(")
        more = True
        while more:
            if cursor.take(b"QRESYNC ("):
                resync = _parse_resync(cursor)
            elif cursor.take(b"CONDSTORE"):
                condstore = True
            else:
                raise BadCommand(b"unknown SELECT parameter")
            more = cursor.take(b" ")
        cursor.expect(b")")
        cursor.end()
    return Select(name, readonly, condstore, resync)


# qresync = uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data]
# seq-match-data = "(" known-sequence-set SP known-uid-set ")"
def _parse_resync(cursor: Cursor) -> Resync:
    """The match data helps servers that forget what was expunged; here it is read past."""
    uidvalidity = cursor.number()
    cursor.space()
    modseq = cursor.number(_MODSEQ)
    uids = None
    more = cursor.take(b" ")
    if more and cursor.peek() != b"(":
        uids = _known(cursor)
        more = cursor.take(b" ")
    if more:
        cursor.expect(b"(")
        _known(cursor)
        cursor.space()
        _known(cursor)
        cursor.expect(b")")
    cursor.expect(b")")
    return Resync(uidvalidity, modseq, uids)


def _known(cursor: Cursor) -> Ranges:
    ranges = cursor.set()
    if any(min(pair) <= STAR for pair in ranges):
        raise BadCommand(b"what is known has no * and no $")
    return ranges
