"""A selected mailbox at the proxy: read from the local store, written through to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import datetime

from e2email_client.local import contents, mails
from e2email_client.local.keywords import without_reserved
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State
from e2email_client.local.outlines import outlines
from e2email_client.local.reads import Octets
from e2email_client.proxy import search
from e2email_client.proxy.account import ProxyAccount, upstream
from e2email_client.proxy.message import MissingMessage, ServedMessage
from e2email_client.proxy.page import Page
from e2email_protocol.imap import errors
from e2email_protocol.imap.extensions import Outline
from e2email_protocol.imap.session import (
    AppendResult,
    Changes,
    CopyResult,
    Entry,
    HeaderKey,
    Message,
    Need,
    SentKey,
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
_SUMMARY = Need.SIZE | Need.ENVELOPE | Need.STRUCTURE | Need.HEADER
_DELETED = frozenset({"\\Deleted"})


def _octets(need: Need) -> Octets:
    if Need.BODY in need:
        return Octets.VIEW
    return Octets.HEADER if Need.HEADER in need else Octets.NONE


def _state(need: Need) -> State:
    """How well a message must be known for what is asked of it in any case."""
    if Need.BODY in need:
        return State.OPENED
    return State.READY if need & _SUMMARY else State.UNKNOWN


class ProxyMailbox:
    """One session's half; the account's part is shared."""

    def __init__(
        self,
        account: ProxyAccount,
        local: Mailbox,
        readonly: bool,
        horizon: int,
        object_id: str,
    ) -> None:
        """`horizon`: the modseq since which is known what vanished."""
        self._account = account
        self._local = local
        self._horizon = horizon
        self.readonly = readonly
        self.uidvalidity = local.uidvalidity
        self.mailbox_id = object_id
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
        complete = since >= self._horizon
        if now.modseq <= since:
            return Changes((), (), now.modseq, now)
        gone = await asyncio.to_thread(
            contents.vanished, self._account.cache, self._local.id, since
        )
        changed = [entry for entry in now.entries if entry.modseq > since]
        return Changes(changed, gone, now.modseq, now, complete)

    async def wait(self) -> None:
        self._generation = await self._account.live.wait(self._generation)

    async def fetch(self, uids: Sequence[int], need: Need) -> AsyncGenerator[Message, None]:
        """What is here is given though something else cannot be had: that fails by itself."""
        octets = _octets(need)
        state = _state(need)
        for some in await self._pages(uids, octets):
            page = Page(self._account, self._local, some)
            for known in await page.read(octets, state, summary=bool(need & _TEXTS)):
                if known.state < state:
                    yield MissingMessage(known, page.trouble)
                else:
                    yield ServedMessage(known, octets is Octets.VIEW, page)

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

    async def store(
        self,
        uids: Sequence[int],
        op: StoreOp,
        flags: frozenset[str],
        unchangedsince: int | None = None,
    ) -> StoreResult:
        async with self._account.storing(self._local.id):
            return await self._store(uids, op, without_reserved(flags), unchangedsince)

    async def _store(
        self, uids: Sequence[int], op: StoreOp, flags: frozenset[str], unchangedsince: int | None
    ) -> StoreResult:
        modified: list[int] = []
        if unchangedsince is not None:
            now = await self._entries(uids)
            modified = [one.uid for one in now if one.modseq > unchangedsince]
            uids = [one.uid for one in now if one.modseq <= unchangedsince]
        if uids and (flags or op is StoreOp.REPLACE):
            async with upstream():
                await self._account.live.writing.store(self._local, uids, op.value, flags)
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

    async def replace(
        self,
        uid: int,
        name: str,
        octets: bytes,
        flags: frozenset[str],
        when: datetime | None,
    ) -> AppendResult:
        """The new one is stored before the old one goes: whatever fails, one of them is there."""
        if not await self._entries([uid]):
            raise errors.Vanished("it was expunged")
        placed = await self._account.append(name, octets, flags, when)
        await self.store([uid], StoreOp.ADD, _DELETED)
        await self.expunge([uid])
        return placed

    async def outlines(self, uids: Sequence[int], fields: Collection[str]) -> Sequence[Outline]:
        """From the summaries: no body is opened."""
        cache, local = self._account.cache, self._local.id
        found = await asyncio.to_thread(outlines, cache, local, uids, fields)
        if len(found) == len(uids):
            return found
        # some are gone, or not opened yet
        trouble = await self._account.ensure(self._local, uids, State.READY)
        if await asyncio.to_thread(mails.lacking, cache, local, uids, State.READY):
            raise trouble or errors.Unavailable("a message that is to be sorted is not here")
        return await asyncio.to_thread(outlines, cache, local, uids, fields)

    async def search(self, key: TextSearch, uids: Sequence[int]) -> Collection[int]:
        """Exact: a message whose octets are needed and not here is fetched, never passed over."""
        if isinstance(key, HeaderKey | SentKey):  # which a summary may answer
            await self._account.ensure(self._local, uids, State.READY)
        found, closed = await self._matching(key, uids)
        if closed:
            trouble = await self._account.ensure(self._local, closed, State.OPENED)
            more, closed = await self._matching(key, closed)
            if closed:
                raise trouble or errors.Unavailable("a message that is to be searched is not here")
            found |= more
        return found

    async def _matching(self, key: TextSearch, uids: Sequence[int]) -> tuple[set[int], list[int]]:
        return await asyncio.to_thread(
            search.matching, self._account.cache, self._local.id, uids, key
        )

    async def close(self) -> None:
        return None
