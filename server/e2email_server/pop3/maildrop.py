"""The inbox of an account, held by one POP3 session: renderings, as the sealed face gives them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from e2email_protocol.imap.session import Section, Stream
from e2email_protocol.pop3.errors import Vanished
from e2email_protocol.pop3.session import Listed
from e2email_server.imap.access import Access
from e2email_server.imap.body import Body
from e2email_server.imap.message import SealedMessage
from e2email_server.imap.shared import known_of
from e2email_server.pop3.faults import told
from e2email_server.store.api import Store


class SealedMaildrop:
    """See session.Maildrop. `held` lets go of the account when it is closed."""

    def __init__(
        self,
        store: Store,
        access: Access,
        uidvalidity: int,
        messages: Sequence[Listed],
        held: set[int],
    ) -> None:
        self._store, self._access, self._held = store, access, held
        self._removing: asyncio.Task[None] | None = None
        self.uidvalidity, self.messages = uidvalidity, messages

    def __repr__(self) -> str:
        return f"<SealedMaildrop {len(self.messages)} messages>"

    async def retrieve(self, uid: int) -> AsyncGenerator[bytes, None]:
        with told():
            await self._access.require("read")
            octets = await (await self._message(uid)).section(Section(), None)
        assert octets is not None, "the whole message is there"
        if isinstance(octets, Stream):
            async for piece in octets.chunks:
                yield piece
        else:
            yield octets

    async def _message(self, uid: int) -> SealedMessage:
        found = await self._store.messages(self._access.inbox, [uid], bodies=True)
        if not found:
            raise Vanished
        (one,) = found
        read = partial(self._store.body, self._access.inbox, uid, serial=one.serial)
        return SealedMessage(known_of(one.entry), one.head, Body(read, one.body), {})

    async def delete(self, uids: Sequence[int]) -> None:
        """Goes on to its end even if the program hangs up after QUIT without waiting."""
        self._removing = asyncio.create_task(self._remove(uids))
        await asyncio.shield(self._removing)

    async def _remove(self, uids: Sequence[int]) -> None:
        with told():
            await self._access.require("delete")
            await self._store.remove(self._access.inbox, uids)

    async def close(self) -> None:
        try:
            if self._removing is not None:
                await asyncio.wait({self._removing})
        finally:
            self._held.discard(self._access.account_id)
