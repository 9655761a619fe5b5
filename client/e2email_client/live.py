"""An account kept in step with its server for as long as a program runs.

Two connections: one waits in IDLE on the inbox, one works. What programs ask for (a message that is
not here, a change) goes before what is fetched in the background. When the server is gone, what is
here stays readable and everything else says Offline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from e2email_client.appending import Appending
from e2email_client.bell import Bell
from e2email_client.connection import not_stale
from e2email_client.failure import ClientError, Offline
from e2email_client.local import mailboxes
from e2email_client.local.bound import Room
from e2email_client.local.cipher import Database
from e2email_client.local.journal import Journal, Seal
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State
from e2email_client.local.seen import Seen
from e2email_client.lock import SyncLock
from e2email_client.log import report
from e2email_client.opening import Opening
from e2email_client.replay import Replay
from e2email_client.sync import Report, Stale, Sync, silent
from e2email_client.unlock import Unlocked
from e2email_client.upstream import Remote, RemoteMailbox, connect
from e2email_client.writing import Writing
from e2email_protocol.imap.response_types import Exists, Expunge, Fetch, Response, Tagged, Vanished

if TYPE_CHECKING:
    from e2email_client.learning import Learn

log = logging.getLogger(__name__)

INBOX = "INBOX"
POLL_SECONDS = 60.0  # mailboxes other than the inbox
SETTLE_SECONDS = 5.0  # how long the first attempt to connect is waited for
IDLE_SECONDS = 25 * 60.0  # below the half hour after which servers hang up (RFC 2177)
LOCK_SECONDS = 1.0  # how soon this program takes over from one that synced
FOREIGN_WRITES_SECONDS = 1.0  # how often another program's writes to the cache are looked for
BACKOFF = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
SOONEST = 1.0  # between two attempts, however much programs want the server


class Live:
    """`run` it in a task; everything else may be called at any time from the same loop."""

    def __init__(
        self,
        unlocked: Unlocked,
        cache: Database,
        opening: Opening,
        progress: Report = silent,
        seal: Seal | None = None,
        *,
        journal: Journal,
        seen: Seen | None = None,
        room: Room | None = None,
        learn: Learn | None = None,
    ) -> None:
        self._unlocked = unlocked
        self._cache = cache
        self._opening = opening
        self._progress = progress
        self._sync: Sync | None = None
        self._seen = seen
        self._room = room
        self._learn = learn
        self._settled = asyncio.Event()  # the first attempt to connect came to an end
        self._settled.set()
        self._news = asyncio.Event()  # the server said something about the inbox
        self._wanted = asyncio.Event()  # a program asked for the server while it was not there
        self._generation = 0
        self._changed = asyncio.Event()  # a new one after every change
        self.elsewhere = False  # another program syncs this account
        self._journal = journal
        self._promised = asyncio.Event()  # there may be something in it
        self._replay = Replay(journal, cache, unlocked.paths.replay_lock, seen=seen)
        self._bell = Bell(unlocked.paths.bell)
        self.writing = Writing(self, cache, journal, self._replay)
        self.appending = Appending(self, journal, seal)

    def __repr__(self) -> str:
        return f"Live({self._unlocked.settings.address}, {'on' if self.online else 'off'}line)"

    @property
    def online(self) -> bool:
        return self._sync is not None

    async def run(self) -> None:
        """Connect, catch up, follow; again after every failure. Ends by being cancelled.

        While another program syncs this account, what it fetches is served; then this one does.
        """
        self._settled.clear()
        watch = asyncio.create_task(self._watch_foreign_writes())
        try:
            with SyncLock(self._unlocked.paths) as lock:
                await self._take(lock)
                with self._bell.listening(self._promised.set):
                    await self._follow()
        finally:
            watch.cancel()

    async def _take(self, lock: SyncLock) -> None:
        """Return when it is this program that syncs."""
        said = ""
        while True:
            try:
                if lock.take():
                    break
                self.elsewhere = True
            except ClientError as fault:
                self.elsewhere = False  # nobody else is known to be at it: the server is not there
                if said != str(fault):
                    log.warning("this account is not synced: %s", fault)
                said = str(fault)
            self._settled.set()
            await asyncio.sleep(LOCK_SECONDS)
        self.elsewhere = False

    async def _follow(self) -> None:
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            try:
                await self._connected()
            except Offline as fault:
                log.info("not connected: %s", fault)
            except ClientError as fault:
                log.warning("not connected: %s", fault)
            except Stale:
                log.info("a mailbox was replaced while it was read; beginning again")
            except Exception as fault:  # noqa: BLE001  # a fault of ours must not end the proxy
                report(fault)
            finally:
                self._sync = None
                self._settled.set()
            failures = 0 if clock() - started > BACKOFF[-1] else failures
            await self._pause(BACKOFF[min(failures, len(BACKOFF) - 1)])
            failures += 1

    async def _pause(self, seconds: float) -> None:
        """Shorter where a program asks for what only the server has."""
        self._wanted.clear()
        await asyncio.sleep(min(SOONEST, seconds))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), max(0.0, seconds - SOONEST))

    async def _connected(self) -> None:
        remote, _ = await connect(self._unlocked)
        try:
            # before anything is listed, so that what is listed has it
            await self._replay.run(remote)
            sync = self._over(remote)
            self._sync = sync
            self._settled.set()
            tasks = [asyncio.create_task(self._keep_promises(sync))]
            try:
                await sync.everything(bodies=False)
                tasks += [
                    asyncio.create_task(self._follow_inbox(sync)),
                    asyncio.create_task(self._follow_others(sync)),
                    asyncio.create_task(self._fill(sync)),
                ]
                await _first_failure(tasks)
            finally:
                await _end(tasks)
        finally:
            remote.close()

    def _over(self, remote: Remote) -> Sync:
        return Sync(
            self._cache,
            self._opening,
            remote,
            self._progress,
            self.changed,
            self._journal,
            seen=self._seen,
            room=self._room,
            learn=self._learn,
        )

    def expect(self, mailbox: str, email_ids: Iterable[str]) -> None:
        """A program of this machine is about to copy or move these there. Blocks."""
        if self._seen is not None:
            self._seen.carried.expect(mailbox, email_ids)

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[Sync]:
        """A connection for one change while another program syncs. Offline, BadServer, …"""
        remote, _ = await connect(self._unlocked)
        try:
            yield self._over(remote)
        finally:
            remote.close()

    async def _keep_promises(self, sync: Sync) -> None:
        """What comes into the journal while the server is there, and what it put off."""
        while True:
            self._promised.clear()
            if await asyncio.to_thread(self._journal.anything_pending):
                async with sync.any_turn() as remote:
                    await self._replay.run(remote)
                self.changed()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._promised.wait(), POLL_SECONDS)

    async def _follow_inbox(self, sync: Sync) -> None:
        """IDLE on a connection of its own; only what is new is fetched over the other."""
        remote, wire = await connect(self._unlocked, self._heard)
        try:
            while True:
                state = await remote.select(INBOX)
                # what came between catching up and now
                local = await self._catch_up(sync)
                if local.server_validity != state.uidvalidity:
                    raise Stale
                idling = await wire.idle_begin()
                until = asyncio.get_running_loop().time() + IDLE_SECONDS
                while (left := until - asyncio.get_running_loop().time()) > 0:
                    if await self._news_within(left, idling.done):
                        await self._look(sync, remote, local)
                await wire.idle_end(idling)
        finally:
            remote.close()

    def _heard(self, response: Response) -> None:
        if isinstance(response, Exists | Expunge | Vanished | Fetch):
            self._news.set()

    async def _news_within(self, seconds: float, ended: asyncio.Future[Tagged]) -> bool:
        """Whether the server spoke; raises what ended the connection."""
        waiting = asyncio.create_task(self._news.wait())
        try:
            either: set[asyncio.Future[Any]] = {waiting, ended}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if ended.done():
            ended.result()
            raise Offline("The server ended IDLE.")
        spoke = self._news.is_set()
        self._news.clear()
        return spoke

    async def _look(self, sync: Sync, remote: Remote, local: Mailbox) -> None:
        """After news of the inbox, which `remote` heard."""
        news = remote.news()
        if await asyncio.to_thread(mailboxes.by_id, self._cache, local.id) is None:
            raise Stale  # read anew meanwhile: what is heard is of another one
        await sync.heard(local, news)
        if news.grown:
            await sync.envelopes(local)

    async def _catch_up(self, sync: Sync) -> Mailbox:
        known = await asyncio.to_thread(mailboxes.named, self._cache, INBOX)
        inbox = RemoteMailbox(INBOX, None, known.subscribed if known else True)
        local = await sync.skeleton(inbox)
        await sync.envelopes(local)
        return local

    async def _follow_others(self, sync: Sync) -> None:
        """Every mailbox but the inbox, once a minute, by one command; those whose counters moved
        are looked at."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for local in await sync.catch_up_all(but=INBOX):
                with suppress(Stale):  # replaced since it was listed: the next round knows
                    await sync.envelopes(local)

    async def _fill(self, sync: Sync) -> None:
        """All octets, newest first, for as long as something is missing and there is room."""
        while True:
            seen = self._generation
            # before bodies: what another turn heard of has no summary yet
            for step in (sync.envelopes, sync.bodies):
                for local in await asyncio.to_thread(mailboxes.every, self._cache):
                    with suppress(Stale):
                        await step(local)
            await sync.make_room()
            await sync.index_words()
            await self.wait(seen)

    async def _watch_foreign_writes(self) -> None:
        """Another program (`e2email sync`) may write to the same cache."""
        seen = promised = None
        while True:
            try:
                version = await asyncio.to_thread(self._cache.foreign_version)
                if seen is not None and version != seen:
                    self.changed()
                seen = version
                version = await asyncio.to_thread(self._journal.foreign_version)
                if promised is not None and version != promised:
                    self._promised.set()
                promised = version
            except Exception as fault:  # noqa: BLE001  # locked for once; the next look sees it
                report(fault)
            await asyncio.sleep(FOREIGN_WRITES_SECONDS)

    # what changed, for those who wait

    @property
    def generation(self) -> int:
        """Rises with every change to the cache."""
        return self._generation

    def changed(self) -> None:
        self._generation += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def promised(self) -> None:
        """Something came into the journal: whoever syncs sends it."""
        self.changed()
        self._promised.set()
        if self.elsewhere:
            self._bell.ring()

    async def wait(self, generation: int) -> int:
        """Return once something changed after `generation`."""
        while self._generation <= generation:
            await self._changed.wait()
        return self._generation

    # what programs ask for; all of it may raise Offline, BadServer, Refused

    async def ensure(self, local: Mailbox, uids: Sequence[int], state: State) -> None:
        """These messages known to at least `state`, ahead of everything in the background."""
        await self.settled()
        with not_stale():
            await self.reached.ensure(local, uids, state)

    async def settled(self, seconds: float = SETTLE_SECONDS) -> None:
        """In a program's first seconds: until it is known whether the server is reached."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), seconds)

    @property
    def listing(self) -> bool:
        """What is not listed yet may be in a moment: this program is at it, or another one."""
        return self.elsewhere or (self._sync is not None and not self._sync.caught_up)

    @property
    def reached(self) -> Sync:
        """The connection that works. Offline while there is none; it is then tried sooner."""
        if self._sync is None:
            self._wanted.set()
            raise Offline("The server is not reachable.")
        return self._sync


async def _first_failure(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until one ends, and raise what ended it."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
