"""The driver of every server engine, and the only module of protocol that knows asyncio.

It knows sockets, TLS, deadlines, back pressure and how many may come in; of the protocol
only what engine.Engine says.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from .engine import Engine
from .tls import Tls, TlsError

HIGH_WATER = 256 * 1024  # unsent octets above which the engine is asked no more
LOW_WATER = 64 * 1024
READ_AHEAD = 64 * 1024  # pipelined octets that wait while a command runs
FAIR = 16 * 1024  # after a piece of this size the other connections get their turn
SLICE = 0.02  # and so they do after these seconds, however little was said: commands may be dear


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and counts of one listener."""

    connections: int = 2000
    per_address: int = 50  # an IPv6 /64 is one address
    login: float = 60.0  # from the first octet to a login; trickling does not extend it
    transfer: float = 10 * 60.0  # for a message to come in, and a second for each `rate` octets
    rate: int = 16 * 1024  # as SMTP has it: 50 MiB may take an hour
    idle: float = 30 * 60.0  # RFC 3501 §5.4: at least 30 minutes
    stall: float = 5 * 60.0  # a peer that takes nothing of what we write
    linger: float = 10.0  # for the last octets to leave
    heartbeat: float = 15.0  # a command that says nothing for so long gets a sign of life
    tick: float = 1.0  # how often deadlines are looked at


@dataclass(frozen=True, slots=True)
class Peer:
    host: str
    port: int
    tls: bool  # implicit TLS


@dataclass(frozen=True, slots=True)
class Face:
    """What a listener speaks. `tls` is asked at every handshake, so certificates may change."""

    engine: Callable[[Peer], Engine]
    refusal: bytes  # the one line for those who find it full
    report: Callable[[BaseException], None]
    tls: Callable[[], ssl.SSLContext] | None = None
    implicit: bool = False  # TLS from the first octet; else STARTTLS, if the engine wants it


async def growing_delay(failures: int) -> None:
    """For the engine's penalty: 1, 2, 4, at most 8 seconds before a bad login is answered."""
    await asyncio.sleep(min(2 ** (failures - 1), 8))


async def listen(face: Face, host: str, port: int, limits: Limits | None = None) -> Listener:
    """Accept on host:port (0: any free one). OSError where that is not to be had."""
    listener = Listener(face, limits or Limits())
    await listener.start(host, port)
    return listener


class Listener:
    """One listening socket, its connections and their deadlines."""

    def __init__(self, face: Face, limits: Limits):
        self.face = face
        self.limits = limits
        self._wires: dict[Wire, None] = {}  # the oldest first
        self._addresses: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Wire(self), host, port, backlog=1024)
        self._sweep()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        return len(self._wires)

    def admit(self, wire: Wire, host: str) -> bool:
        """Count a newcomer; False: it is to be refused."""
        self._wires[wire] = None
        self._empty.clear()
        self._addresses[host] += 1
        if self._addresses[host] > self.limits.per_address:
            return False
        return len(self._wires) <= self.limits.connections or self._make_room(wire)

    def _make_room(self, newcomer: Wire) -> bool:
        """Who has not logged in goes, the oldest first: a crowd that waits locks nobody out."""
        for wire in self._wires:
            if wire.expendable and wire is not newcomer:
                wire.evict()
                return True
        return False

    @property
    def overrun(self) -> bool:
        """So full that even a refusal is too much work."""
        return len(self._wires) > self.limits.connections + 100

    def dismiss(self, unwanted: Callable[[Engine], bool], reason: bytes) -> None:
        """Hang up on those connections, whatever they are doing."""
        for wire in list(self._wires):
            wire.dismiss(unwanted, reason)

    def forget(self, wire: Wire, host: str) -> None:
        self._wires.pop(wire, None)
        if not self._wires:
            self._empty.set()
        self._addresses[host] -= 1
        if not self._addresses[host]:
            del self._addresses[host]

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for wire in list(self._wires):
            try:
                wire.check(now)
            except TlsError:
                wire.abort()
        self._sweeper = loop.call_later(self.limits.tick, self._sweep)

    async def close(self, grace: float = 10.0) -> None:
        """Accept no more; let running commands end, for `grace` seconds; hang up."""
        if self._server is not None:
            self._server.close()
        tasks = [wire.drain() for wire in list(self._wires)]
        running = [task for task in tasks if task is not None]
        if running:
            await asyncio.wait(running, timeout=grace)
        for wire in list(self._wires):
            wire.abort()
        if running:
            await asyncio.wait(running, timeout=grace)
        await self._empty.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()


def address_of(host: str) -> str:
    """Whom the per-address cap counts: an IPv6 customer has a /64."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


class Wire(asyncio.Protocol):
    """One connection: a transport, perhaps TLS, an engine, and the task that joins them."""

    def __init__(self, listener: Listener):
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._engine: Engine | None = None
        self._tls: Tls | None = None
        self._task: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._parked = False  # waiting for the peer, not for the backend
        self._ended = False  # the peer says that it sends no more
        self._gone = False  # so does its kernel
        self._draining = False
        self._finishing = False
        self._evicted = False
        self._reading = True
        self._closed_at: float | None = None
        self._received = 0  # commands, when last looked
        self._written = 0
        self._flushed = 0
        self._began = self._heard = self._said = self._moved = self._sending = self._loop.time()
        self._turn = self._began  # when the others last had theirs

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        host, port = (transport.get_extra_info("peername") or ("0.0.0.0", 0))[:2]  # noqa: S104
        face = self._listener.face
        self._peer = Peer(host, port, face.implicit)
        self._address = address_of(host)
        admitted = self._listener.admit(self, self._address)
        if not admitted and self._listener.overrun:
            transport.abort()
            return
        if face.implicit:
            self._start_tls()
        self._task = self._loop.create_task(self._run(admitted))

    def data_received(self, data: bytes) -> None:
        if self._closed_at is not None:
            return  # read and dropped, so that the kernel does not reset our last words
        self._heard = self._loop.time()
        if self._tls is not None:
            try:
                data = self._tls.receive(data)
            except TlsError:
                self._flush()
                self._hang_up()
                return
            self._flush()
            self._ended = self._ended or self._tls.ended
        if self._engine is not None and data:
            self._engine.receive_data(data)
            if not self._parked and self._engine.backlog > READ_AHEAD and self._reading:
                self._reading = False
                self._transport.pause_reading()
        self._wake.set()

    def eof_received(self) -> bool:
        self._ended = self._gone = True
        self._wake.set()
        return self._closed_at is None  # True: what was asked is still answered

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.forget(self, self._address)
        self._closed_at = self._closed_at or self._loop.time()
        self._cancel()

    # the conversation

    async def _run(self, admitted: bool) -> None:
        try:
            await self._converse(admitted)
        except TlsError:
            pass  # the peer's doing; nobody is left to tell
        except Exception as error:  # noqa: BLE001 - one connection's fault is not the others'
            self._listener.face.report(error)
        finally:
            self._finishing = True
            self._hang_up()
            if self._watcher is not None:
                self._watcher.cancel()
            await self._close_engine()

    async def _close_engine(self) -> None:
        if self._engine is None:
            return
        try:
            await self._engine.close()
        except Exception as error:  # noqa: BLE001 - as above
            self._listener.face.report(error)

    async def _converse(self, admitted: bool) -> None:
        if not admitted:
            await self._handshake()
            await self._write(self._listener.face.refusal)
            return
        # before the handshake ends: octets may come together with its last ones
        engine = self._engine = self._listener.face.engine(self._peer)
        await self._handshake()
        while self._tls is None or self._tls.ready:
            self._wake.clear()
            ended = self._ended
            async with aclosing(engine.replies()) as replies:
                async for octets in replies:
                    await self._write(octets)
            if engine.wants_tls:
                self._start_tls()
                engine.secured()
                await self._handshake()
            elif engine.closing or ended:
                return
            elif self._draining:
                await self._write(engine.farewell(b"shutting down"))
                return
            else:
                await self._park(engine)

    async def _park(self, engine: Engine) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if engine.watching:
            self._watch(engine)
        self._parked = True
        try:
            await self._wake.wait()
        finally:
            self._parked = False
            self._said = self._turn = self._loop.time()

    def _watch(self, engine: Engine) -> None:
        if self._watcher is None or self._watcher.done():
            self._watcher = self._loop.create_task(engine.changed())
            self._watcher.add_done_callback(self._watched)

    def _watched(self, watcher: asyncio.Task[None]) -> None:
        if watcher.cancelled():
            return
        error = watcher.exception()
        if error is None:
            self._wake.set()
        else:  # not woken: it would fail again at once; the client's next line still works
            self._listener.face.report(error)

    def _start_tls(self) -> None:
        assert self._listener.face.tls is not None, "STARTTLS without a certificate"
        self._tls = Tls(self._listener.face.tls())

    async def _handshake(self) -> None:
        self._parked = True
        while self._tls is not None and not (self._tls.ready or self._ended):
            self._wake.clear()
            await self._wake.wait()
        self._parked = False

    # writing

    async def _write(self, octets: bytes) -> None:
        """Returns when there is room for more; after nothing, when others had their turn."""
        self._said = self._loop.time()
        self._put(octets)
        if not self._writable.is_set():
            await self._writable.wait()
        elif not octets or len(octets) >= FAIR or self._said - self._turn > SLICE:
            await asyncio.sleep(0)
            self._turn = self._loop.time()

    def _put(self, octets: bytes) -> None:
        if self._tls is None:
            self._written += len(octets)
            self._transport.write(octets)
        elif octets and self._tls.ready:
            self._tls.send(octets)
            self._flush()

    def _flush(self) -> None:
        assert self._tls is not None
        octets = self._tls.outgoing()
        if octets:
            self._written += len(octets)
            self._transport.write(octets)

    def _hang_up(self) -> None:
        """Let what is written leave and the peer close first; check() ends the waiting.

        A socket closed with octets unread is reset, and the peer may never see our last line.
        """
        if self._closed_at is not None:
            return
        self._closed_at = self._loop.time()
        if self._tls is not None:
            self._tls.finish()
            self._flush()
        if self._gone or self._transport.is_closing():
            self._transport.close()
            return
        if not self._reading:
            self._transport.resume_reading()
        try:
            self._transport.write_eof()
        except OSError:  # the peer reset it, and asyncio has not noticed yet
            self._transport.abort()

    # deadlines and the end

    def check(self, now: float) -> None:
        """Called every tick: is somebody too slow?"""
        limits = self._listener.limits
        waiting = self._transport.get_write_buffer_size()
        flushed = self._written - waiting
        if flushed != self._flushed or not waiting:
            self._flushed, self._moved = flushed, now
        if self._closed_at is not None:
            if now - self._closed_at > limits.linger:
                self._transport.abort()
        elif now - self._moved > limits.stall:
            self._transport.abort()
        elif not self._logged_in and now - self._began > limits.login:
            self._dismiss(b"login took too long")
        elif self._too_slow(now):
            self._dismiss(b"the message took too long")
        elif self._parked and now - self._heard > limits.idle:
            self._dismiss(b"idle too long")
        elif not self._parked and not waiting and now - self._said > limits.heartbeat:
            self._said = now
            self._put(b"" if self._engine is None else self._engine.heartbeat())

    def _too_slow(self, now: float) -> bool:
        """Trickling a message in holds memory for nothing."""
        engine = self._engine
        octets = None if engine is None else engine.unfinished
        if engine is None or octets is None or engine.received != self._received:
            self._received = 0 if engine is None else engine.received
            self._sending = now
            return False
        limits = self._listener.limits
        return now - self._sending > limits.transfer + octets / limits.rate

    @property
    def _logged_in(self) -> bool:
        return self._engine is not None and self._engine.authenticated

    def dismiss(self, unwanted: Callable[[Engine], bool], reason: bytes) -> None:
        if self._engine is not None and self._closed_at is None and unwanted(self._engine):
            self._dismiss(reason)

    def _dismiss(self, reason: bytes) -> None:
        if self._engine is not None:
            self._put(self._engine.farewell(reason))
        self._cancel()

    def _cancel(self) -> None:
        """Stop the conversation, but not the closing of its engine."""
        if self._task is not None and not self._finishing:
            self._task.cancel()

    def drain(self) -> asyncio.Task[None] | None:
        """The listener closes: end after the running command."""
        self._draining = True
        self._wake.set()
        return self._task

    @property
    def expendable(self) -> bool:
        """Nobody misses it: not logged in yet, or only waiting for the peer to hang up."""
        return not self._evicted and (self._closed_at is not None or not self._logged_in)

    def evict(self) -> None:
        self._evicted = True
        self.abort()

    def abort(self) -> None:
        self._transport.abort()
        self._cancel()
