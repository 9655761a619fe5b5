"""Fetch what the server has: first what lies where, then envelopes newest first, then bodies.

Every step writes what it learned before the next begins, so it can stop anywhere and go on later.
UIDs and UIDVALIDITY are the server's. A message that cannot be opened costs only itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from e2email_client.failure import Refused
from e2email_client.local import mailboxes, mails
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State, Summary
from e2email_client.local.pending import NOTHING, Pending
from e2email_client.opening import Later, Opening, Unreadable
from e2email_client.turns import Turns
from e2email_client.upstream import Remote, RemoteMailbox

log = logging.getLogger(__name__)

# Envelopes of one command: about 1.5 MB; and the bound of DESIGN §7.
ENVELOPES_A_COMMAND = 500
# Bodies of one command: what is held in memory at once is some five times this.
BODY_OCTETS_A_COMMAND = 4 * 1024 * 1024
BODIES_A_COMMAND = 200
# What a mail is taken for whose size is not known: few of them are fetched at once.
UNKNOWN_SIZE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one mailbox is: `done` of `total` messages of this step."""

    mailbox: str
    step: str  # "list", "envelopes", "bodies"
    done: int
    total: int


_Batch = Sequence[tuple[int, str]]  # (uid, email id)


@dataclass(frozen=True, slots=True)
class Listing:
    """The server's mailboxes, and the local ones that are not among them any more."""

    there: Sequence[RemoteMailbox]
    gone: Sequence[Mailbox]


Report = Callable[[Progress], None]


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
    ) -> None:
        self._cache = cache
        self._opening = opening
        self._remote = remote
        self._report = report
        self._changed = changed
        self._pending = pending
        self._turns = Turns()

    @asynccontextmanager
    async def turn(self, local: Mailbox, *, urgent: bool = True) -> AsyncIterator[Remote]:
        """The connection with this mailbox selected. Stale: it is another one by now."""
        async with self._turns.take(urgent=urgent):
            if self._remote.selected != local.name:
                try:
                    state = await self._remote.select(local.name)
                except Refused as fault:
                    raise Stale from fault
                if state.uidvalidity != local.uidvalidity:
                    self._remote.selected = None
                    raise Stale
            yield self._remote

    @asynccontextmanager
    async def any_turn(self, *, urgent: bool = True) -> AsyncIterator[Remote]:
        """The connection, for commands that need no mailbox."""
        async with self._turns.take(urgent=urgent):
            yield self._remote

    async def everything(self, *, bodies: bool = True) -> None:
        """All mailboxes: skeletons of all first, then envelopes, then bodies."""
        found = await self.list_mailboxes()
        there = [local for one in found.there if (local := await self._listed(one)) is not None]
        await self.forget(found.gone)
        for local in there:
            with suppress(Stale):
                await self.envelopes(local)
        if bodies:
            for local in there:
                with suppress(Stale):
                    await self.bodies(local)

    async def list_mailboxes(self) -> Listing:
        """The server's mailboxes, INBOX first."""
        before = await asyncio.to_thread(mailboxes.every, self._cache)
        async with self.any_turn() as remote:
            found = await remote.mailboxes()
        names = {one.name for one in found}
        return Listing(
            sorted(found, key=lambda one: (one.name != "INBOX", one.name)),
            [one for one in before if one.name not in names],
        )

    async def forget(self, gone: Sequence[Mailbox]) -> None:
        """Drop mailboxes that were here before the server was asked and that it did not list.

        After new ones are listed: what was renamed lies in one of them and is not fetched anew.
        """
        if gone:
            await asyncio.to_thread(mailboxes.drop, self._cache, gone)
            self._changed()

    async def _listed(self, mailbox: RemoteMailbox) -> Mailbox | None:
        """None: it was deleted after it was listed."""
        try:
            return await self.skeleton(mailbox)
        except Refused:
            log.info("a mailbox is not there any more")
            return None

    async def skeleton(self, mailbox: RemoteMailbox) -> Mailbox:
        """UIDs, flags and times of a mailbox, and what vanished. It is complete afterwards."""
        async with self.any_turn(urgent=False) as remote:
            # asked before anything is read: what happens meanwhile is found the next time
            before = await remote.status(mailbox.name)
            state = await remote.select(mailbox.name)
            local = await asyncio.to_thread(
                mailboxes.put,
                self._cache,
                mailbox.name,
                state.uidvalidity,
                mailbox.special_use,
                mailbox.subscribed,
            )
            first = local.uidnext if local.complete else 1
            if first > 1:
                await self._compare(remote, local)
            highest = await self._list(remote, local, first, state.uidnext, state.messages)
            await asyncio.to_thread(
                mailboxes.listed,
                self._cache,
                local.id,
                uidnext=max(state.uidnext, highest + 1),
                upstream_modseq=before.highestmodseq,
            )
        self._changed()
        return local

    async def news(self, local: Mailbox) -> Mailbox:
        """Only what is new in a mailbox that is complete; cheap however large it is."""
        async with self.turn(local) as remote:
            now = await asyncio.to_thread(mailboxes.by_id, self._cache, local.id)
            if now is None:
                raise Stale
            await remote.noop()
            highest = await self._list(remote, now, now.uidnext, 0, 0)
            await asyncio.to_thread(
                mailboxes.listed,
                self._cache,
                local.id,
                uidnext=highest + 1,
                upstream_modseq=now.upstream_modseq,
            )
        self._changed()
        return now

    async def _compare(self, remote: Remote, local: Mailbox) -> None:
        """Flags of all known messages; those that are not listed any more have vanished."""
        flags = await asyncio.to_thread(mailboxes.server_flags, self._cache, local.id)
        # what another program added meanwhile is not asked for here, so it is no evidence
        known = {uid: value for uid, value in flags.items() if uid < local.uidnext}
        listed = dict(await remote.flags(1, local.uidnext - 1)) if known else {}
        changed = [(uid, value) for uid, value in listed.items() if known.get(uid, value) != value]
        gone = [uid for uid in known if uid not in listed]
        if changed:
            await asyncio.to_thread(
                mailboxes.set_flags, self._cache, local.id, changed, self._pending
            )
        if gone:
            await asyncio.to_thread(mailboxes.remove, self._cache, local.id, gone)

    async def _list(
        self, remote: Remote, local: Mailbox, first: int, uidnext: int, total: int
    ) -> int:
        """Everything from UID `first` on; the highest UID found, at least `first` - 1.

        What is known there already, because an earlier attempt broke off, and is not listed below
        `uidnext` now, has vanished in between.
        """
        listed: set[int] = set()
        async for batch in remote.skeletons(first):
            await asyncio.to_thread(mailboxes.add, self._cache, local.id, batch, self._pending)
            listed.update(one.uid for one in batch)
            self._report(Progress(local.name, "list", len(listed), max(total, len(listed))))
        if first < uidnext:
            known = await asyncio.to_thread(mailboxes.server_flags, self._cache, local.id)
            gone = [uid for uid in known if first <= uid < uidnext and uid not in listed]
            if gone:
                await asyncio.to_thread(mailboxes.remove, self._cache, local.id, gone)
        return max(listed, default=first - 1)

    async def envelopes(self, local: Mailbox) -> None:
        """Summaries of everything that has none, newest first."""
        missing = await self._wanting(local, State.CLOSED)
        done = 0

        async def some(batch: _Batch) -> None:
            nonlocal done
            left = await self._lacking(local, batch, State.CLOSED)
            if left:
                await self.summarise(local, left)
            done += len(batch)
            self._report(Progress(local.name, "envelopes", done, len(missing)))

        await _overlapping(_cut(missing, ENVELOPES_A_COMMAND), some)

    async def summarise(
        self, local: Mailbox, batch: Sequence[tuple[int, str]], *, urgent: bool = False
    ) -> None:
        """(uid, email id): fetch and open their envelopes."""
        ids = dict(batch)
        async with self.turn(local, urgent=urgent) as remote:
            fetched = await remote.envelopes([uid for uid, _ in batch])
        found = [(ids[uid], octets) for uid, octets in fetched if uid in ids]
        results = await asyncio.to_thread(self._opening.envelopes, found)
        summaries = [(one, result) for one, result in results if isinstance(result, Summary)]
        await asyncio.to_thread(mails.put_summaries, self._cache, summaries)
        # what cannot be told from the envelope is opened before anything of it is shown
        closed = {one for one, summary in summaries if summary.state is State.CLOSED}
        closed |= {one for one, result in results if isinstance(result, Unreadable)}
        wanted = [(uid, one) for uid, one in batch if one in closed]
        for part in await self._by_octets(local, wanted):
            await self.open_bodies(local, part, urgent=urgent)
        await self._put_off(ids.values(), results)
        self._changed()

    async def bodies(self, local: Mailbox) -> None:
        """Octets of everything whose octets are not here, newest first."""
        missing = await self._wanting(local, State.OPENED)
        done = 0

        async def some(batch: _Batch) -> None:
            nonlocal done
            left = await self._lacking(local, batch, State.OPENED)
            if left:
                await self.open_bodies(local, left)
            done += len(batch)
            self._report(Progress(local.name, "bodies", done, len(missing)))

        await _overlapping(iter(await self._by_octets(local, missing)), some)

    async def open_bodies(
        self, local: Mailbox, batch: Sequence[tuple[int, str]], *, urgent: bool = False
    ) -> None:
        """(uid, email id): fetch and open their octets."""
        ids = dict(batch)
        async with self.turn(local, urgent=urgent) as remote:
            fetched = await remote.bodies([uid for uid, _ in batch])
        found = [(ids[uid], octets) for uid, octets in fetched if uid in ids]
        results = await asyncio.to_thread(self._opening.bodies, found)
        opened = [(one, *result) for one, result in results if not isinstance(result, Later)]
        if opened:
            await asyncio.to_thread(mails.put_bodies, self._cache, opened)
            self._changed()
        await self._put_off(ids.values(), results)

    async def _put_off(self, asked: Iterable[str], results: Iterable[tuple[str, object]]) -> None:
        """Those that could not be opened this time, or that the server did not give."""
        had = {one for one, result in results if not isinstance(result, Later)}
        off = [one for one in asked if one not in had]
        if off:
            log.warning("mails not opened this time: %d", len(off))
            await asyncio.to_thread(mails.put_off, self._cache, off)
            self._changed()

    async def sealed(self, local: Mailbox, uid: int) -> bytes | None:
        """The record as the server serves it, unopened."""
        async with self.turn(local) as remote:
            fetched = await remote.bodies([uid])
        return fetched[0][1] if fetched else None

    async def ensure(self, local: Mailbox, uids: Sequence[int], state: State) -> None:
        """These messages, at least to `state`, before everything else that is missing."""
        missing = await asyncio.to_thread(mails.lacking, self._cache, local.id, uids, state)
        if state is State.OPENED:
            for batch in await self._by_octets(local, missing):
                await self.open_bodies(local, batch, urgent=True)
        else:
            for batch in _cut(missing, ENVELOPES_A_COMMAND):
                await self.summarise(local, batch, urgent=True)

    async def moved(self, mailbox: RemoteMailbox) -> bool:
        """Whether the server's counters of a mailbox differ from where we left off."""
        local = await asyncio.to_thread(mailboxes.named, self._cache, mailbox.name)
        if local is None or not local.complete:
            return True
        async with self.any_turn(urgent=False) as remote:
            state = await remote.status(mailbox.name)
        return (state.uidvalidity, state.uidnext, state.highestmodseq) != (
            local.uidvalidity,
            local.uidnext,
            local.upstream_modseq,
        )

    async def _by_octets(
        self, local: Mailbox, items: Sequence[tuple[int, str]]
    ) -> list[Sequence[tuple[int, str]]]:
        uids = [uid for uid, _ in items]
        sizes = await asyncio.to_thread(mails.sizes, self._cache, local.id, uids) if items else {}
        return list(by_octets(items, sizes))

    async def _lacking(self, local: Mailbox, batch: _Batch, state: State) -> _Batch:
        """Of these, what nobody else fetched meanwhile."""
        uids = [uid for uid, _ in batch]
        return await asyncio.to_thread(mails.lacking, self._cache, local.id, uids, state)

    async def _wanting(self, local: Mailbox, below: State) -> list[tuple[int, str]]:
        return await asyncio.to_thread(mails.wanting, self._cache, local.id, below)


async def _overlapping(batches: Iterator[_Batch], act: Callable[[_Batch], Awaitable[None]]) -> None:
    """Two at a time: while one is opened and written, the next is fetched."""

    async def consume() -> None:
        for batch in batches:
            await act(batch)

    tasks = [asyncio.create_task(consume()) for _ in range(2)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _cut(items: Sequence[tuple[int, str]], size: int) -> Iterator[Sequence[tuple[int, str]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def by_octets(
    items: Sequence[tuple[int, str]], sizes: Mapping[int, int]
) -> Iterator[Sequence[tuple[int, str]]]:
    """Batches of at most BODIES_A_COMMAND messages and about BODY_OCTETS_A_COMMAND octets."""
    batch: list[tuple[int, str]] = []
    octets = 0
    for item in items:
        size = sizes.get(item[0]) or UNKNOWN_SIZE
        if batch and (octets + size > BODY_OCTETS_A_COMMAND or len(batch) == BODIES_A_COMMAND):
            yield batch
            batch, octets = [], 0
        batch.append(item)
        octets += size
    if batch:
        yield batch
