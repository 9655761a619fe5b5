"""What the commands of one connection share: state, session, maildrop, settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from .errors import AuthenticationFailed, NoSuchMessage
from .session import Listed, Maildrop, Session
from .state import State

# A command's run: replies in order; or it raises Refused or BadCommand before the first one.
Replies = AsyncGenerator[bytes, None]


async def _no_penalty(failures: int) -> None:
    """Nobody waits unless the driver hands something in."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one listener speaks."""

    implementation: bytes = b"e2email"
    stls: bool = False  # a certificate is there and the connection begins in clear
    clear_login: bool = False  # log in without TLS: for tests and sockets that nobody else sees
    penalty: Callable[[int], Awaitable[None]] = _no_penalty  # waits after the n-th bad login


@dataclass(slots=True)
class Drop:
    """The maildrop as this session counts it: from 1, without what DELE marked."""

    maildrop: Maildrop
    marked: set[int] = field(default_factory=set)  # numbers

    def message(self, number: int) -> Listed:
        """NoSuchMessage, also for one that is marked."""
        if not 1 <= number <= len(self.maildrop.messages) or number in self.marked:
            raise NoSuchMessage
        return self.maildrop.messages[number - 1]

    def messages(self) -> Iterator[tuple[int, Listed]]:
        """(number, message) of those that are not marked."""
        numbered = enumerate(self.maildrop.messages, 1)
        return (one for one in numbered if one[0] not in self.marked)

    def marked_uids(self) -> list[int]:
        return [self.maildrop.messages[number - 1].uid for number in sorted(self.marked)]

    def totals(self) -> tuple[int, int]:
        """(messages, octets)."""
        sizes = [message.size for _, message in self.messages()]
        return len(sizes), sum(sizes)


@dataclass(slots=True)
class Context:
    """One connection's half of the conversation; commands change it, connection.py reads it."""

    session: Session
    settings: Settings
    tls: bool
    state: State = State.AUTHORIZATION
    user: bytes = field(default=b"", repr=False)
    opened: Drop | None = None
    bad_logins: int = 0
    upgrade: bool = False  # STLS was accepted: TLS comes after this reply
    asked: Callable[[Context, bytes], Replies] | None = None  # takes the next line, as it is

    @property
    def drop(self) -> Drop:
        assert self.opened is not None, "the state table lets no such command through"
        return self.opened

    @property
    def may_log_in(self) -> bool:
        return self.tls or self.settings.clear_login

    async def log_in(self, user: str, password: bytes) -> bytes:
        """PASS's and AUTH's common half; AuthenticationFailed comes after the penalty."""
        self.state = State.AUTHORIZATION
        try:
            maildrop = await self.session.login(user, password)
        except AuthenticationFailed:
            self.bad_logins += 1
            await self.settings.penalty(self.bad_logins)
            raise
        self.opened = Drop(maildrop)
        self.state = State.TRANSACTION
        return b"+OK logged in\r\n"

    async def let_go(self) -> None:
        opened, self.opened = self.opened, None
        if opened is not None:
            await opened.maildrop.close()
