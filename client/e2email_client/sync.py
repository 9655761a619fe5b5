"""Fetch what the server has: first what lies where, then envelopes newest first, then bodies.

Every step writes what it learned before the next begins, so it can stop anywhere and go on later.
UIDs and UIDVALIDITY are the server's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from e2email_client.local import mailboxes, mails
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State, Summary
from e2email_client.opening import Later, Opening, Unreadable
from e2email_client.upstream import Remote, RemoteMailbox

log = logging.getLogger(__name__)

# Envelopes of one command: about 1.5 MB; and the bound of DESIGN §7.
ENVELOPES_A_COMMAND = 500
# Bodies of one command: what is held in memory at once is some five times this.
BODY_OCTETS_A_COMMAND = 4 * 1024 * 1024
BODIES_A_COMMAND = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one mailbox is: `done` of `total` messages of this step."""

    mailbox: str
    step: str  # "list", "envelopes", "bodies"
    done: int
    total: int


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    return None


def _nothing() -> None:
    return None


class Stale(Exception):
    """The mailbox of this name is another one than the one that was meant."""


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
    ) -> None:
        self._cache = cache
        self._opening = opening
        self._remote = remote
        self._report = report
        self._changed = changed
        self._turns = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, local: Mailbox) -> AsyncIterator[Remote]:
        """The connection with this mailbox selected. Stale: it is another one by now."""
        async with self._turns:
            if self._remote.selected != local.name:
                state = await self._remote.select(local.name)
                if state.uidvalidity != local.uidvalidity:
                    self._remote.selected = None
                    raise Stale
            yield self._remote

    @asynccontextmanager
    async def any_turn(self) -> AsyncIterator[Remote]:
        """The connection, for commands that need no mailbox."""
        async with self._turns:
            yield self._remote

    async def everything(self, *, bodies: bool = True) -> None:
        """All mailboxes: skeletons of all first, then envelopes, then bodies."""
        found = [await self.skeleton(one) for one in await self.list_mailboxes()]
        for local in found:
            await self.envelopes(local)
        if bodies:
            for local in found:
                await self.bodies(local)

    async def list_mailboxes(self) -> list[RemoteMailbox]:
        """The server's mailboxes; local ones that are gone there are dropped. INBOX first."""
        async with self.any_turn() as remote:
            found = await remote.mailboxes()
        names = {one.name for one in found}
        known = await asyncio.to_thread(mailboxes.every, self._cache)
        gone = [one.name for one in known if one.name not in names]
        if gone:
            await asyncio.to_thread(mailboxes.drop, self._cache, gone)
            self._changed()
        return sorted(found, key=lambda one: (one.name != "INBOX", one.name))

    async def skeleton(self, mailbox: RemoteMailbox) -> Mailbox:
        """UIDs, flags and times of a mailbox, and what vanished. It is complete afterwards."""
        async with self.any_turn() as remote:
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
            if local.complete:
                await self._compare(remote, local)
            await self._new(remote, local, state.messages)
            await asyncio.to_thread(
                mailboxes.caught_up,
                self._cache,
                local.id,
                uidnext=state.uidnext,
                upstream_modseq=before.highestmodseq,
                complete=True,
            )
        self._changed()
        return local

    async def _compare(self, remote: Remote, local: Mailbox) -> None:
        """Flags of all known messages; those that are not listed any more have vanished."""
        flags = await asyncio.to_thread(mailboxes.server_flags, self._cache, local.id)
        # what another program added meanwhile is not asked for here, so it is no evidence
        known = {uid: value for uid, value in flags.items() if uid < local.uidnext}
        listed = dict(await remote.flags(1, local.uidnext - 1)) if known else {}
        changed = [(uid, value) for uid, value in listed.items() if known.get(uid, value) != value]
        gone = [uid for uid in known if uid not in listed]
        if changed:
            await asyncio.to_thread(mailboxes.set_flags, self._cache, local.id, changed)
        if gone:
            await asyncio.to_thread(mailboxes.remove, self._cache, local.id, gone)

    async def _new(self, remote: Remote, local: Mailbox, total: int) -> None:
        done = 0
        async for batch in remote.skeletons(local.uidnext if local.complete else 1):
            await asyncio.to_thread(mailboxes.add, self._cache, local.id, batch)
            done += len(batch)
            self._report(Progress(local.name, "list", done, total))

    async def envelopes(self, local: Mailbox) -> None:
        """Summaries of everything that has none, newest first."""
        missing = await self._wanting(local, State.CLOSED)
        done = 0
        for batch in _cut(missing, ENVELOPES_A_COMMAND):
            await self.summarise(local, batch)
            done += len(batch)
            self._report(Progress(local.name, "envelopes", done, len(missing)))

    async def summarise(self, local: Mailbox, batch: Sequence[tuple[int, str]]) -> None:
        """(uid, email id): fetch and open their envelopes."""
        ids = dict(batch)
        async with self.turn(local) as remote:
            fetched = await remote.envelopes([uid for uid, _ in batch])
        found = [(ids[uid], octets) for uid, octets in fetched if uid in ids]
        results = await asyncio.to_thread(self._opening.envelopes, found)
        summaries = [(one, result) for one, result in results if isinstance(result, Summary)]
        await asyncio.to_thread(mails.put_summaries, self._cache, summaries)
        # what cannot be told from the envelope is opened before anything of it is shown
        closed = {one for one, summary in summaries if summary.state is State.CLOSED}
        closed |= {one for one, result in results if isinstance(result, Unreadable)}
        wanted = [(uid, one) for uid, one in batch if one in closed]
        for part in _cut(wanted, BODIES_A_COMMAND):
            await self.open_bodies(local, part)
        self._changed()

    async def bodies(self, local: Mailbox) -> None:
        """Octets of everything whose octets are not here, newest first."""
        missing = await self._wanting(local, State.OPENED)
        sizes = await asyncio.to_thread(mails.sizes, self._cache, local.id)
        done = 0
        for batch in _by_octets(missing, sizes):
            await self.open_bodies(local, batch)
            done += len(batch)
            self._report(Progress(local.name, "bodies", done, len(missing)))

    async def open_bodies(self, local: Mailbox, batch: Sequence[tuple[int, str]]) -> None:
        """(uid, email id): fetch and open their octets."""
        ids = dict(batch)
        async with self.turn(local) as remote:
            fetched = await remote.bodies([uid for uid, _ in batch])
        found = [(ids[uid], octets) for uid, octets in fetched if uid in ids]
        results = await asyncio.to_thread(self._opening.bodies, found)
        opened = [(one, *result) for one, result in results if not isinstance(result, Later)]
        if len(opened) < len(results):
            log.warning("mails not opened this time: %d", len(results) - len(opened))
        await asyncio.to_thread(mails.put_bodies, self._cache, opened)
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
            sizes = await asyncio.to_thread(mails.sizes, self._cache, local.id)
            for batch in _by_octets(missing, sizes):
                await self.open_bodies(local, batch)
        else:
            for batch in _cut(missing, ENVELOPES_A_COMMAND):
                await self.summarise(local, batch)

    async def moved(self, mailbox: RemoteMailbox) -> bool:
        """Whether the server's counters of a mailbox differ from where we left off."""
        local = await asyncio.to_thread(mailboxes.named, self._cache, mailbox.name)
        if local is None or not local.complete:
            return True
        async with self.any_turn() as remote:
            state = await remote.status(mailbox.name)
        return (state.uidvalidity, state.uidnext, state.highestmodseq) != (
            local.uidvalidity,
            local.uidnext,
            local.upstream_modseq,
        )

    async def _wanting(self, local: Mailbox, below: State) -> list[tuple[int, str]]:
        return await asyncio.to_thread(mails.wanting, self._cache, local.id, below)


def _cut(items: Sequence[tuple[int, str]], size: int) -> Iterator[Sequence[tuple[int, str]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _by_octets(
    items: Sequence[tuple[int, str]], sizes: dict[int, int]
) -> Iterator[Sequence[tuple[int, str]]]:
    """Batches of at most BODIES_A_COMMAND messages and about BODY_OCTETS_A_COMMAND octets."""
    batch: list[tuple[int, str]] = []
    octets = 0
    for item in items:
        size = sizes.get(item[0], 0)
        if batch and (octets + size > BODY_OCTETS_A_COMMAND or len(batch) == BODIES_A_COMMAND):
            yield batch
            batch, octets = [], 0
        batch.append(item)
        octets += size
    if batch:
        yield batch
