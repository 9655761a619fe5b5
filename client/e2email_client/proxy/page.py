"""Messages of one wide read. What is asked of one of them now and then is had for all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from e2email_client.local import mails, reads
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State
from e2email_client.local.reads import Known, Octets
from e2email_client.proxy.account import ProxyAccount
from e2email_protocol.imap import errors
from e2email_protocol.imap.session import Stream

PIECE = 1024 * 1024  # octets of a large message that are read at once


class Page:
    """Some hundred messages of one mailbox."""

    def __init__(self, account: ProxyAccount, local: Mailbox, uids: Sequence[int]) -> None:
        self._account = account
        self._local = local
        self._uids = uids
        self._headers: dict[int, bytes] | None = None
        self._previews: dict[int, str] | None = None
        self._summarised = False  # what had no summary was fetched, or could not be
        self._trouble: errors.Refused | None = None

    def __repr__(self) -> str:
        return f"Page({len(self._uids)} messages)"

    async def read(self, octets: Octets, state: State, *, summary: bool) -> list[Known]:
        """Those that are there; what lacks `state` is fetched first, or stays as it is."""
        await self._ensure(self._uids, state)
        return await self._known(self._uids, octets, summary=summary)

    @property
    def trouble(self) -> errors.Refused:
        """Why something is not here."""
        return self._trouble or errors.Unavailable("a message is not here yet")

    async def header(self, uid: int) -> bytes:
        if self._headers is None:
            await self._ensure(self._uids, State.OPENED)
            found = await self._known(self._uids, Octets.HEADER, summary=False)
            self._headers = {one.uid: one.octets for one in found if one.octets is not None}
        header = self._headers.get(uid)
        if header is None:
            raise self.trouble
        return header

    async def preview(self, uid: int, *, lazy: bool) -> str | None:
        if not (lazy or self._summarised):
            self._summarised = True
            await self._ensure(self._uids, State.READY)
            self._previews = None
        if self._previews is None:
            self._previews = await asyncio.to_thread(
                reads.previews, self._account.cache, self._local.id, self._uids
            )
        if lazy or uid in self._previews:
            return self._previews.get(uid)
        raise self.trouble

    async def view(self, uid: int) -> bytes:
        """Whole: only of this one."""
        return await self.part(uid, 0, None)

    async def part(self, uid: int, start: int, count: int | None) -> bytes:
        """Of a view; nothing else is read of a large one."""
        await self._ensure([uid], State.OPENED)
        found = await asyncio.to_thread(
            mails.view, self._account.cache, self._local.id, uid, start, count
        )
        if found is None:
            raise self.trouble
        return found

    async def pieces(self, uid: int, size: int) -> Stream:
        """A view of this size, read as it is sent."""
        first = await self.part(uid, 0, PIECE)

        async def chunks() -> AsyncIterator[bytes]:
            yield first
            for start in range(PIECE, size, PIECE):
                yield await self.part(uid, start, PIECE)

        return Stream(size, chunks())

    async def _known(self, uids: Sequence[int], octets: Octets, *, summary: bool) -> list[Known]:
        return await asyncio.to_thread(
            reads.known, self._account.cache, self._local.id, uids, octets, summary=summary
        )

    async def _ensure(self, uids: Sequence[int], state: State) -> None:
        self._trouble = await self._account.ensure(self._local, uids, state) or self._trouble
