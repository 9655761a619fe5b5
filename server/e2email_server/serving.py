"""Running listeners of the engines in e2email_protocol, one kind on all its endpoints."""

import asyncio
from collections.abc import Sequence

from e2email_protocol.serve import Face, Limits, Listener, listen
from e2email_server.config import Endpoint


class Serving:
    """Running listeners of one kind."""

    def __init__(self, endpoints: Sequence[Endpoint], listeners: Sequence[Listener], drain: float):
        self._hosts = [endpoint.host for endpoint in endpoints]
        self._listeners, self._drain = listeners, drain

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it listens, with the ports the system chose."""
        pairs = zip(self._hosts, self._listeners, strict=True)
        return [Endpoint(host, listener.port) for host, listener in pairs]

    async def stop(self) -> None:
        """Take no more, let running commands end, hang up."""
        await asyncio.gather(*(listener.close(self._drain) for listener in self._listeners))


async def serve_face(
    face: Face, endpoints: Sequence[Endpoint], limits: Limits | None, drain: float
) -> Serving:
    """Listen on all endpoints. Raises OSError where one cannot be had; none is left open then."""
    listeners: list[Listener] = []
    try:
        for endpoint in endpoints:
            listeners.append(await listen(face, endpoint.host, endpoint.port, limits))
    except OSError:
        await asyncio.gather(*(listener.close(0) for listener in listeners))
        raise
    return Serving(endpoints, listeners, drain)
