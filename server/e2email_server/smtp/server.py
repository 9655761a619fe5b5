"""Listeners of inbound SMTP: start, where they listen, stop."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress

from e2email_server.config import Endpoint

from .budget import MemoryBudget
from .delivery import Delivery
from .limits import Limits
from .service import Service
from .session import InboundSession


class SmtpServer:
    """A running service. `service.tls` and `service.delivery` may be exchanged while it runs."""

    def __init__(self, service: Service, listeners: Sequence[asyncio.Server]) -> None:
        self.service = service
        self._listeners = listeners
        self._watch = asyncio.get_running_loop().create_task(service.watch())

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it listens, with the ports the system chose."""
        names = [sock.getsockname() for server in self._listeners for sock in server.sockets]
        return [Endpoint(name[0], name[1]) for name in names]

    async def stop(self) -> None:
        """Take no new connections, let mails in flight end, close."""
        for listener in self._listeners:
            listener.close()
        await self.service.drain()
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch


async def start_smtp(
    endpoints: Sequence[Endpoint],
    hostname: str,
    delivery: Delivery,
    *,
    limits: Limits | None = None,
    memory: MemoryBudget | None = None,
    tls: ssl.SSLContext | None = None,
) -> SmtpServer:
    """Listen on all endpoints. Raises OSError where one cannot be had; none is left open then.

    `memory` may be shared with who else takes mail.
    """
    limits = limits or Limits()
    service = Service(hostname, delivery, memory or MemoryBudget(limits), limits, tls)
    loop = asyncio.get_running_loop()
    listeners: list[asyncio.Server] = []
    try:
        for endpoint in endpoints:
            listeners.append(
                await loop.create_server(
                    lambda: InboundSession(service), endpoint.host, endpoint.port, backlog=512
                )
            )
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return SmtpServer(service, listeners)
