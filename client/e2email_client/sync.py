"""Fetch what the server has: first what lies where, then envelopes newest first, then bodies.

Every step writes what it learned before the next begins, so it can stop anywhere and go on later.
UIDs are the server's, and so is UIDVALIDITY, unless a mailbox went back in time (local/seen.py).
What a server says unasked is written down at the end of the turn in which it came; its MODSEQ only
when everything below it is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from e2email_client.failure import BadServer, Refused
from e2email_client.filling import Filling, Progress, Report
from e2email_client.local import contents, mailboxes, names
from e2email_client.local.bound import Room
from e2email_client.local.carried import known as known_mails
from e2email_client.local.cipher import Database
from e2email_client.local.contents import Reused, Skeleton
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.pending import NOTHING, Pending
from e2email_client.local.seen import Seen
from e2email_client.opening import Opening
from e2email_client.turns import Turns
from e2email_client.upstream import News, Remote, RemoteMailbox, RemoteState

if TYPE_CHECKING:
    from e2email_client.learning import Learn

__all__ = ["Listing", "Progress", "Report", "Stale", "Sync", "silent"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """The server's mailboxes, and the local ones that are not among them any more."""

    there: Sequence[RemoteMailbox]
    gone: Sequence[Mailbox]


def silent(_: Progress) -> None:
    return None


def _nothing() -> None:
    return None


class Stale(Exception):
    """The mailbox of this name is gone, or another one than the one that was meant."""


class Sync:
    """Catches up one account over one connection; everything blocking runs in threads.

    The connection is taken for one step at a time, in turn, so that a program that waits for one
    message does not wait for all of them.
    """

    def __init__(
        self,
        cache: Database,
        opening: Opening,
        remote: Remote,
        report: Report = silent,
        changed: Callable[[], None] = _nothing,
        pending: Pending = NOTHING,
        *,
        seen: Seen | None = None,
        room: Room | None = None,
        learn: Learn | None = None,
        reads_only: bool = False,
    ) -> None:
        self._cache = cache
        self._remote = remote
        self._report = report
        self._changed = changed
        self._pending = pending
        self._seen = seen
        self._reads_only = reads_only  # what is asked for is written, and nothing that is heard
        self._turns = Turns()
        self.caught_up = False  # once, with all mailboxes
        self._filling = Filling(cache, opening, self.turn, report, changed, room, learn)
        self.envelopes = self._filling.envelopes
        self.bodies = self._filling.bodies
        self.ensure = self._filling.ensure
        self.make_room = self._filling.make_room
        self.index_words = self._filling.index_words

    # turns

    @asynccontextmanager
    async def turn(self, local: Mailbox, *, urgent: bool = True) -> AsyncIterator[Remote]:
        """The connection with this mailbox selected. Stale: it is another one by now."""
        async with self._turns.take(urgent=urgent):
            if self._remote.selected != local.name:
                try:
                    state = await self._remote.select(local.name)
                except Refused as fault:
                    raise Stale from fault
                if state.uidvalidity != local.server_validity:
                    self._remote.selected = None
                    raise Stale
            yield self._remote
            news = self._remote.news()
            if not self._reads_only:
                await self._told(self._remote, local, news)

    @asynccontextmanager
    async def any_turn(self, *, urgent: bool = True) -> AsyncIterator[Remote]:
        """The connection, for commands that need no mailbox."""
        async with self._turns.take(urgent=urgent):
            yield self._remote

    async def heard(self, local: Mailbox, news: News) -> None:
        """Write down what another connection was told of this mailbox."""
        if news.grown or news.unclear:
            async with self.turn(local) as remote:
                await remote.noop()
                await self._told(remote, local, news)
                await self._told(remote, local, replace(remote.news(), grown=False))
        elif news:
            async with self.any_turn():
                await self._told(self._remote, local, news)

    async def _told(self, remote: Remote, local: Mailbox, news: News) -> None:
        """In a turn. New messages and what is unclear are asked for."""
        if not news:
            return
        changed = await self._write(local, news)
        if news.unclear or news.grown:
            now = await asyncio.to_thread(mailboxes.by_id, self._cache, local.id)
            if now is not None and now.complete:
                if news.unclear:
                    await self._compare(remote, now)
                if news.grown:
                    await self._grow(remote, now)
            changed = True
        if changed:
            self._changed()

    async def _write(self, local: Mailbox, news: News) -> bool:
        """Whether it was news: what a program here changed is told by both connections."""
        if not (news.flags or news.gone):
            return False
        return await asyncio.to_thread(
            contents.tell, self._cache, local.id, news.flags, news.gone, self._pending
        )

    # the account

    async def everything(self, *, bodies: bool = True) -> None:
        """All mailboxes: skeletons of all first, then envelopes, then bodies."""
        there = await self.catch_up_all()
        for local in there:
            with suppress(Stale):
                await self.envelopes(local)
        if bodies:
            for local in there:
                with suppress(Stale):
                    await self.bodies(local)
            await self.make_room()
            await self.index_words()

    async def catch_up_all(self, but: str = "") -> list[Mailbox]:
        """Every mailbox whose counters moved, listed; all that are there, INBOX first."""
        found = await self.list_mailboxes()
        there = [
            local
            for one in found.there
            if one.name != but and (local := await self._listed(one)) is not None
        ]
        await self.forget(found.gone)
        if self._seen is not None:
            await asyncio.to_thread(self._seen.caught_up)
        if not self.caught_up:
            self.caught_up = True
            self._changed()
        return there

    async def list_mailboxes(self) -> Listing:
        """The server's mailboxes, INBOX first; each of them is known by its name here then. One
        that was renamed has its new name here, too."""
        before = await asyncio.to_thread(mailboxes.every, self._cache)
        async with self.any_turn() as remote:
            found = await remote.mailboxes()
            if await self._renamed(before, found):
                remote.selected = None  # perhaps under a name that is another one's now
                before = await asyncio.to_thread(mailboxes.every, self._cache)
        if await asyncio.to_thread(names.enter, self._cache, [_name(one) for one in found]):
            self._changed()
        there = {one.name for one in found}
        return Listing(
            sorted(found, key=lambda one: (one.name != "INBOX", one.name)),
            [one for one in before if one.name not in there],
        )

    async def _renamed(self, before: Sequence[Mailbox], found: Sequence[RemoteMailbox]) -> bool:
        """What is known by its MAILBOXID keeps all that is known of it (RFC 8474)."""
        known = {one.object_id: one for one in before if one.object_id}
        renamed = [
            (local, one.name)
            for one in found
            if one.state and (local := known.get(one.state.mailbox_id)) and local.name != one.name
        ]
        await self._rename(renamed)
        return bool(renamed)

    async def renamed(self, old: str, new: str) -> None:
        """By this program: a mailbox and those below it have their new names here, too."""
        known = await asyncio.to_thread(mailboxes.every, self._cache)
        await self._rename(
            [
                (one, new + one.name.removeprefix(old))
                for one in known
                if f"{one.name}/".startswith(f"{old}/")
            ]
        )

    async def _rename(self, renamed: Sequence[tuple[Mailbox, str]]) -> None:
        if not renamed:
            return
        if self._seen is not None:
            pairs = {one.name: name for one, name in renamed}
            await asyncio.to_thread(self._seen.renamed, pairs)
        ids = {one.id: name for one, name in renamed}
        await asyncio.to_thread(mailboxes.rename, self._cache, ids)
        self._changed()

    async def forget(self, gone: Sequence[Mailbox]) -> None:
        """Drop mailboxes that were here before the server was asked and that it did not list, and
        mail that lies nowhere any more.

        After new ones are listed: what was moved lies in one of them and is not fetched anew.
        """
        if gone:
            await asyncio.to_thread(mailboxes.drop, self._cache, gone)
            if self._seen is not None:
                await asyncio.to_thread(self._seen.gone, [one.name for one in gone])
            self._changed()
        if self._seen is None or not await asyncio.to_thread(self._seen.keeps):
            await asyncio.to_thread(mailboxes.sweep, self._cache)

    async def _listed(self, mailbox: RemoteMailbox) -> Mailbox | None:
        """None: it was deleted after it was listed."""
        local = await asyncio.to_thread(mailboxes.named, self._cache, mailbox.name)
        if local is not None and _unmoved(local, mailbox):
            return local
        try:
            return await self.skeleton(mailbox)
        except (Refused, Stale):
            log.info("a mailbox is not there any more")
            return None

    # one mailbox

    async def skeleton(self, mailbox: RemoteMailbox, *, whole: bool = False) -> Mailbox:
        """UIDs, flags and times of a mailbox, and what vanished. It is complete afterwards.

        Costs what changed, where the server can tell; else the flags of all messages are compared.
        `whole`: every message is listed again, whatever is known.
        """
        async with self.any_turn(urgent=False) as remote:
            known = await asyncio.to_thread(mailboxes.named, self._cache, mailbox.name)
            since = None
            if known is not None and known.complete and not whole:
                since = known.server_validity, known.upstream_modseq, known.uidnext
            state = await remote.select(mailbox.name, since)
            local = await self._put(mailbox, state, known)
            if known is None or known.id != local.id:
                remote.news()  # of what was known before
            try:
                await self._read(remote, local, state, whole=whole)
            except Reused:
                local = await self._put(mailbox, state, local, reused=True)
                remote.news()
                try:
                    await self._read(remote, local, state)
                except Reused as fault:
                    raise BadServer("The server gives one UID to two messages.") from fault
        self._changed()
        return local

    async def _put(
        self,
        mailbox: RemoteMailbox,
        state: RemoteState,
        known: Mailbox | None,
        *,
        reused: bool = False,
    ) -> Mailbox:
        """The local mailbox: empty and with another id where it is not what it was."""
        shown = state.uidvalidity
        if self._seen is not None:
            said = state.counters
            if await asyncio.to_thread(self._seen.above, mailbox.name, said, known):
                # a selected mailbox may lag behind what STATUS, or another session, was told
                said = (await self._remote.status(mailbox.name)).counters
            shown = await asyncio.to_thread(
                self._seen.look, mailbox.name, said, known, reused=reused
            )
        elif reused:
            raise Stale
        return await asyncio.to_thread(
            mailboxes.put,
            self._cache,
            mailbox.name,
            state.uidvalidity,
            mailbox.special_use,
            mailbox.subscribed,
            object_id=state.mailbox_id,
            shown=shown,
        )

    async def _read(
        self, remote: Remote, local: Mailbox, state: RemoteState, *, whole: bool = False
    ) -> None:
        if local.complete and not whole:
            news = remote.news()
            await self._write(local, news)
            if news.unclear or not (remote.resyncs and local.upstream_modseq):
                await self._compare(remote, local)
        first = 1 if whole else None
        highest = await self._list(remote, local, state.uidnext, state.messages, first)
        there = await asyncio.to_thread(contents.count, self._cache, local.id, state.uidnext)
        if local.complete and there > state.messages:
            log.warning("a mailbox has fewer messages than the server's changes left; compared")
            await self._compare(remote, local)
        await asyncio.to_thread(
            mailboxes.listed,
            self._cache,
            local.id,
            uidnext=max(state.uidnext, highest + 1),
            upstream_modseq=state.highestmodseq,
        )

    async def news(self, local: Mailbox) -> Mailbox:
        """Only what is new in a mailbox that is complete; cheap however large it is."""
        async with self.turn(local) as remote:
            now = await asyncio.to_thread(mailboxes.by_id, self._cache, local.id)
            if now is None:
                raise Stale
            await remote.noop()
            await self._grow(remote, now)
            await self._told(remote, now, replace(remote.news(), grown=False))
        self._changed()
        return now

    async def _grow(self, remote: Remote, local: Mailbox) -> None:
        """In a turn: what the server has beyond what is listed here."""
        try:
            highest = await self._list(remote, local, 0, 0)
        except Reused as fault:
            raise Stale from fault
        await asyncio.to_thread(
            mailboxes.listed,
            self._cache,
            local.id,
            uidnext=highest + 1,
            upstream_modseq=local.upstream_modseq,
        )

    async def _compare(self, remote: Remote, local: Mailbox) -> None:
        """Flags of all known messages; those that are not listed any more have vanished."""
        flags = await asyncio.to_thread(contents.server_flags, self._cache, local.id)
        # what another program added meanwhile is not asked for here, so it is no evidence
        known = {uid: value for uid, value in flags.items() if uid < local.uidnext}
        listed = dict(await remote.flags(1, local.uidnext - 1)) if known else {}
        changed = [
            (uid, value, 0) for uid, value in listed.items() if known.get(uid, value) != value
        ]
        gone = [(uid, uid) for uid in known if uid not in listed]
        if changed or gone:
            await asyncio.to_thread(
                contents.tell, self._cache, local.id, changed, gone, self._pending
            )

    async def _list(
        self,
        remote: Remote,
        local: Mailbox,
        uidnext: int,
        total: int,
        first: int | None = None,
    ) -> int:
        """Everything that is not known to be here, or from UID `first` on; the highest. Reused.

        From the last known message on: that it is still the same one is worth the few octets. What
        is known there already, because an earlier attempt broke off, and is not listed below
        `uidnext` now, has vanished in between.
        """
        if first is None and local.complete:
            last = await asyncio.to_thread(contents.last_uid, self._cache, local.id)
            first = last or local.uidnext
        first = first or 1
        known = await asyncio.to_thread(contents.known_from, self._cache, local.id, first)
        listed: set[int] = set()
        async for batch in remote.skeletons(first):
            if self._seen is not None and local.complete:
                fresh = [one for one in batch if one.uid not in known]
                await asyncio.to_thread(self._appeared, self._seen, local.name, fresh)
            await asyncio.to_thread(contents.add, self._cache, local.id, batch, self._pending)
            listed.update(one.uid for one in batch)
            if new := len(listed - known.keys()):
                self._report(Progress(local.name, "list", new, max(total, new)))
        gone = [(uid, uid) for uid in known if uid < uidnext and uid not in listed]
        if gone:
            await asyncio.to_thread(contents.tell, self._cache, local.id, (), gone)
        return max(listed, default=local.uidnext - 1)

    def _appeared(self, seen: Seen, name: str, fresh: Sequence[Skeleton]) -> None:
        """Of what is new in a mailbox: mail that lay somewhere before, or lies here twice."""
        there = known_mails(self._cache, [one.email_id for one in fresh])
        again = []
        for one in fresh:
            if one.email_id in there:
                again.append(one.email_id)
            there.add(one.email_id)
        if again:
            seen.carried.seen(name, again)

    async def sealed(self, local: Mailbox, uid: int) -> bytes | None:
        """The record as the server serves it, unopened."""
        async with self.turn(local) as remote:
            fetched = await remote.bodies([uid])
        return fetched[0][1] if fetched else None


def _name(mailbox: RemoteMailbox) -> names.Name:
    object_id = mailbox.state.mailbox_id if mailbox.state else ""
    return names.Name(mailbox.name, mailbox.special_use, mailbox.subscribed, object_id)


def _unmoved(local: Mailbox, said: RemoteMailbox) -> bool:
    """The server's counters of a mailbox are those with which we left off."""
    state = said.state
    return (
        state is not None
        and local.complete
        and state.highestmodseq > 0
        and (local.server_validity, local.uidnext, local.upstream_modseq, local.object_id)
        == (state.uidvalidity, state.uidnext, state.highestmodseq, state.mailbox_id)
        and (local.special_use, local.subscribed) == (said.special_use, said.subscribed)
    )
