"""What the commands of one connection share: state, session, selected mailbox, settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from . import limits
from .errors import AuthenticationFailed, BadCommand, NoSuchMailbox, ReadOnly, TryCreate
from .names import decode_name, new_name, quote_name
from .reader import Budget
from .session import Mailbox, Session
from .state import State
from .view import Numbered, View

# What the engine itself does once somebody is logged in; the rest is the session's.
BASE = (
    b"IMAP4rev1",
    b"LITERAL+",
    b"SASL-IR",
    b"ID",
    b"ENABLE",
)
AUTHENTICATED = (
    b"IDLE",
    b"UIDPLUS",
    b"MOVE",
    b"UNSELECT",
    b"NAMESPACE",
    b"CHILDREN",
    b"SPECIAL-USE",
    b"LIST-EXTENDED",
    b"LIST-STATUS",
    b"ESEARCH",
    b"SEARCHRES",
)


COMPRESS = b"COMPRESS=DEFLATE"
REV2 = b"IMAP4rev2"
REV2_NEEDS = frozenset({b"BINARY", b"STATUS=SIZE"})  # all else of RFC 9051 the engine has itself

# What changes the replies once a client has shown that it knows it (RFC 5161, 7162, 6855, 9051)
ENABLEABLE = frozenset({b"CONDSTORE", b"QRESYNC", b"UTF8=ACCEPT", REV2})


@dataclass(frozen=True, slots=True)
class Ok:
    """The end of a command: `tag OK [code] text`.

    `modseq`: to a client of QRESYNC the code is HIGHESTMODSEQ, as of everything it was told.
    """

    text: bytes = b"done"
    code: bytes = b""
    modseq: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """`+ text`, and the client's next line is sent into the generator.

    `idle`: meanwhile the client is told what changes in the mailbox.
    """

    text: bytes = b""
    idle: bool = False


# A command's run: replies in order, then one Ok; or it raises Refused or BadCommand.
Steps = AsyncGenerator[bytes | Ok | Ask, bytes | None]


class Command(Protocol):
    """A parsed command; its repr is fit for a log."""

    def run(self, context: Context) -> Steps: ...


async def _no_penalty(failures: int) -> None:
    """Nobody waits unless the driver hands something in."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one listener speaks."""

    identity: Mapping[str, str] = field(default_factory=lambda: {"name": "e2email"})
    starttls: bool = False  # a certificate is there and the connection begins in clear
    clear_login: bool = False  # log in without TLS: for tests and sockets that nobody else sees
    hidden: frozenset[bytes] = frozenset()  # capabilities not to show on this listener
    message_limit: int = limits.MESSAGE
    compress: bool = False  # offer DEFLATE after login; docs/specs/imap.md says why rather not
    clock: Callable[[], float] | None = None  # seconds since 1970; with it WITHIN is offered
    budget: Budget | None = None  # asked before the literals of APPEND and REPLACE are read
    penalty: Callable[[int], Awaitable[None]] = _no_penalty  # waits after the n-th bad login


@dataclass(slots=True)
class Selected:
    name: str
    mailbox: Mailbox
    view: View

    def writable(self) -> Mailbox:
        if self.mailbox.readonly:
            raise ReadOnly
        return self.mailbox


@dataclass(slots=True)
class Context:
    """One connection's half of the conversation; commands change it, connection.py reads it."""

    session: Session
    settings: Settings
    tls: bool
    state: State = State.NOT_AUTHENTICATED
    mailbox: Selected | None = None
    tag: bytes = b""  # of the command that runs
    bad_logins: int = 0
    upgrade: bool = False  # STARTTLS was accepted: TLS comes after this reply
    compressed: bool = False  # COMPRESS was accepted: what comes after this reply is DEFLATE
    in_literal: bool = False  # nothing but the literal's octets may be sent now
    enabled: set[bytes] = field(default_factory=set)  # of ENABLEABLE, by ENABLE or by use

    @property
    def selected(self) -> Selected:
        assert self.mailbox is not None, "the state table lets no such command through"
        return self.mailbox

    @property
    def may_log_in(self) -> bool:
        return self.tls or self.settings.clear_login

    def capabilities(self) -> bytes:
        """The capability list as it is in this state; what cannot be used is not shown."""
        names = list(BASE)
        if self.has(REV2):
            names.insert(1, REV2)
        if self.state is State.NOT_AUTHENTICATED:
            if self.settings.starttls and not self.tls:
                names.append(b"STARTTLS")
            names.append(b"AUTH=PLAIN" if self.may_log_in else b"LOGINDISABLED")
        else:
            names += AUTHENTICATED
            names += sorted(self._offered - {REV2})
        return b" ".join(name for name in names if name not in self.settings.hidden)

    def has(self, capability: bytes) -> bool:
        return capability in self._offered and capability not in self.settings.hidden

    @property
    def _offered(self) -> frozenset[bytes]:
        """What not every connection has."""
        offered = self.session.capabilities
        if self.settings.clock is not None:
            offered |= {b"WITHIN"}
        if self.settings.compress and not self.compressed:
            offered |= {COMPRESS}
        return offered | {REV2} if offered - self.settings.hidden >= REV2_NEEDS else offered

    @property
    def now(self) -> float:
        return 0.0 if self.settings.clock is None else self.settings.clock()

    @property
    def append_limit(self) -> int:
        """APPENDLIMIT=n of the session (RFC 7889); BadCommand where it names none."""
        for name in self.session.capabilities - self.settings.hidden:
            if name.startswith(b"APPENDLIMIT="):
                return int(name.removeprefix(b"APPENDLIMIT="))
        raise BadCommand(b"that extension is not available here")

    @property
    def utf8(self) -> bool:
        """Mailbox names are UTF-8 on the wire (RFC 6855 §3, RFC 9051 §5.1)."""
        return self.rev2 or b"UTF8=ACCEPT" in self.enabled

    @property
    def rev2(self) -> bool:
        """The client speaks IMAP4rev2: it is told nothing that RFC 9051 has not."""
        return REV2 in self.enabled

    def name(self, wire: bytes) -> str:
        """The mailbox that the client means."""
        return decode_name(wire, self.utf8)

    def new_name(self, wire: bytes) -> str:
        return new_name(wire, self.utf8)

    def quote(self, name: str) -> bytes:
        return quote_name(name, self.utf8)

    def require(self, capabilities: Iterable[bytes]) -> None:
        """BadCommand for what this backend does not have, or this listener does not show."""
        if not all(map(self.has, capabilities)):
            raise BadCommand(b"that extension is not available here")

    def enable(self, name: bytes) -> bytes:
        """From now on the client is told more; with a mailbox selected, from which modseq on."""
        implied = {b"CONDSTORE"} if name == b"QRESYNC" else set()  # RFC 7162 §3.2.3
        news = ({name} | implied) - self.enabled
        self.enabled |= news
        if self.mailbox is None:
            return b""
        self.mailbox.view.tell(self.enabled)
        if b"CONDSTORE" not in news:
            return b""
        return b"* OK [HIGHESTMODSEQ %d] from here on\r\n" % self.mailbox.view.known

    async def log_in(self, user: str, password: bytes) -> Ok:
        """LOGIN's and AUTHENTICATE's common half; AuthenticationFailed comes after the penalty."""
        try:
            await self.session.login(user, password)
        except AuthenticationFailed:
            self.bad_logins += 1
            await self.settings.penalty(self.bad_logins)
            raise
        self.state = State.AUTHENTICATED
        return Ok(b"logged in", b"CAPABILITY " + self.capabilities())

    async def deselect(self) -> None:
        selected, self.mailbox = self.mailbox, None
        if selected is not None:
            self.state = State.AUTHENTICATED
            await selected.mailbox.close()


@contextmanager
def creatable() -> Iterator[None]:
    """Where the target is missing, say that CREATE would help (RFC 3501 §6.3.11)."""
    try:
        yield
    except NoSuchMailbox as error:
        raise TryCreate from error


def uids(messages: list[Numbered]) -> list[int]:
    return [message.entry.uid for message in messages]
