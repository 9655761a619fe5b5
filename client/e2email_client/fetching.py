"""A connection for a command that needs mail which is not here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from e2email_client.failure import ClientError, NotThere
from e2email_client.learning import open_learning
from e2email_client.local import mails
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State
from e2email_client.local.seen import Seen
from e2email_client.replay import Replay
from e2email_client.stores import Stores, open_journal, open_opening, open_room
from e2email_client.sync import Report, Stale, Sync
from e2email_client.unlock import Unlocked
from e2email_client.upstream import Remote, connect

if TYPE_CHECKING:
    from e2email_client.history import History
    from e2email_client.opening import Opening


@asynccontextmanager
async def online(unlocked: Unlocked, cache: Database) -> AsyncIterator[Sync]:
    """Connected, with workers that open. Raises Offline, BadServer, WrongSecret.

    Holds no lock: what is fetched this way is written whole, and twice is as good as once.
    """
    async with opened_connection(unlocked) as (remote, opening):
        yield Sync(cache, opening, remote, reads_only=True)


@asynccontextmanager
async def syncing(unlocked: Unlocked, stores: Stores, report: Report) -> AsyncIterator[Sync]:
    """The same for who holds the account's lock: what was promised has been sent before."""
    journal, seen = open_journal(unlocked, stores), Seen(stores.state)
    await asyncio.to_thread(mails.try_again, stores.cache, unlocked.vault.counter)
    async with opened_connection(unlocked) as (remote, opening):
        replay = Replay(journal, stores.cache, unlocked.paths.replay_lock, seen=seen)
        await replay.run(remote)
        room = open_room(unlocked, stores)
        yield Sync(
            stores.cache,
            opening,
            remote,
            report,
            pending=journal,
            seen=seen,
            room=room,
            learn=open_learning(unlocked, stores, opening),
        )


@asynccontextmanager
async def opened_connection(
    unlocked: Unlocked, history: History | None = None
) -> AsyncIterator[tuple[Remote, Opening]]:
    """Connected, with workers that open and follow `history`. Offline, BadServer, WrongSecret."""
    remote, _ = await connect(unlocked)
    try:
        opening = await asyncio.to_thread(open_opening, unlocked, history=history)
        try:
            yield remote, opening
        finally:
            await asyncio.to_thread(opening.close)
    finally:
        remote.close()


class Fetcher:
    """Brings octets here, connecting when the first are missing. An async context manager.

    What goes wrong is kept in `fault` in place of being raised: there may be more that needs no
    connection, and it is the caller who sees what is missing in the end.
    """

    def __init__(self, unlocked: Unlocked, cache: Database) -> None:
        self._unlocked = unlocked
        self._cache = cache
        self._sync: Sync | None = None
        self._stack = AsyncExitStack()
        self.fault: ClientError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def ensure(self, box: Mailbox, uids: Sequence[int]) -> None:
        """Fetch and open what of these messages is not here; after a fault nothing any more."""
        if self.fault or not mails.lacking(self._cache, box.id, uids, State.OPENED):
            return
        try:
            if self._sync is None:
                connecting = online(self._unlocked, self._cache)
                self._sync = await self._stack.enter_async_context(connecting)
            await self._sync.ensure(box, uids, State.OPENED)
        except Stale:
            self.fault = NotThere("A mailbox was replaced on the server: run e2email sync.")
        except ClientError as fault:
            self.fault = fault
