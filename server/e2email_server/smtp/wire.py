"""The transport's side of a session: lines in, replies out, back-pressure both ways.

aiosmtpd's own reading and writing are replaced because of what they cost, measured: for each
command a timer, three log calls, a write and a drain (four fifths of a small mail's CPU time).
Here one read gives all the lines that came with it, and their replies leave in one write.
"""

import asyncio
import logging
from typing import Any

from aiosmtpd.smtp import SMTP

from .service import Service

log = logging.getLogger("e2email.smtp")
# aiosmtpd formats peers, addresses and command lines into it
logging.getLogger("mail.log").disabled = True

BUFFERED = 64 * 1024  # input of a busy session beyond this stays in the kernel


class Wire(SMTP):  # type: ignore[misc]  # aiosmtpd ships no types
    """aiosmtpd's protocol class with its own buffers. Knows no command."""

    def __init__(self, service: Service) -> None:
        super().__init__(None, hostname=service.hostname, loop=asyncio.get_running_loop())
        self._service = service
        self._limits = service.limits
        self._input = bytearray()
        self._output: list[bytes] = []
        self._wake: asyncio.Future[None] | None = None
        self._peer = ""
        self._eof = False
        self._closing = False  # no command is read any more
        self._unread = False  # reading is paused
        self._choked = False  # the peer does not read our replies
        self.task: asyncio.Task[None] | None = None
        self._since = self.loop.time()  # when the peer was last of use

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._input)} octets waiting)"

    async def _handle_client(self) -> None:
        raise NotImplementedError

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        peername = transport.get_extra_info("peername")
        self._peer = peername[0] if isinstance(peername, tuple) else "local"
        if self._service.stopping or not self._service.connections.enter(self._peer):
            log.warning("connection refused, too many (%s)", self._peer)
            transport.write(b"421 4.7.0 Too many connections\r\n")
            transport.close()
            return
        self._service.sessions.add(self)
        self.task = self.loop.create_task(self._handle_client())

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self.task is not None:
            self.task.cancel()
        self._leave()

    def _leave(self) -> None:
        if self in self._service.sessions:
            self._service.sessions.discard(self)
            self._service.connections.leave(self._peer)
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self._input += data
        if len(self._input) > BUFFERED and not self._unread and self.transport is not None:
            self.transport.pause_reading()
            self._unread = True
        self._rouse()

    def eof_received(self) -> bool:
        """A peer that has nothing more to say may still listen, except under TLS."""
        self._eof = True
        self._rouse()
        return self._tls() is None

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _rest(self) -> None:
        """Until the transport has something to tell."""
        if self._unread and len(self._input) <= BUFFERED and self.transport is not None:
            self.transport.resume_reading()
            self._unread = False
        self._wake = self.loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _say(self, reply: bytes) -> None:
        """Queue a reply line, without its CRLF."""
        self._output.append(reply)

    async def _flush(self) -> None:
        if self._output and self.transport is not None:
            self._output.append(b"")
            self.transport.write(b"\r\n".join(self._output))
        self._output.clear()
        while self._choked and self.transport is not None:
            await self._rest()

    async def _line(self) -> bytes | None:
        """The next line with its LF, replies sent before waiting for it; None: there is no more.

        A line too long to be a command ends the session: nothing that follows it can be trusted
        to be a command.
        """
        while (end := self._input.find(b"\n", 0, self._limits.command)) < 0:
            if len(self._input) >= self._limits.command:
                self._input.clear()
                self._close(b"500 5.5.6 Line too long")
                return None
            await self._flush()
            if self._input.find(b"\n") < 0:
                if self._eof or self._closing:
                    return None
                await self._rest()
        line = bytes(self._input[: end + 1])
        del self._input[: end + 1]
        return line

    def _close(self, reply: bytes) -> None:
        """Answer this and end the session."""
        if not self._closing:
            self._output.append(reply)
            self._closing = True

    def cut(self, reply: bytes) -> None:
        """Say one last thing and close at once."""
        if self.transport is not None:
            self.transport.write(reply + b"\r\n")
            self.transport.close()
        if self.task is not None:
            self.task.cancel()

    def _tls(self) -> tuple[str, str] | None:
        """Protocol version and cipher, None in clear."""
        cipher = self.transport.get_extra_info("cipher") if self.transport else None
        return (cipher[1], cipher[0]) if cipher else None

    async def _start_tls(self) -> None:
        """Handshake; the session ends where it fails."""
        try:
            self.transport = await self.loop.start_tls(
                self.transport,
                self,
                self._service.tls,
                server_side=True,
                ssl_handshake_timeout=self._limits.handshake,
            )
        except OSError as error:  # ssl.SSLError is one
            log.info("no TLS: %s", type(error).__name__)
            self.transport, self._closing = None, True
