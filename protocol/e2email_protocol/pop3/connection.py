"""The POP3 server engine: octets in, replies out, no input or output of its own.

    connection.receive_data(octets)
    async for octets in connection.replies(): ...      # ends when it needs more

The only awaits inside are those of the session (and of the penalty that Settings hands in).
serve.py is the driver; a test can be one, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import aclosing

from . import limits
from .commands import RUN
from .context import Context, Replies, Settings
from .errors import AuthenticationFailed, BadCommand, Refused, Torn
from .lines import Lines, LineTooLong
from .session import Session
from .state import ALLOWED, State

# command = 3*4VCHAR *(SP parameter), no NUL or CR inside (RFC 1939 §3, RFC 2449 §4)
_COMMAND = re.compile(rb"([A-Za-z0-9]{3,4})(?: ([^\0\r]*))?")

Report = Callable[[BaseException], None]


class Connection:
    """One client. `report` gets the cause of whatever the peer is only told blandly."""

    def __init__(self, session: Session, settings: Settings, *, tls: bool = False, report: Report):
        self._context = Context(session, settings, tls)
        self._lines = Lines()
        self._report = report
        self._greeted = False
        self._bad_commands = 0
        self.closing = False  # after these replies the connection ends
        self.watching = False  # POP3 says nothing unasked

    # what the driver asks

    @property
    def backlog(self) -> int:
        return self._lines.backlog

    @property
    def unfinished(self) -> None:
        """Nothing longer than a line is sent to POP3."""

    @property
    def received(self) -> int:
        return 0

    @property
    def wants_tls(self) -> bool:
        return self._context.upgrade

    @property
    def authenticated(self) -> bool:
        return self._context.opened is not None

    def receive_data(self, data: bytes) -> None:
        self._lines.feed(data)

    def secured(self) -> None:
        """TLS begins with the next octet; what came before it is forgotten."""
        self._context.upgrade = False
        self._context.tls = True
        self._context.state = State.AUTHORIZATION
        self._lines.clear()

    async def changed(self) -> None:
        """Never asked for: see `watching`."""

    def heartbeat(self) -> bytes:
        """POP3 has no word for it."""
        return b""

    def farewell(self, reason: bytes) -> bytes:
        """RFC 1939 §3: a session that the server ends is closed without a response."""
        return b""

    async def close(self) -> None:
        """The connection is gone: let go of the mailbox. Without QUIT nothing is removed."""
        self.closing = True
        await self._context.let_go()

    # replies

    async def replies(self) -> Replies:
        """Everything that can be said now, in pieces of about 64 KiB."""
        if not self._greeted:
            self._greeted = True
            yield b"+OK ready\r\n"
        while not self.closing and not self.wants_tls:
            try:
                line = self._lines.next()
            except LineTooLong:
                self.closing = True
                yield b"-ERR line too long\r\n"
                return
            if line is None:
                return
            async with aclosing(self._door(line)) as replies:
                async for octets in replies:
                    yield octets

    async def _door(self, line: bytes) -> Replies:
        """The one door for errors: whatever a command raises becomes its only reply."""
        try:
            async with aclosing(self._begin(line)) as replies:
                async for octets in replies:
                    yield octets
            self._bad_commands = 0
        except BadCommand as error:
            yield self._bad(error.text)
        except Refused as error:
            self._report(error)
            if isinstance(error, AuthenticationFailed):
                self.closing = self._context.bad_logins >= limits.BAD_LOGINS
            code = b"[" + error.code + b"] " if error.code else b""
            yield b"-ERR " + code + error.text + b"\r\n"
        except Torn as error:
            self._report(error)
            self.closing = True
        except Exception as error:  # noqa: BLE001 - the peer learns nothing, the operator all
            self._report(error)
            yield b"-ERR [SYS/TEMP] internal error\r\n"
        if self._context.state is State.UPDATE:
            self.closing = True

    def _begin(self, line: bytes) -> Replies:
        context = self._context
        asked, context.asked = context.asked, None
        if asked is not None:
            return asked(context, line)
        command = _COMMAND.fullmatch(line)
        verb = command[1].upper() if command else b""
        if command is None or verb not in RUN:
            raise BadCommand(b"unknown command")
        if verb not in ALLOWED[context.state]:
            raise BadCommand(b"not now: " + context.state.value.encode())
        return RUN[verb](context, command[2] or b"")

    def _bad(self, text: bytes) -> bytes:
        """One line for one command, even where it is the last."""
        self._bad_commands += 1
        many = limits.BAD_COMMANDS if self.authenticated else limits.BAD_COMMANDS_BEFORE_LOGIN
        self.closing = self._bad_commands >= many
        return b"-ERR " + (b"too many bad commands" if self.closing else text) + b"\r\n"
