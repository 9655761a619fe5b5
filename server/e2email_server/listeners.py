"""A factory for each protocol that the server listens on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from e2email_protocol.account import API_VERSION, Ports, ServerInfo
from e2email_protocol.serve import Limits as DriverLimits
from e2email_server import clock
from e2email_server.api.everything import application
from e2email_server.api.listen import HttpsListener
from e2email_server.config import Config, Endpoint
from e2email_server.deliver import LocalDelivery
from e2email_server.imap.server import start_imap
from e2email_server.parts import Parts
from e2email_server.pop3.server import start_pop3
from e2email_server.smtp.limits import Limits as SmtpLimits
from e2email_server.smtp.server import start_smtp

Chosen = Mapping[str, Sequence[Endpoint]]
"""Where each protocol listens, with the ports that the system chose."""


class Listener(Protocol):
    """What a factory gives."""

    @property
    def endpoints(self) -> Sequence[Endpoint]: ...

    async def stop(self) -> None:
        """Take no more, let what runs end within the drain limit."""
        ...


async def _smtp(parts: Parts, _chosen: Chosen) -> Listener:
    delivery = LocalDelivery(
        parts.store, parts.recipients, parts.sealing, parts.config.hostname, clock.now
    )
    return await start_smtp(
        parts.config.listen.smtp,
        parts.config.hostname,
        delivery,
        limits=SmtpLimits.from_config(parts.config.limits),
        memory=parts.memory,
        tls=parts.tls.context,
    )


async def _imap(parts: Parts, _chosen: Chosen) -> Listener:
    return await _start_imap(parts, parts.config.listen.imap, implicit=False)


async def _imaps(parts: Parts, _chosen: Chosen) -> Listener:
    return await _start_imap(parts, parts.config.listen.imaps, implicit=True)


async def _pop3(parts: Parts, _chosen: Chosen) -> Listener:
    return await _start_pop3(parts, parts.config.listen.pop3, implicit=False)


async def _pop3s(parts: Parts, _chosen: Chosen) -> Listener:
    return await _start_pop3(parts, parts.config.listen.pop3s, implicit=True)


async def _start_pop3(parts: Parts, where: Sequence[Endpoint], *, implicit: bool) -> Listener:
    return await start_pop3(
        where,
        parts.pop3,
        parts.tls.context,
        implicit=implicit,
        limits=_driver_limits(parts.config),
        drain=parts.config.limits.drain_seconds,
    )


def _driver_limits(config: Config) -> DriverLimits:
    return DriverLimits(config.limits.connections, config.limits.connections_per_address)


async def _start_imap(parts: Parts, where: Sequence[Endpoint], *, implicit: bool) -> Listener:
    protocol, listen = "imaps" if implicit else "imap", parts.config.listen
    return await start_imap(
        where,
        parts.imap,
        parts.tls.context,
        implicit=implicit,
        hide=listen.hide.get(protocol, ()),
        compress=listen.compress.get(protocol, False),
        limits=_driver_limits(parts.config),
        drain=parts.config.limits.drain_seconds,
    )


class _Https:
    """All HTTPS endpoints as one listener."""

    def __init__(self, listeners: Sequence[HttpsListener], config: Config) -> None:
        self._listeners, self._config = listeners, config

    @property
    def endpoints(self) -> list[Endpoint]:
        hosts = self._config.listen.https
        return [Endpoint(e.host, one.port) for e, one in zip(hosts, self._listeners, strict=True)]

    async def stop(self) -> None:
        seconds = self._config.limits.drain_seconds
        await asyncio.gather(*(listener.stop(seconds) for listener in self._listeners))


async def _https(parts: Parts, chosen: Chosen) -> Listener:
    """Last, because it tells clients the ports of the others."""
    app = application(
        parts.store,
        parts.accounts,
        parts.logins,
        parts.recipients,
        parts.uploads,
        _info(parts, chosen),
        clock.now,
    )
    listeners = [
        HttpsListener(app, endpoint.host, endpoint.port, parts.tls.context)
        for endpoint in parts.config.listen.https
    ]
    for listener in listeners:
        await listener.start()
    return _Https(listeners, parts.config)


def _info(parts: Parts, chosen: Chosen) -> ServerInfo:
    def port(protocol: str) -> int | None:
        return next((endpoint.port for endpoint in chosen.get(protocol, ())), None)

    ports = Ports(port("imap"), port("imaps"), port("pop3"), port("pop3s"), None, None)
    arrival = parts.keys.arrival.public
    return ServerInfo(parts.config.hostname, API_VERSION, arrival, (), ports)


Factory = Callable[[Parts, Chosen], Awaitable[Listener]]
LISTENERS: dict[str, Factory] = {
    "smtp": _smtp,
    "imap": _imap,
    "imaps": _imaps,
    "pop3": _pop3,
    "pop3s": _pop3s,
    "https": _https,
}
"""In the order in which they start; https needs the ports of the others."""
