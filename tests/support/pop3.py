"""A POP3 backend in memory, the twin of the real ones, and a conversation without a socket."""

import asyncio
from dataclasses import dataclass, field
from typing import ClassVar

from e2email_protocol.pop3.connection import Connection
from e2email_protocol.pop3.context import Settings
from e2email_protocol.pop3.errors import AuthenticationFailed, InUse, NotRemoved, Vanished
from e2email_protocol.pop3.session import Listed

MAIL = (
    b"From: Alice <alice@example.test>\r\n"
    b"Subject: breakfast\r\n"
    b"\r\n"
    b"Eggs at nine?\r\n"
    b".\r\n"
    b"..and toast\r\n"
)


@dataclass
class Inbox:
    """One account's inbox, which all sessions share. `fail`: method → exception to raise."""

    mails: dict[int, bytes] = field(default_factory=dict)
    uidvalidity: int = 7
    held: bool = False
    undeletable: set[int] = field(default_factory=set)
    breaks_after: int | None = None  # octets of a mail that are given before it breaks off
    fail: dict[str, Exception] = field(default_factory=dict)

    def may(self, method: str) -> None:
        if method in self.fail:
            raise self.fail[method]


def inbox(*mails: bytes) -> Inbox:
    return Inbox(dict(enumerate(mails, 1)))


class MemoryMaildrop:
    def __init__(self, inbox: Inbox, piece: int):
        self._inbox = inbox
        self._piece = piece
        self.uidvalidity = inbox.uidvalidity
        self.messages = [Listed(uid, len(octets)) for uid, octets in sorted(inbox.mails.items())]
        self.open = True

    async def retrieve(self, uid: int):
        self._inbox.may("retrieve")
        if uid not in self._inbox.mails:
            raise Vanished(str(uid))
        octets = self._inbox.mails[uid]
        for start in range(0, len(octets), self._piece):
            if self._inbox.breaks_after is not None and start >= self._inbox.breaks_after:
                raise OSError("inner secret")
            await asyncio.sleep(0)
            yield octets[start : start + self._piece]

    async def delete(self, uids) -> None:
        self._inbox.may("delete")
        for uid in set(uids) - self._inbox.undeletable:
            self._inbox.mails.pop(uid, None)
        if set(uids) & self._inbox.undeletable:
            raise NotRemoved

    async def close(self) -> None:
        assert self.open, "closed twice"
        self.open = self._inbox.held = False


class MemorySession:
    users: ClassVar = {"alice@example.test": b"secret and more", "bob@example.test": b"secret"}

    def __init__(self, inbox: Inbox, piece: int = 1 << 20):
        self.inbox = inbox
        self.piece = piece

    async def login(self, user: str, password: bytes) -> MemoryMaildrop:
        if self.users.get(user.lower()) != password:
            raise AuthenticationFailed(user)
        self.inbox.may("login")
        if self.inbox.held:
            raise InUse(user)
        self.inbox.held = True
        return MemoryMaildrop(self.inbox, self.piece)


class Client:
    """`ask(octets)` gives everything the engine then says."""

    def __init__(self, inbox: Inbox, settings: Settings | None = None, tls: bool = True):
        self.session = MemorySession(inbox)
        self.reports: list[BaseException] = []
        self.connection = Connection(
            self.session, settings or Settings(), tls=tls, report=self.reports.append
        )

    async def ask(self, octets: bytes = b"") -> bytes:
        self.connection.receive_data(octets)
        return b"".join([chunk async for chunk in self.connection.replies()])

    async def login(self) -> None:
        assert await self.ask() == b"+OK ready\r\n"
        said = await self.ask(b"USER bob@example.test\r\nPASS secret\r\n")
        assert said.endswith(b"+OK logged in\r\n")
