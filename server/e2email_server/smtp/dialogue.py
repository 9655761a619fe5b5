"""The command loop and the commands without mail. What is forbidden when stands in one table."""

import enum
import logging
import re

from e2email_server.log import describe

from .delivery import Refusal
from .service import Service
from .transaction import BadCommand, Transaction
from .wire import Wire

log = logging.getLogger("e2email.smtp")

HOST = re.compile(r"[A-Za-z0-9._:\[\]\u0080-\ud7ff-]{1,255}")  # lenient: a claim, and sealed
FOREIGN = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})  # a web page knocks


class State(enum.Enum):
    """Where a session stands."""

    CONNECTED = enum.auto()
    GREETED = enum.auto()
    MAIL = enum.auto()


ANY = frozenset({"EHLO", "HELO", "NOOP", "RSET", "QUIT", "HELP", "VRFY"})
ALLOWED: dict[State, frozenset[str]] = {
    State.CONNECTED: ANY,
    State.GREETED: ANY | {"MAIL", "STARTTLS"},
    State.MAIL: ANY | {"RCPT", "DATA"},
}
"""Known elsewhere but absent here is answered 503; absent everywhere (AUTH, BDAT, EXPN) 502."""
KNOWN = frozenset().union(*ALLOWED.values())


class Dialogue(Wire):
    """Commands are answered in order; replies leave when the input read so far is used up."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._state = State.CONNECTED
        self._helo = ""
        self._esmtp = False
        self._transaction: Transaction | None = None
        self._strikes = self._junk = 0

    async def _handle_client(self) -> None:
        try:
            self._say(f"220 {self.hostname} ESMTP e2email".encode())
            while not self._closing and (line := await self._line()) is not None:
                self._since = self.loop.time()
                await self._answer(line)
                if self._service.stopping:
                    self.retire()
            await self._flush()
        except OSError as error:
            log.debug("connection broke: %s", type(error).__name__)
        finally:
            self._leave()

    async def _answer(self, line: bytes) -> None:
        verb, _, argument = line[:-2].partition(b" ")
        command = verb.decode("latin-1").upper()
        try:
            if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
                raise BadCommand(b"500 5.5.2 A line ends with CR LF and has none within")
            if command not in ALLOWED[self._state]:
                self._out_of_place(command)
            else:
                text = argument.decode("utf-8", "surrogateescape").strip(" ")
                await self._smtp_methods[command](text)
        except BadCommand as bad:
            self._strike(bad.reply)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours, told as 451 and in the log
            log.error("%s failed: %s", command, describe(error))
            self._forget()
            self._say(Refusal.FAILED.reply)

    def _out_of_place(self, command: str) -> None:
        if command in FOREIGN:
            self._close(b"521 5.5.1 This is a mail server")
        elif command in KNOWN:
            raise BadCommand(b"503 5.5.1 Not now")
        else:
            raise BadCommand(b"502 5.5.1 Command not implemented")

    def _strike(self, reply: bytes) -> None:
        self._strikes += 1
        self._say(reply)
        if self._strikes >= self._limits.strikes:
            self._end(b"421 4.7.0 Too many errors", "bad commands")

    def _waste(self) -> None:
        """Count a command that brings no mail nearer."""
        self._junk += 1
        if self._junk > self._limits.junk:
            self._end(b"421 4.7.0 Too many commands without mail", "commands without mail")

    def _end(self, reply: bytes, cause: str) -> None:
        if not self._closing:
            # the operator may want to block who does this; no mail was taken in this breath
            log.warning("session ended, too many %s (%s)", cause, self._peer)
        self._close(reply)

    def _forget(self) -> None:
        self._transaction = None
        if self._state is State.MAIL:
            self._state = State.GREETED

    def retire(self) -> None:
        """The server stops: end now, or when the transaction is over."""
        if self._transaction is None:
            self._close(b"421 4.3.2 Shutting down")
            self._rouse()

    # --- commands -----------------------------------------------------------------------------

    async def smtp_EHLO(self, hostname: str) -> None:
        self._greet(hostname, esmtp=True)
        offers = [self.hostname, "PIPELINING", f"SIZE {self._limits.message}", "8BITMIME"]
        offers += ["ENHANCEDSTATUSCODES", "SMTPUTF8"]
        if self._service.tls is not None and self._tls() is None:
            offers.append("STARTTLS")
        for offer in offers:
            self._say(f"250-{offer}".encode())
        self._say(b"250 HELP")

    async def smtp_HELO(self, hostname: str) -> None:
        self._greet(hostname, esmtp=False)
        self._say(f"250 {self.hostname}".encode())

    def _greet(self, hostname: str, *, esmtp: bool) -> None:
        if not HOST.fullmatch(hostname):
            raise BadCommand(b"501 5.5.4 Syntax: EHLO hostname")
        self._forget()
        self._waste()
        self._helo, self._esmtp, self._state = hostname, esmtp, State.GREETED

    async def smtp_NOOP(self, argument: str) -> None:
        self._say(b"250 2.0.0 OK")
        self._waste()

    async def smtp_RSET(self, argument: str) -> None:
        if argument:
            raise BadCommand(b"501 5.5.4 Syntax: RSET")
        self._forget()
        self._say(b"250 2.0.0 OK")
        self._waste()

    async def smtp_VRFY(self, argument: str) -> None:
        self._say(b"252 2.5.0 Send some mail, it will be tried")
        self._waste()

    async def smtp_HELP(self, argument: str) -> None:
        self._say(b"214 2.0.0 RFC 5321; no relaying, no submission on this port")
        self._waste()

    async def smtp_QUIT(self, argument: str) -> None:
        self._close(b"221 2.0.0 Bye")

    async def smtp_STARTTLS(self, argument: str) -> None:
        if argument:
            raise BadCommand(b"501 5.5.4 Syntax: STARTTLS")
        if self._service.tls is None or self._tls() is not None:
            raise BadCommand(b"503 5.5.1 TLS is not to be had now")
        self._say(b"220 2.0.0 Go ahead")
        await self._flush()
        # RFC 3207 §4.2: what was said before TLS, and what came with it in clear, never was
        self._input.clear()
        self._state, self._helo = State.CONNECTED, ""
        await self._start_tls()
