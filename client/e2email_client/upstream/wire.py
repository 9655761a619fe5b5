"""One IMAP connection to the server: aioimaplib's connection under our own reader and commands.

aioimaplib opens the connection and keeps its state and tags. Its reader recurses per line, is
quadratic in replies, deletes `* ` inside lines and writes mail into debug logs, so everything that
is received goes to protocol/…/imap/response.py instead, and every command is sent by `run`, which
is handed whole octets: nothing is formatted, quoted or logged by the library.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aioimaplib import aioimaplib

from e2email_client.failure import BadServer, NotUnderstood, Offline, Refused
from e2email_protocol.imap.response import ResponseReader
from e2email_protocol.imap.response_types import (
    BadResponse,
    Code,
    Condition,
    Continuation,
    Response,
    Tagged,
)

# A command that hears nothing for so long is given up; the server sends a sign of life every 15 s.
SILENCE = 60.0
CONNECT = 20.0
# What one command may be told before its end. A mailbox of a million messages is listed by as many
# replies of some 130 octets, and changes meanwhile; the largest mail takes 70 MiB in armor.
MOST_REPLIES = 1_500_000
MOST_OCTETS = 512 * 1024 * 1024

Listener = Callable[[Response], None]


@dataclass(frozen=True, slots=True)
class Literal:
    """Octets of a command that are announced by their length (RFC 7888: not waited for)."""

    octets: bytes = field(repr=False)


@dataclass(slots=True)
class _Running:
    done: asyncio.Future[Tagged]
    untagged: list[Response]
    octets: int = 0  # received since it was sent


@dataclass(frozen=True, slots=True)
class Result:
    """A command that ended in OK: its response code and what came before it."""

    code: Code | None
    untagged: list[Response] = field(repr=False)


class _Protocol(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc]  # the library has no types
    """Feeds what is received to our reader."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> None:
        super().__init__(loop, self._gone)
        self._reader = ResponseReader()
        self.listeners = [listener]
        self._running: dict[bytes, _Running] = {}
        self._going_on: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.heard = loop.time()

    def data_received(self, d: bytes) -> None:
        self.heard = self.loop.time()
        if self._failure is not None:
            return
        for running in self._running.values():
            running.octets += len(d)
        try:
            self._reader.feed(d)
            for response in self._reader:
                self._dispatch(response)
                if self._failure is not None:
                    return
        except BadResponse:
            self.fail(BadServer("The server's IMAP replies make no sense."))
        if any(running.octets > MOST_OCTETS for running in self._running.values()):
            self._flooded()

    def _dispatch(self, response: Response) -> None:
        if isinstance(response, Tagged):
            running = self._running.pop(response.tag, None)
            if running is not None and not running.done.done():
                running.done.set_result(response)
        elif isinstance(response, Continuation):
            if self._going_on is not None and not self._going_on.done():
                self._going_on.set_result(None)
        elif not self.greeted.done() and isinstance(response, Condition):
            if response.status == b"OK":
                self.greeted.set_result(None)
            else:
                self.fail(Offline("The server takes no connections now."))
        else:
            for running in self._running.values():
                running.untagged.append(response)
            if any(len(one.untagged) > MOST_REPLIES for one in self._running.values()):
                self._flooded()
            for listener in self.listeners:
                listener(response)

    def _flooded(self) -> None:
        self.fail(BadServer("The server answers one command with more than any mailbox holds."))

    def _gone(self, _: Exception | None) -> None:
        self.fail(Offline("The server closed the connection."))

    def fail(self, failure: Exception) -> None:
        """Everybody who waits is told; nothing is sent any more."""
        self._failure = self._failure or failure
        for running in self._running.values():
            if not running.done.done():
                running.done.set_exception(self._failure)
                running.done.exception()  # nobody may be waiting: that is no fault to report
        self._running.clear()
        for waiting in (self._going_on, self.greeted):
            if waiting is not None and not waiting.done():
                waiting.set_exception(self._failure)
                waiting.exception()
        if self.transport is not None:
            self.transport.close()

    async def run(self, *parts: bytes | Literal) -> Result:
        """Send one command and wait for its end. Refused, BadServer, Offline.

        Where somebody gave up waiting for the one before, that ends first: what is said until then
        is the answer to it.
        """
        while self._running:
            await self._await(next(iter(self._running.values())))
        tagged, untagged = await self._await(self.start(*parts))
        if tagged.status == b"OK":
            return Result(tagged.code, untagged)
        if tagged.status == b"NO":
            code = tagged.code.name.decode("ascii", "replace") if tagged.code else ""
            raise Refused(code, "The server refused.")
        raise NotUnderstood("The server does not understand this program.")

    def start(self, *parts: bytes | Literal) -> _Running:
        if self._failure is not None:
            raise self._failure
        tag = self.new_tag().encode("ascii")
        running = _Running(self.loop.create_future(), [])
        self._running[tag] = running
        octets = [tag]
        for part in parts:
            octets.append(b" ")
            if isinstance(part, Literal):
                octets += [b"{%d+}\r\n" % len(part.octets), part.octets]
            else:
                octets.append(part)
        octets.append(b"\r\n")
        self.transport.writelines(octets)
        return running

    async def _await(self, running: _Running) -> tuple[Tagged, list[Response]]:
        """As long as something is heard the command may take its time."""
        self.heard = self.loop.time()
        unsent = self.transport.get_write_buffer_size()
        while not running.done.done():
            left = self.heard + SILENCE - self.loop.time()
            if left <= 0 and self.transport.get_write_buffer_size() < unsent:
                # a large literal on a slow line: it is the server that waits
                left = SILENCE
                self.heard = self.loop.time()
            if left <= 0:
                self.fail(Offline("The server does not answer."))
                break
            unsent = self.transport.get_write_buffer_size()
            await asyncio.wait({running.done}, timeout=left)
        return await running.done, running.untagged

    async def idle_begin(self) -> _Running:
        """IDLE (RFC 2177), accepted by the server."""
        self._going_on = self.loop.create_future()
        running = self.start(b"IDLE")
        await asyncio.wait(
            {self._going_on, running.done}, timeout=SILENCE, return_when=asyncio.FIRST_COMPLETED
        )
        if not self._going_on.done():
            self.fail(Offline("The server does not answer."))
        await self._going_on
        return running

    async def idle_end(self, running: _Running) -> None:
        self.transport.write(b"DONE\r\n")
        await self._await(running)


class Wire(aioimaplib.IMAP4_SSL):  # type: ignore[misc]  # the library has no types
    """A connection under TLS to `host`:`port`, whose certificate must name `name`."""

    def __init__(
        self, host: str, port: int, name: str, context: ssl.SSLContext, listener: Listener
    ) -> None:
        self._name = name
        self._listener = listener
        super().__init__(host, port, timeout=CONNECT, ssl_context=context)

    def create_client(
        self,
        host: str,
        port: int,
        loop: asyncio.AbstractEventLoop | None,
        conn_lost_cb: Callable[[Exception | None], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """As the library does, but the name to verify is not the address to dial."""
        running = asyncio.get_running_loop()
        self.protocol = _Protocol(running, self._listener)
        connecting = running.create_connection(
            lambda: self.protocol, host, port, ssl=ssl_context, server_hostname=self._name
        )
        self._client_task = running.create_task(connecting)

    def listen(self, listener: Listener) -> None:
        """One more, for everything that comes untagged."""
        self.protocol.listeners.append(listener)

    async def greet(self) -> None:
        """Connected and greeted. Offline, BadServer."""
        try:
            async with asyncio.timeout(CONNECT):
                await self._client_task
                await self.protocol.greeted
        except ssl.SSLCertVerificationError as fault:
            raise BadServer(f"The server's certificate: {fault.verify_message}.") from fault
        except (OSError, TimeoutError) as fault:
            raise Offline("The server is not reachable.") from fault

    async def run(self, *parts: bytes | Literal) -> Result:
        result: Result = await self.protocol.run(*parts)
        return result

    async def idle_begin(self) -> Any:
        return await self.protocol.idle_begin()

    async def idle_end(self, running: Any) -> None:
        await self.protocol.idle_end(running)

    def hang_up(self) -> None:
        self._client_task.cancel()
        self.protocol.fail(Offline("The connection was closed."))
