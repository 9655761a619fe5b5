"""What programs change: done on the server, or promised in the journal, and seen here at once.

While the server is there OK follows its OK. While it is not, or where it is not known how far a
change came, changes of flags and deletions go into the journal; what needs a UID from the server
raises Offline. What programs store is in `appending`. docs/specs/journal.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from sqlcipher3 import dbapi2

from e2email_client.appending import APPEND_SECONDS, LOOK_SECONDS
from e2email_client.connection import catch_up, connected, not_stale
from e2email_client.copying import Copying, left
from e2email_client.failure import (
    BadServer,
    ClientError,
    LocalFault,
    NotUnderstood,
    Offline,
    Refused,
)
from e2email_client.local import contents, mailboxes
from e2email_client.local.cipher import Database
from e2email_client.local.entries import Change, Place, differences
from e2email_client.local.journal import Journal
from e2email_client.local.mailboxes import Mailbox
from e2email_client.replay import Replay
from e2email_client.sync import Stale, Sync
from e2email_client.upstream import Remote

if TYPE_CHECKING:
    from e2email_client.live import Live

log = logging.getLogger(__name__)

INBOX = "INBOX"
NONE: frozenset[str] = frozenset()

_Act = Callable[[Remote, Sync], Awaitable[None]]
T = TypeVar("T")


class Writing:
    """The changes of one account. All of it may raise Offline, BadServer, Refused, LocalFault."""

    def __init__(self, live: Live, cache: Database, journal: Journal, replay: Replay) -> None:
        self._live = live
        self._cache = cache
        self._journal = journal
        self._replay = replay

    # what can be promised

    async def store(
        self, local: Mailbox, uids: Sequence[int], operation: str, flags: Iterable[str]
    ) -> None:
        """`operation`: FLAGS, +FLAGS, -FLAGS."""
        wanted = frozenset(flags)
        said = await self._through(local, lambda remote: remote.store(uids, operation, wanted))
        if said is None:
            await self._promise(lambda: self._promise_flags(local, uids, operation, wanted))
        else:
            await asyncio.to_thread(contents.tell, self._cache, local.id, said, (), self._journal)
            self._live.changed()

    def _promise_flags(
        self, local: Mailbox, uids: Sequence[int], operation: str, flags: frozenset[str]
    ) -> None:
        if operation == "FLAGS":
            shown = contents.server_flags(self._cache, local.id)
            changes = list(differences(((u, shown[u]) for u in uids if u in shown), flags))
        elif operation == "+FLAGS":
            changes = [Change(tuple(uids), flags, NONE)]
        else:
            changes = [Change(tuple(uids), NONE, flags)]

        def show() -> None:
            for one in changes:
                contents.change(self._cache, local.id, one.uids, one.added, one.removed)

        self._show(self._journal.flags(self._place(local), changes), show)

    async def expunge(self, local: Mailbox, uids: Sequence[int]) -> list[int]:
        """Those of `uids` that are gone now."""

        async def act(remote: Remote) -> list[int]:
            await remote.expunge(uids)
            left = {uid for uid, _, _ in await remote.flags_of(uids)}
            return [uid for uid in uids if uid not in left]

        gone = await self._through(local, act)
        if gone is None:
            await self.delete_messages(local, uids)
            return list(uids)
        await asyncio.to_thread(contents.remove, self._cache, local.id, gone)
        self._live.changed()
        return gone

    async def delete_messages(self, local: Mailbox, uids: Sequence[int]) -> None:
        """Whether they are marked or not. They are gone here, and soon on the server."""

        def promise() -> None:
            mails = contents.email_ids(self._cache, local.id, uids)
            promised = self._journal.delete(self._place(local), uids, mails)
            self._show(promised, lambda: contents.remove(self._cache, local.id, uids))

        await self._promise(promise)

    async def _promise(self, act: Callable[[], None]) -> None:
        """To its end, also where the program hangs up meanwhile."""

        async def whole() -> None:
            await asyncio.to_thread(act)
            self._live.promised()

        await asyncio.shield(whole())

    def _place(self, local: Mailbox) -> Place:
        """As it is called now. Nothing is promised of a mailbox that is not here any more."""
        now = mailboxes.by_id(self._cache, local.id)
        if now is None:
            raise Refused("STALE", "The mailbox is another one by now.")
        return Place.of(now)

    def _show(self, promised: Sequence[int], act: Callable[[], None]) -> None:
        """Write what was promised into the cache, on a full disk in the room that is kept free.

        Where that cannot be, either, the program hears NO, so nothing was promised.
        """
        try:
            try:
                act()
            except dbapi2.OperationalError:
                self._journal.make_room()
                with suppress(dbapi2.OperationalError):
                    self._cache.fold_log()
                act()
        except dbapi2.OperationalError as fault:
            self._journal.done(promised)
            raise LocalFault(f"The local store cannot be written: {fault}.") from fault

    async def _through(self, local: Mailbox, act: Callable[[Remote], Awaitable[T]]) -> T | None:
        """What the server said; None: it is not to be had, or its answer was lost on the way."""
        if self._live.elsewhere:
            return None
        try:
            async with self._turn(local) as remote:
                if await asyncio.to_thread(self._waits, local):
                    return None  # the server put off an earlier change: this one comes after it
                return await act(remote)
        except NotUnderstood:
            raise
        except (Offline, BadServer) as fault:
            log.info("promised instead: %s", fault)
            return None

    def _waits(self, local: Mailbox) -> bool:
        place = Place.of(local)
        return bool(self._journal.effects(place.name, place.object_id, place.uidvalidity))

    # what needs the server

    async def copy(
        self, local: Mailbox, uids: Sequence[int], target: Mailbox, *, move: bool
    ) -> tuple[int, list[int], list[int]]:
        """(UIDVALIDITY there, UIDs here, UIDs there)."""
        copying = await asyncio.to_thread(Copying, self._cache, local, uids, target)
        await asyncio.to_thread(self._live.expect, target.name, copying.mails)
        sent, copied = False, None
        try:
            async with self._turn(local) as remote:
                sent = True
                act = remote.move if move else remote.copy
                copied = await act(uids, target.name)
        except NotUnderstood:
            raise
        except (Offline, BadServer) as fault:
            # once the server said OK it is done: what broke is what it said beside it
            if copied is None:
                if not sent:
                    raise
                copied = await self._arrived(copying, local, target, move=move)
            if copied is None:
                raise fault
        if move:
            await asyncio.to_thread(contents.remove, self._cache, local.id, copied[1])
            self._live.changed()
        await catch_up(self._live, target)
        return target.shown(copied[0]), copied[1], copied[2]

    async def _arrived(
        self, copying: Copying, local: Mailbox, target: Mailbox, *, move: bool
    ) -> tuple[int, list[int], list[int]] | None:
        """What the server would have said, had its answer not been lost. None: it was not done, or
        the server is not back in time."""
        clock = asyncio.get_running_loop().time
        until = clock() + APPEND_SECONDS
        while clock() < until:
            try:
                async with connected(self._live) as sync:
                    await sync.news(target)
                    found = await asyncio.to_thread(copying.arrived)
                    if found is not None and move:
                        async with sync.turn(local) as remote:
                            found = None if await left(remote, found[0]) else found
                return (target.server_validity, *found) if found is not None else None
            except Offline:
                await asyncio.sleep(LOOK_SECONDS)
            except (ClientError, Stale):
                break
        return None

    async def create(self, name: str, special_use: str | None = None) -> None:
        await self._mailboxes(lambda remote, _: remote.create(name, special_use))

    async def delete(self, name: str) -> None:
        async def act(remote: Remote, _: Sync) -> None:
            await remote.unselect()  # the server hangs up on who has it selected
            await remote.delete(name)

        await self._mailboxes(act)

    async def rename(self, old: str, new: str) -> None:
        async def act(remote: Remote, sync: Sync) -> None:
            await remote.unselect()
            await remote.rename(old, new)
            if old != INBOX:  # whose messages move, and itself stays (RFC 9051, 6.3.6)
                await sync.renamed(old, new)

        await self._mailboxes(act)

    async def subscribe(self, name: str, on: bool) -> None:
        await self._mailboxes(lambda remote, _: remote.subscribe(name, on))

    async def _mailboxes(self, act: _Act) -> None:
        async with connected(self._live) as sync:
            async with sync.any_turn() as remote:
                await self._replay.run(remote)
                await act(remote, sync)
            try:
                await self._listed(sync)
            except (ClientError, Stale) as fault:
                # it is done: a failure now must not be told as one
                log.info("what was done is not seen yet: %s", type(fault).__name__)
        self._live.changed()

    async def _listed(self, sync: Sync) -> None:
        found = await sync.list_mailboxes()
        for one in found.there:
            known = await asyncio.to_thread(mailboxes.named, self._cache, one.name)
            if known is None or not known.complete or known.subscribed != one.subscribed:
                with suppress(Refused, Stale):
                    await sync.skeleton(one)
        await sync.forget(found.gone)

    @asynccontextmanager
    async def _turn(self, local: Mailbox) -> AsyncIterator[Remote]:
        """With the mailbox selected, and what was promised before done before."""
        async with connected(self._live) as sync:
            if await asyncio.to_thread(self._journal.anything_pending):
                async with sync.any_turn() as remote:
                    await self._replay.run(remote)
            with not_stale():
                async with sync.turn(local) as remote:
                    yield remote
