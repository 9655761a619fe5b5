"""uvicorn inside the server's own loop: TLS, limits, no access log, no signal handlers."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from e2email_server.throttle import network

# A request line and its headers; the longest of ours is below 1 KiB.
HEADER_CAP = 16 * 1024
# uvicorn answers 503 above this; a connection costs some 300 KiB with its TLS buffers.
CONNECTIONS = 200
KEEP_ALIVE_SECONDS = 20
# A person has few devices; behind one address there may be an office.
CONNECTIONS_A_PEER = 40
# How long a connection may be without a whole request: silent, or sending it drop by drop.
PATIENCE_SECONDS = 20.0


def source(client: tuple[str, int] | None) -> str | None:
    """Whose share a connection takes: whoever has one IPv6 address has the /64 around it."""
    return None if client is None else network(client[0])


class Patience(H11Protocol):
    """Closes connections that bring no request, and those beyond a peer's share."""

    _check: asyncio.TimerHandle | None = None
    _seen: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sources = [source(getattr(one, "client", None)) for one in self.connections]
        if sources.count(source(self.client)) > CONNECTIONS_A_PEER:
            transport.abort()
            return
        # asyncio does so only where the listener names its protocol; else each answer on a kept
        # connection waits 40 ms for the ACK of its own header
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._check = self.loop.call_later(PATIENCE_SECONDS, self._still_there)

    def _still_there(self) -> None:
        """Twice in a row nothing running and nothing new: uvicorn alone would wait for ever."""
        running = self.cycle is not None and not self.cycle.response_complete
        if not running and self.cycle is self._seen:
            self.transport.abort()
            return
        self._seen = self.cycle
        self._check = self.loop.call_later(PATIENCE_SECONDS, self._still_there)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, which has other listeners to stop."""
        yield


class HttpsListener:
    """One HTTPS endpoint. `start` returns when it accepts, `stop` when the last request is done."""

    def __init__(self, app: ASGIApp, host: str, port: int, tls: ssl.SSLContext) -> None:
        self._socket = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                http=Patience,
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                h11_max_incomplete_event_size=HEADER_CAP,
                ssl_context_factory=lambda _config, _default: tls,
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        # at DEBUG its loggers would tell what our own log decides to keep quiet
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="https")
        while not self._server.started:
            if self._task.done():
                await self._task
                return
            await asyncio.sleep(0.01)

    async def stop(self, seconds: float) -> None:
        """Take no more, wait for what runs, at most so long."""
        if self._task is None:
            self._socket.close()
            return
        self._server.should_exit = True
        self._server.config.timeout_graceful_shutdown = int(seconds)
        await self._task
