"""POP3 at the proxy: the inbox of an account, as it was at login; no flags change."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter

from e2email_client.failure import ClientError
from e2email_client.live import INBOX
from e2email_client.local import contents, mails
from e2email_client.local.chunks import PART
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State
from e2email_client.proxy.account import ProxyAccount
from e2email_client.proxy.logins import Login, logged_in
from e2email_client.sync import Stale
from e2email_protocol.imap import errors as imap
from e2email_protocol.pop3 import errors
from e2email_protocol.pop3.session import Listed

# Programs give up after a minute, and so does the driver before a login; what is not summarised
# by then goes on being fetched in the background, and the next login finds it.
SIZES_SECONDS = 30.0
PIECE = 64 * 1024
# Opened together with a message that is asked for: the first one waits for all of them.
MESSAGES_AHEAD = 50
OCTETS_AHEAD = 1024 * 1024


@contextmanager
def _told() -> Iterator[None]:
    """What the server and this machine may fail at, as POP3's one word for it."""
    try:
        yield
    except (ClientError, TimeoutError) as fault:
        raise errors.Unavailable(str(fault) or "it takes too long") from fault
    except (Stale, imap.NoSuchMailbox, imap.Unavailable) as fault:
        raise errors.Unavailable("the inbox is another one by now, or not listed yet") from fault


class Pop3Session:
    """One program's connection."""

    def __init__(self, accounts: Sequence[ProxyAccount]) -> None:
        self._accounts = accounts
        self.entered: Login | None = None

    async def login(self, user: str, password: bytes) -> ProxyMaildrop:
        entered = await logged_in(self._accounts, user, password)
        if entered is None:
            raise errors.AuthenticationFailed("wrong address or password")
        self.entered, account = entered, entered.account
        if account.maildrop_held:
            raise errors.InUse("another POP3 session is open")
        account.maildrop_held = True
        try:
            with _told():
                return await _opened(account)
        except BaseException:
            account.maildrop_held = False
            raise


async def _opened(account: ProxyAccount) -> ProxyMaildrop:
    """The inbox with the exact size of every message."""
    local = await account.mailbox(INBOX)
    uids = [one.uid for one in (await account.snapshot(local.id)).entries]
    async with asyncio.timeout(SIZES_SECONDS):
        await _ensure(account, local, uids, State.READY)
    sizes = await asyncio.to_thread(mails.sizes, account.cache, local.id, uids)
    # what vanished in the meantime has no size any more
    messages = [Listed(uid, sizes[uid]) for uid in uids if uid in sizes]
    return ProxyMaildrop(account, local, messages)


async def _ensure(
    account: ProxyAccount,
    local: Mailbox,
    uids: Sequence[int],
    state: State,
    ahead: Sequence[int] = (),
) -> None:
    """All of these known that well. Unavailable where one still isn't.

    Where the server has to be asked, it is asked for those `ahead`, too.
    """

    def lacking() -> Awaitable[list[tuple[int, str]]]:
        return asyncio.to_thread(mails.lacking, account.cache, local.id, uids, state)

    missing = await lacking()
    if missing:
        await account.live.ensure(local, [*(uid for uid, _ in missing), *ahead], state)
        if await lacking():
            raise errors.Unavailable("a message could not be had or opened")


class ProxyMaildrop:
    """The inbox, for one session."""

    def __init__(self, account: ProxyAccount, local: Mailbox, messages: Sequence[Listed]) -> None:
        self._account = account
        self._local = local
        self._removing: asyncio.Task[None] | None = None
        self.messages = messages
        self.uidvalidity = local.uidvalidity

    def __repr__(self) -> str:
        return f"ProxyMaildrop({len(self.messages)} messages)"

    async def retrieve(self, uid: int) -> AsyncGenerator[bytes, None]:
        with _told():
            await _ensure(self._account, self._local, [uid], State.OPENED, self._after(uid))
        sizes = await asyncio.to_thread(mails.sizes, self._account.cache, self._local.id, [uid])
        if uid not in sizes:
            raise errors.Vanished("removed since login")
        for start in range(0, sizes[uid], PART):
            octets = await asyncio.to_thread(
                mails.view, self._account.cache, self._local.id, uid, start, PART
            )
            if octets is None:
                raise errors.Unavailable("its octets were dropped again")
            for at in range(0, len(octets), PIECE):
                yield octets[at : at + PIECE]

    def _after(self, uid: int) -> list[int]:
        """Programs that fetch one message mostly fetch those that follow."""
        start = bisect_right(self.messages, uid, key=attrgetter("uid"))
        found: list[int] = []
        octets = 0
        for one in islice(self.messages, start, start + MESSAGES_AHEAD):
            octets += one.size
            if octets > OCTETS_AHEAD:
                break
            found.append(one.uid)
        return found

    async def delete(self, uids: Sequence[int]) -> None:
        """On this machine's disk, and carried out by the server when it is there.

        Goes on to its end even if the program hangs up after QUIT without waiting.
        """
        self._removing = asyncio.create_task(self._remove(uids))
        await asyncio.shield(self._removing)

    async def _remove(self, uids: Sequence[int]) -> None:
        known = await asyncio.to_thread(contents.server_flags, self._account.cache, self._local.id)
        there = [uid for uid in uids if uid in known]
        if there:
            with _told():
                await self._account.live.writing.delete_messages(self._local, there)

    async def close(self) -> None:
        try:
            if self._removing is not None:
                await asyncio.wait({self._removing})
        finally:
            self._account.maildrop_held = False
