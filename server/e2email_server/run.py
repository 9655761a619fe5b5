"""The running server: opens what it needs, starts its listeners, stops them in the right order.

Each protocol is one factory in `_LISTENERS`; what listeners share is in `Parts`.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from e2email_protocol.account import API_VERSION, Ports, ServerInfo
from e2email_server import clock, config, datadir
from e2email_server.accounts import Accounts
from e2email_server.admin import start_admin
from e2email_server.api.app import build
from e2email_server.api.listen import HttpsListener
from e2email_server.commands import commands
from e2email_server.config import Config, Endpoint
from e2email_server.config_values import ConfigError
from e2email_server.deliver import LocalDelivery
from e2email_server.logins import Logins
from e2email_server.recipients import Recipients
from e2email_server.sealing.pool import Sealing
from e2email_server.smtp.limits import Limits as SmtpLimits
from e2email_server.smtp.server import start_smtp
from e2email_server.store.disk import FreeSpace
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.sql import SqlStore, open_store
from e2email_server.throttle import Throttle
from e2email_server.tls import ServerTls

log = logging.getLogger(__name__)

Chosen = Mapping[str, Sequence[Endpoint]]
"""Where each protocol listens, with the ports that the system chose."""


class Listener(Protocol):
    """What a factory gives."""

    @property
    def endpoints(self) -> Sequence[Endpoint]: ...

    async def stop(self) -> None:
        """Take no more, let what runs end within the drain limit."""
        ...


@dataclass(slots=True)
class Parts:
    """What the listeners of one server share."""

    config: Config
    keys: datadir.Keys
    store: SqlStore
    tls: ServerTls
    logins: Logins
    accounts: Accounts
    recipients: Recipients
    sealing: Sealing

    def reload(self) -> None:
        """Domains, aliases and certificates anew; a fault leaves everything as it was."""
        try:
            new = config.load(self.config.path)
            self.tls.reload(new)
        except ConfigError as error:
            log.error("settings not read again: %s", error)
            return
        self.recipients.config = new
        log.info("domains, aliases and certificates read again")


async def _smtp(parts: Parts, _chosen: Chosen) -> Listener:
    delivery = LocalDelivery(
        parts.store, parts.recipients, parts.sealing, parts.config.hostname, clock.now
    )
    return await start_smtp(
        parts.config.listen.smtp,
        parts.config.hostname,
        delivery,
        limits=SmtpLimits.from_config(parts.config.limits),
        tls=parts.tls.context,
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
    app = build(
        parts.accounts, parts.logins, parts.store, _info(parts, chosen), parts.config.domains
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

    ports = Ports(port("imap"), port("imaps"), None, None, None, None)
    arrival = parts.keys.arrival.public
    return ServerInfo(parts.config.hostname, API_VERSION, arrival, (), ports)


Factory = Callable[[Parts, Chosen], Awaitable[Listener]]
_LISTENERS: dict[str, Factory] = {"smtp": _smtp, "https": _https}


async def serve(settings: Config, announce: Callable[[Chosen], None]) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError, store Failures, before `announce`."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        parts = await open_parts(settings, stack)
        chosen: dict[str, Sequence[Endpoint]] = {}
        for protocol, factory in _LISTENERS.items():
            if wanted := getattr(settings.listen, protocol):
                listener = await _start(protocol, wanted, factory(parts, chosen))
                stack.push_async_callback(listener.stop)
                chosen[protocol] = listener.endpoints
        admin = await start_admin(settings.data, commands(parts.accounts, parts.store))
        stack.push_async_callback(admin.stop)
        _on_signals(stop, parts)
        _tell(chosen)
        announce(chosen)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


async def open_parts(settings: Config, stack: AsyncExitStack) -> Parts:
    """Lock, keys, store and what stands on them; the stack closes them in reverse."""
    stack.enter_context(datadir.locked(settings.data))
    keys = datadir.load_keys(settings.data)
    limits = settings.limits
    space = FreeSpace(settings.data, limits.free_percent, limits.free_space)
    store = await open_store(settings.data, RowMacs(keys.mac), space)
    stack.push_async_callback(store.close)
    throttle = Throttle()
    logins = Logins(store, keys.token, throttle, clock.now)
    stack.callback(logins.close)
    sealing = Sealing(keys.arrival)
    stack.callback(sealing.close)
    return Parts(
        settings,
        keys,
        store,
        ServerTls(settings),
        logins,
        Accounts(store, logins, throttle, clock.now),
        Recipients(store, settings, clock.now),
        sealing,
    )


async def _start(
    protocol: str, wanted: Sequence[Endpoint], starting: Awaitable[Listener]
) -> Listener:
    try:
        return await starting
    except OSError as error:
        where = ", ".join(f"{endpoint.host}:{endpoint.port}" for endpoint in wanted)
        raise ConfigError(f"listen.{protocol}: {where}: {error.strerror}") from None


def _on_signals(stop: asyncio.Event, parts: Parts) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, parts.reload)


def _unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio's own report prints the objects involved, which may hold mail."""
    log.error("unhandled in the event loop", exc_info=context.get("exception"))


def _tell(chosen: Chosen) -> None:
    for protocol, endpoints in chosen.items():
        for endpoint in endpoints:
            log.info("%s listens on %s port %d", protocol, endpoint.host, endpoint.port)


def announcer(ports_file: Path | None, ready_fd: int | None) -> Callable[[Chosen], None]:
    """Tells a script that everything listens, and where: one JSON object, protocol to endpoints."""

    def announce(chosen: Chosen) -> None:
        ports = {name: [[e.host, e.port] for e in where] for name, where in chosen.items()}
        line = json.dumps(ports) + "\n"
        if ports_file is not None:
            temporary = ports_file.with_suffix(".tmp")
            temporary.write_text(line)
            temporary.rename(ports_file)  # whoever sees the file sees it whole
        if ready_fd is not None:
            with os.fdopen(ready_fd, "w") as file:
                file.write(line)

    return announce
