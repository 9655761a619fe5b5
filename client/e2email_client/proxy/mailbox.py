"""A selected mailbox at the proxy: read from the local store, written through to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence

from e2email_client.local import mailboxes, mails
from e2email_client.local.keywords import without_reserved
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import Known, Octets, State
from e2email_client.proxy import search
from e2email_client.proxy.account import ProxyAccount, upstream
from e2email_client.proxy.message import MissingMessage, ServedMessage
from e2email_protocol.imap import errors
from e2email_protocol.imap.session import (
    Changes,
    CopyResult,
    Entry,
    Message,
    Need,
    Snapshot,
    StoreOp,
    StoreResult,
    TextSearch,
)

# Messages of one read: summaries are small, views are whole mails.
SUMMARIES_A_READ = 1_000
VIEW_OCTETS_A_READ = 8 * 1024 * 1024
VIEWS_A_READ = 200

_TEXTS = Need.ENVELOPE | Need.STRUCTURE
_SUMMARY = Need.SIZE | Need.ENVELOPE | Need.STRUCTURE


def _octets(need: Need) -> Octets:
    if Need.BODY in need:
        return Octets.VIEW
    return Octets.HEADER if Need.HEADER in need else Octets.NONE


def _state(need: Need) -> State:
    """How well a message must be known for what is asked of it."""
    if need & (Need.BODY | Need.HEADER):
        return State.OPENED
    return State.READY if need & _SUMMARY else State.UNKNOWN


class ProxyMailbox:
    """One session's half; the account's part is shared."""

    def __init__(self, account: ProxyAccount, local: Mailbox, readonly: bool) -> None:
        self._account = account
        self._local = local
        self.readonly = readonly
        self.uidvalidity = local.uidvalidity
        # \Recent means nothing here: nobody but us delivers, and we do not count it
        self.recent_from = 2**32
        self._generation = account.live.generation

    def __repr__(self) -> str:
        return f"ProxyMailbox({self._local.id})"

    async def snapshot(self) -> Snapshot:
        return await self._account.snapshot(self._local.id)

    async def changes(self, since: int) -> Changes:
        self._generation = self._account.live.generation
        now = await self._account.snapshot(self._local.id)
        if now.modseq <= since:
            return Changes((), (), now.modseq)
        gone = await asyncio.to_thread(
            mailboxes.vanished, self._account.cache, self._local.id, since
        )
        changed = [entry for entry in now.entries if entry.modseq > since]
        return Changes(changed, gone, now.modseq)

    async def wait(self) -> None:
        self._generation = await self._account.live.wait(self._generation)

    async def fetch(self, uids: Sequence[int], need: Need) -> AsyncGenerator[Message, None]:
        """What is here is given though something else cannot be had: that fails by itself."""
        octets = _octets(need)
        state = _state(need)
        for page in await self._pages(uids, octets):
            trouble = await self._ensure(page, state)
            for known in await self._known(page, octets, summary=bool(need & _TEXTS)):
                if known.state < state:
                    yield MissingMessage(known, trouble or errors.Unavailable("not opened"))
                else:
                    yield ServedMessage(known, octets is Octets.VIEW, self._view)

    async def _pages(self, uids: Sequence[int], octets: Octets) -> list[Sequence[int]]:
        if octets is not Octets.VIEW:
            return [
                uids[at : at + SUMMARIES_A_READ] for at in range(0, len(uids), SUMMARIES_A_READ)
            ]
        sizes = await asyncio.to_thread(mails.sizes, self._account.cache, self._local.id, uids)
        pages: list[Sequence[int]] = []
        page: list[int] = []
        size = 0
        for uid in uids:
            if page and (size > VIEW_OCTETS_A_READ or len(page) == VIEWS_A_READ):
                pages.append(page)
                page, size = [], 0
            page.append(uid)
            size += sizes.get(uid, 0)
        return [*pages, page] if page else pages

    async def _ensure(self, uids: Sequence[int], state: State) -> errors.Refused | None:
        """Fetch what is not here; why that failed, if it did."""
        if state is State.UNKNOWN:
            return None
        lacking = await asyncio.to_thread(
            mails.lacking, self._account.cache, self._local.id, uids, state
        )
        if lacking:
            try:
                async with upstream():
                    await self._account.live.ensure(self._local, [uid for uid, _ in lacking], state)
            except errors.Refused as trouble:
                return trouble
        return None

    async def _known(self, uids: Sequence[int], octets: Octets, *, summary: bool) -> list[Known]:
        return await asyncio.to_thread(
            mails.known, self._account.cache, self._local.id, uids, octets, summary=summary
        )

    async def _view(self, uid: int) -> bytes:
        """The octets of one message, for an item that the wide read did not bring them for."""
        trouble = await self._ensure([uid], State.OPENED)
        for known in await self._known([uid], Octets.VIEW, summary=False):
            if known.octets is not None:
                return known.octets
        raise trouble or errors.Unavailable("a message is not here yet")

    async def store(
        self,
        uids: Sequence[int],
        op: StoreOp,
        flags: frozenset[str],
        unchangedsince: int | None = None,
    ) -> StoreResult:
        kept = without_reserved(flags)
        modified: list[int] = []
        if unchangedsince is not None:
            now = await self._entries(uids)
            modified = [one.uid for one in now if one.modseq > unchangedsince]
            uids = [one.uid for one in now if one.modseq <= unchangedsince]
        if uids and (kept or op is StoreOp.REPLACE):
            async with upstream():
                await self._account.live.writing.store(self._local, uids, op.value, kept)
        return StoreResult(await self._entries(uids), modified)

    async def _entries(self, uids: Sequence[int]) -> list[Entry]:
        wanted = set(uids)
        return [one for one in (await self.snapshot()).entries if one.uid in wanted]

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        among = None if uids is None else set(uids)
        deleted = [
            one.uid
            for one in (await self.snapshot()).entries
            if "\\Deleted" in one.flags and (among is None or one.uid in among)
        ]
        if not deleted:
            return []
        async with upstream():
            return await self._account.live.writing.expunge(self._local, deleted)

    async def copy(self, uids: Sequence[int], name: str) -> CopyResult:
        return await self._copy(uids, name, move=False)

    async def move(self, uids: Sequence[int], name: str) -> CopyResult:
        return await self._copy(uids, name, move=True)

    async def _copy(self, uids: Sequence[int], name: str, *, move: bool) -> CopyResult:
        target = await self._account.mailbox(name)
        async with upstream():
            copied = await self._account.live.writing.copy(self._local, uids, target, move=move)
        return CopyResult(*copied)

    async def search(self, key: TextSearch, uids: Sequence[int]) -> Collection[int]:
        """Exact: a message whose octets are not here is fetched first, never passed over."""
        await self._ensure(uids, State.OPENED)
        cache, local = self._account.cache, self._local.id
        if await asyncio.to_thread(mails.lacking, cache, local, uids, State.OPENED):
            raise errors.Unavailable("a message that is to be searched is not here")
        return await asyncio.to_thread(search.matching, cache, local, uids, key)

    async def close(self) -> None:
        return None
