"""What programs change: written through to the server, and seen here at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from e2email_client.failure import ClientError, Refused
from e2email_client.local import mailboxes
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.sync import Stale
from e2email_client.upstream import Remote

if TYPE_CHECKING:
    from e2email_client.live import Live

log = logging.getLogger(__name__)

INBOX = "INBOX"

Seal = Callable[[bytes], bytes]  # mail → its sealed record, as it is appended; blocks
_Act = Callable[[Remote], Awaitable[None]]


class Writing:
    """The changes of one account. All of it may raise Offline, BadServer, Refused."""

    def __init__(self, live: Live, cache: Database, seal: Seal | None = None) -> None:
        self._live = live
        self._cache = cache
        self._seal = seal

    async def store(
        self, local: Mailbox, uids: Sequence[int], operation: str, flags: Iterable[str]
    ) -> None:
        """`operation`: FLAGS, +FLAGS, -FLAGS."""
        async with self._turn(local) as remote:
            said = await remote.store(uids, operation, flags)
        await asyncio.to_thread(mailboxes.set_flags, self._cache, local.id, said)
        self._live.changed()

    async def expunge(self, local: Mailbox, uids: Sequence[int]) -> list[int]:
        """Those of `uids` that are gone now."""
        async with self._turn(local) as remote:
            await remote.expunge(uids)
            left = {uid for uid, _ in await remote.flags_of(uids)}
        gone = [uid for uid in uids if uid not in left]
        await asyncio.to_thread(mailboxes.remove, self._cache, local.id, gone)
        self._live.changed()
        return gone

    async def copy(
        self, local: Mailbox, uids: Sequence[int], target: Mailbox, *, move: bool
    ) -> tuple[int, list[int], list[int]]:
        """(UIDVALIDITY there, UIDs here, UIDs there)."""
        async with self._turn(local) as remote:
            act = remote.move if move else remote.copy
            copied = await act(uids, target.name)
        if move:
            await asyncio.to_thread(mailboxes.remove, self._cache, local.id, copied[1])
            self._live.changed()
        await self._catch_up_quickly(target)
        return copied

    async def append(
        self, target: Mailbox, octets: bytes, flags: Iterable[str], when: datetime
    ) -> tuple[int, int]:
        """Sealed here before it goes up, where this machine may."""
        if self._seal is not None:
            octets = await asyncio.to_thread(self._seal, octets)
        async with self._live.reached.any_turn() as remote:
            placed = await remote.append(target.name, octets, flags, when)
        await self._catch_up_quickly(target)
        return placed

    async def _catch_up_quickly(self, target: Mailbox) -> None:
        """See what was just put there. It is there, so a failure now must not be told as one."""
        try:
            sync = self._live.reached
            await sync.envelopes(await sync.news(target))
        except (ClientError, Stale) as fault:
            log.info("what was stored is not seen yet: %s", type(fault).__name__)

    async def create(self, name: str) -> None:
        await self._mailboxes(lambda remote: remote.create(name))

    async def delete(self, name: str) -> None:
        async def act(remote: Remote) -> None:
            await remote.unselect()  # the server hangs up on who has it selected
            await remote.delete(name)

        await self._mailboxes(act)

    async def rename(self, old: str, new: str) -> None:
        async def act(remote: Remote) -> None:
            await remote.unselect()
            await remote.rename(old, new)
            if old != INBOX:  # whose messages move, and itself stays (RFC 9051, 6.3.6)
                await asyncio.to_thread(mailboxes.rename, self._cache, old, new)

        await self._mailboxes(act)

    async def subscribe(self, name: str, on: bool) -> None:
        await self._mailboxes(lambda remote: remote.subscribe(name, on))

    async def _mailboxes(self, act: _Act) -> None:
        sync = self._live.reached
        async with sync.any_turn() as remote:
            await act(remote)
        found = await sync.list_mailboxes()
        for one in found.there:
            known = await asyncio.to_thread(mailboxes.named, self._cache, one.name)
            if known is None or known.subscribed != one.subscribed:
                with suppress(Refused, Stale):
                    await sync.skeleton(one)
        await sync.forget(found.gone)
        self._live.changed()

    @asynccontextmanager
    async def _turn(self, local: Mailbox) -> AsyncIterator[Remote]:
        with not_stale():
            async with self._live.reached.turn(local) as remote:
                yield remote


@contextmanager
def not_stale() -> Iterator[None]:
    try:
        yield
    except Stale:
        raise Refused("STALE", "The mailbox is another one by now.") from None
