"""One connection to the proxy: login, mailboxes, APPEND."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from e2email_client.local import mailboxes
from e2email_client.local.keywords import without_reserved
from e2email_client.proxy.account import ProxyAccount, logged_in, upstream
from e2email_client.proxy.mailbox import ProxyMailbox
from e2email_protocol.imap import errors
from e2email_protocol.imap.session import AppendResult, Mailbox, MailboxInfo, Status

# What a program may append: the server's own limit.
MAX_APPEND = 50 * 1024 * 1024


class ProxySession:
    """One program's connection to one of the accounts."""

    capabilities: frozenset[bytes] = frozenset()

    def __init__(self, accounts: Sequence[ProxyAccount]) -> None:
        self._accounts = accounts
        self._account: ProxyAccount | None = None

    def __repr__(self) -> str:
        return f"ProxySession({self._account.address if self._account else 'nobody'})"

    @property
    def _ours(self) -> ProxyAccount:
        assert self._account is not None  # the engine's state table forbids it before login
        return self._account

    async def login(self, user: str, password: bytes) -> None:
        account = logged_in(self._accounts, user, password)
        if account is None:
            raise errors.AuthenticationFailed("wrong address or password")
        self._account = account

    def identify(self, fields: Mapping[str, str]) -> None:
        """Upstream is told nothing of the programs on this machine."""

    async def close(self) -> None:
        return None

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
            size=await asyncio.to_thread(mailboxes.octets, self._ours.cache, local.id),
            deleted=sum("\\Deleted" in one.flags for one in view.entries),
        )

    async def create(self, name: str, special_use: str | None = None) -> None:
        if special_use is not None:
            raise errors.Cannot("special uses are given by the server")
        async with upstream():
            await self._ours.live.writing.create(name)

    async def delete(self, name: str) -> None:
        async with upstream():
            await self._ours.live.writing.delete(name)

    async def rename(self, old: str, new: str) -> None:
        async with upstream():
            await self._ours.live.writing.rename(old, new)

    async def subscribe(self, name: str, on: bool) -> None:
        async with upstream():
            await self._ours.live.writing.subscribe(name, on)

    async def select(self, name: str, readonly: bool) -> Mailbox:
        return ProxyMailbox(self._ours, await self._ours.mailbox(name), readonly)

    async def append(
        self, name: str, octets: bytes, flags: frozenset[str], when: datetime | None
    ) -> AppendResult:
        if len(octets) > MAX_APPEND:
            raise errors.TooBig("above the limit")
        target = await self._ours.mailbox(name)
        async with upstream():
            placed = await self._ours.live.writing.append(
                target, octets, without_reserved(flags), when or datetime.now(UTC)
            )
        return AppendResult(*placed)
