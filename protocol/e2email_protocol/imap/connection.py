"""The IMAP server engine: octets in, replies out, no input or output of its own.

    connection.receive_data(octets)
    async for octets in connection.replies(): ...      # ends when it needs more

The only awaits inside are those of the session, of the penalty that Settings hands in, and of
fair.py, which lets others have their turn.
serve.py is the driver; a test can be one, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from . import limits
from .context import Ask, Context, Ok, Settings, Steps
from .cursor import Cursor
from .deflate import BadDeflate
from .errors import AuthenticationFailed, Away, BadCommand, NoSuchMailbox, Refused, Torn
from .head import Head, parse_head, tag_of, verb_of
from .pipe import Pipe
from .reader import Broken, Continue, Fault, Reader, Whole
from .session import Session
from .state import HOLDS_NUMBERS, State

_FAULTS = {
    Fault.LINE: b"BAD line too long",
    Fault.LITERAL: b"BAD literal too long",
    Fault.MESSAGE: b"NO [TOOBIG] the message is too big",
    Fault.MESSAGES: b"NO [LIMIT] too much for one command",
    Fault.BUDGET: b"NO [UNAVAILABLE] too much is being stored just now, try again later",
    Fault.COMMAND: b"BAD command too long",
}

Report = Callable[[BaseException], None]


class Connection:
    """One client. `report` gets the cause of whatever the peer is only told blandly."""

    def __init__(self, session: Session, settings: Settings, *, tls: bool = False, report: Report):
        self._context = Context(session, settings, tls)
        self._reader = Reader(budget=settings.budget)
        self._report = report
        self._pipe = Pipe(self._reader)
        self.received = 0  # commands that came whole
        self._greeted = False
        self._asking: tuple[Steps, Ask] | None = None  # a command waits for a line
        self._verb = b""
        self._bad_commands = 0
        self.closing = False  # after these replies the connection ends

    # what the driver asks

    @property
    def backlog(self) -> int:
        return self._pipe.backlog

    @property
    def unfinished(self) -> int | None:
        return self._reader.unfinished

    @property
    def wants_tls(self) -> bool:
        return self._context.upgrade

    @property
    def authenticated(self) -> bool:
        return self._context.state in (State.AUTHENTICATED, State.SELECTED)

    @property
    def watching(self) -> bool:
        """In IDLE with a mailbox: run changed() and then replies() while no octets come."""
        return self._idling and self._context.mailbox is not None

    @property
    def _idling(self) -> bool:
        return self._asking is not None and self._asking[1].idle

    def receive_data(self, data: bytes) -> None:
        self._pipe.receive(data)

    def secured(self) -> None:
        """TLS begins with the next octet; what came before it is forgotten."""
        self._context.upgrade = False
        self._context.tls = True
        self._reader.clear()

    async def changed(self) -> None:
        """Return when replies() may have something to say unasked."""
        await self._context.selected.mailbox.wait()

    def heartbeat(self) -> bytes:
        """What may be sent while a command takes long; nothing inside a literal."""
        return self._pipe.pack(b"" if self._context.in_literal else b"* OK still working\r\n")

    def farewell(self, reason: bytes) -> bytes:
        """The last line, when it is the driver that ends the connection."""
        last = b"" if self._context.in_literal else b"* BYE " + reason + b"\r\n"
        return self._pipe.pack(last)

    async def close(self) -> None:
        """The connection is gone: let go of session and mailbox."""
        self.closing = True
        self._reader.clear()
        asking, self._asking = self._asking, None
        if asking is not None:
            await asking[0].aclose()
        try:
            await self._context.deselect()
        finally:
            await self._context.session.close()

    # replies

    async def replies(self) -> AsyncGenerator[bytes, None]:
        """Everything that can be said now, in pieces of about 64 KiB; b"": let others work, too."""
        async with aclosing(self._replies()) as replies:
            async for octets in replies:
                yield self._pipe.pack(octets)

    async def _replies(self) -> AsyncGenerator[bytes, None]:
        if not self._greeted:
            self._greeted = True
            yield b"* OK [CAPABILITY " + self._context.capabilities() + b"] ready\r\n"
        while not self.closing and not self.wants_tls:
            steps = self._answer() if self._asking is not None else self._next_command()
            if steps is None:
                try:
                    more = self._pipe.more()
                except BadDeflate:
                    yield self._bye(b"that is no DEFLATE")
                    return
                if not more:
                    break
                yield b""
                continue
            async with aclosing(steps):
                async for octets in steps:
                    if octets:
                        yield octets
            if self._context.compressed:
                self._pipe.compress()
        if self._idling and not self.closing:
            async for octets in self._news(expunges=True):
                yield octets

    def _next_command(self) -> AsyncGenerator[bytes, None] | None:
        match self._reader.next():
            case None:
                return None
            case Continue():
                return _say(b"+ OK\r\n")
            case Broken() as broken:
                return self._broken(broken)
            case Whole(parts):
                self.received += 1
                return self._command(parts)

    def _answer(self) -> AsyncGenerator[bytes, None] | None:
        """The line that a command asked for."""
        line = self._reader.line()
        if line is None:
            return None
        if isinstance(line, Broken):
            return self._broken(line)
        assert self._asking is not None
        steps, self._asking = self._asking[0], None
        return self._door(self._steps(steps, line))

    async def _broken(self, broken: Broken) -> AsyncGenerator[bytes, None]:
        tag = tag_of(broken.head)
        if tag is not None:
            yield tag + b" " + _FAULTS[broken.fault] + b"\r\n"
        else:
            yield b"* BAD what is this\r\n"
        if broken.fatal:
            yield self._bye(b"too much")
        else:
            yield self._count_bad()

    async def _command(self, parts: list[bytes]) -> AsyncGenerator[bytes, None]:
        head = parse_head(parts[0])
        if head is None:
            yield (tag_of(parts[0]) or b"*") + b" BAD tag and command expected\r\n"
            yield self._count_bad()
            return
        self._context.tag = head.tag
        try:
            async with aclosing(self._door(self._begin(head, parts))) as replies:
                async for octets in replies:
                    yield octets
        finally:
            self._reader.settle()

    async def _begin(self, head: Head, parts: list[bytes]) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._steps(self._parse(head, parts), None)) as replies:
            async for octets in replies:
                yield octets

    def _parse(self, head: Head, parts: list[bytes]) -> Steps:
        verb, at, parse = verb_of(head, parts[0], self._context.state)
        if any(b"\0" in text for text in parts[::2]):
            raise BadCommand(b"NUL")
        self._verb = verb
        return parse(Cursor(parts, at)).run(self._context)

    async def _door(self, running: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The one door for errors: whatever a command raises becomes its last reply."""
        tag = self._context.tag
        try:
            async with aclosing(running):
                async for octets in running:
                    yield octets
        except BadCommand as error:
            yield tag + b" BAD " + error.text + b"\r\n"
            yield self._count_bad()
        except AuthenticationFailed as error:
            self._report(error)
            yield tag + b" NO [" + error.code + b"] " + error.text + b"\r\n"
            if self._context.bad_logins >= limits.BAD_LOGINS:
                yield self._bye(b"too many failed logins")
        except Away as error:
            self._report(error)
            yield b"* OK [ALERT] " + error.text + b"\r\n"
            yield self._bye(b"[" + error.code + b"] " + error.text)
        except Refused as error:
            self._report(error)
            async for octets in self._news(self._verb not in HOLDS_NUMBERS):
                yield octets
            code = b"[" + error.code + b"] " if error.code else b""
            yield tag + b" NO " + code + error.text + b"\r\n"
        except Torn as error:
            self._report(error)
            self.closing = True
        except Exception as error:  # noqa: BLE001 - the peer learns nothing, the operator all
            self._report(error)
            yield tag + b" NO [SERVERBUG] internal error\r\n"

    async def _steps(self, steps: Steps, line: bytes | None) -> AsyncGenerator[bytes, None]:
        """Run a command to its Ok, or to its next question."""
        context = self._context
        try:
            step = await steps.asend(line)
            while isinstance(step, bytes):
                yield step
                step = await anext(steps)
            if isinstance(step, Ask):
                self._asking = (steps, step)
                yield b"+ " + step.text + b"\r\n"
                return
        finally:
            if self._asking is None or self._asking[0] is not steps:
                await steps.aclose()
        async for octets in self._news(self._verb not in HOLDS_NUMBERS):
            yield octets
        if not self.closing:
            yield context.tag + b" OK " + self._code(step) + step.text + b"\r\n"
        self._after()

    def _code(self, ok: Ok) -> bytes:
        context = self._context
        if ok.modseq and b"QRESYNC" in context.enabled and context.mailbox is not None:
            return b"[HIGHESTMODSEQ %d] " % context.mailbox.view.known
        return b"[" + ok.code + b"] " if ok.code else b""

    def _after(self) -> None:
        """A command succeeded."""
        self._bad_commands = 0
        if self._context.state is State.LOGOUT:
            self.closing = True
        if self.authenticated and self._reader.limits is limits.BEFORE_LOGIN:
            self._reader.limits = limits.after_login(self._context.settings.message_limit)

    async def _news(self, expunges: bool) -> AsyncGenerator[bytes, None]:
        """What happened in the mailbox meanwhile (RFC 3501 §5.2)."""
        selected = self._context.mailbox
        if selected is None:
            return
        try:
            changes = await selected.mailbox.changes(selected.view.since)
        except NoSuchMailbox:
            yield self._bye(b"the mailbox was deleted")
            return
        except Exception as error:  # noqa: BLE001 - news can wait, the command's answer can't
            self._report(error)
            return
        selected.view.learn(changes)
        octets = b"".join(selected.view.news(expunges))
        if changes.now is not None:
            selected.view.share(changes.now)
        if octets:
            yield octets

    def _count_bad(self) -> bytes:
        self._bad_commands += 1
        many = limits.BAD_COMMANDS if self.authenticated else limits.BAD_COMMANDS_BEFORE_LOGIN
        return self._bye(b"too many bad commands") if self._bad_commands >= many else b""

    def _bye(self, reason: bytes) -> bytes:
        self.closing = True
        return b"* BYE " + reason + b"\r\n"


async def _say(octets: bytes) -> AsyncGenerator[bytes, None]:
    yield octets
