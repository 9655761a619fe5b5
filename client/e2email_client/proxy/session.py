"""One connection to the proxy: login, mailboxes, APPEND."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from e2email_client.device_seal import MAX_MAIL
from e2email_client.local import contents, mailboxes
from e2email_client.local.mailboxes import Mailbox
from e2email_client.proxy.account import ProxyAccount, upstream
from e2email_client.proxy.logins import Login, logged_in, named, noted
from e2email_client.proxy.mailbox import ProxyMailbox
from e2email_protocol.imap import errors
from e2email_protocol.imap.session import AppendResult, MailboxInfo, Status

# See docs/specs/imap.md for what each asks of this backend.
CAPABILITIES = frozenset(
    (
        b"APPENDLIMIT=%d" % MAX_MAIL,
        b"BINARY",
        b"CONDSTORE",
        b"CREATE-SPECIAL-USE",
        b"PREVIEW",
        b"QRESYNC",
        b"REPLACE",
        b"SAVEDATE",
        b"SORT",
        b"STATUS=SIZE",
        b"THREAD=ORDEREDSUBJECT",
        b"THREAD=REFERENCES",
        b"UTF8=ACCEPT",
    )
)


class ProxySession:
    """One program's connection to one of the accounts."""

    def __init__(self, accounts: Sequence[ProxyAccount]) -> None:
        self._accounts = accounts
        self._account: ProxyAccount | None = None
        self._program = ""
        self._noting: asyncio.Task[None] | None = None
        self.entered: Login | None = None
        self._identified = False  # the server's MAILBOXID of every mailbox is known

    def __repr__(self) -> str:
        return f"ProxySession({self._account.address if self._account else 'nobody'})"

    @property
    def capabilities(self) -> frozenset[bytes]:
        return CAPABILITIES | {b"OBJECTID"} if self._identified else CAPABILITIES

    @property
    def _ours(self) -> ProxyAccount:
        assert self._account is not None  # the engine's state table forbids it before login
        return self._account

    async def login(self, user: str, password: bytes) -> None:
        entered = await logged_in(self._accounts, user, password, self._program)
        if entered is None:
            raise errors.AuthenticationFailed("wrong address or password")
        self.entered, self._account = entered, entered.account
        cache = entered.account.cache
        self._identified = await asyncio.to_thread(mailboxes.identified, cache)

    def identify(self, fields: Mapping[str, str]) -> None:
        """For `e2email app-password list`; upstream is told nothing of the programs here."""
        self._program = named(fields)
        if self.entered is not None and (self._noting is None or self._noting.done()):
            self._noting = asyncio.create_task(noted(self.entered, self._program))

    async def close(self) -> None:
        if self._noting is not None:
            await self._noting

    async def list_mailboxes(self) -> Sequence[MailboxInfo]:
        return [
            MailboxInfo(one.name, one.special_use, one.subscribed)
            for one in await self._ours.mailboxes()
        ]

    async def status(self, name: str) -> Status:
        local = await self._ours.mailbox(name)
        view = await self._ours.snapshot(local.id)
        return Status(
            messages=len(view.entries),
            unseen=sum("\\Seen" not in one.flags for one in view.entries),
            uidnext=view.uidnext,
            uidvalidity=local.uidvalidity,
            highestmodseq=view.modseq,
            size=await asyncio.to_thread(contents.octets, self._ours.cache, local.id),
            deleted=sum("\\Deleted" in one.flags for one in view.entries),
            mailbox_id=self._object_id(local),
        )

    def _object_id(self, local: Mailbox) -> str:
        """Unavailable where OBJECTID was offered before this mailbox was made."""
        if self._identified and not local.object_id:
            raise errors.Unavailable("the mailbox's id is not here yet")
        return local.object_id

    async def create(self, name: str, special_use: str | None = None) -> None:
        async with upstream():
            await self._ours.live.writing.create(name, special_use)

    async def delete(self, name: str) -> None:
        async with upstream():
            await self._ours.live.writing.delete(name)

    async def rename(self, old: str, new: str) -> None:
        async with upstream():
            await self._ours.live.writing.rename(old, new)

    async def subscribe(self, name: str, on: bool) -> None:
        async with upstream():
            await self._ours.live.writing.subscribe(name, on)

    async def select(self, name: str, readonly: bool) -> ProxyMailbox:
        local = await self._ours.mailbox(name)
        horizon = await asyncio.to_thread(contents.horizon, self._ours.cache, local.id)
        return ProxyMailbox(self._ours, local, readonly, horizon, self._object_id(local))

    async def append(
        self, name: str, octets: bytes, flags: frozenset[str], when: datetime | None
    ) -> AppendResult:
        return await self._ours.append(name, octets, flags, when)
