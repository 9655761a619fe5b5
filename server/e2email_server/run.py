"""The running server: starts its listeners, waits for a signal, stops them in reverse."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from e2email_server.admin import start_admin
from e2email_server.commands import commands
from e2email_server.config import Config, Endpoint
from e2email_server.config_values import ConfigError
from e2email_server.listeners import LISTENERS, Chosen, Listener
from e2email_server.parts import Parts, open_parts
from e2email_server.store.errors import StoreError

log = logging.getLogger(__name__)

# A pairing is open for minutes; what is left of it is ciphertext under a key that nobody keeps.
CHORES_SECONDS = 3600.0


async def serve(settings: Config, announce: Callable[[Chosen], None]) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError, store Failures, before `announce`."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        parts = await open_parts(settings, stack)
        chosen: dict[str, Sequence[Endpoint]] = {}
        for protocol, factory in LISTENERS.items():
            if wanted := getattr(settings.listen, protocol):
                listener = await _start(protocol, wanted, factory(parts, chosen))
                stack.push_async_callback(listener.stop)
                chosen[protocol] = listener.endpoints
        admin = await start_admin(
            settings.data, commands(parts.accounts, parts.store, parts.standing)
        )
        stack.push_async_callback(admin.stop)
        _on_signals(stop, parts)
        chores = asyncio.create_task(_chores(parts), name="chores")
        stack.callback(chores.cancel)
        _tell(chosen)
        announce(chosen)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


async def _start(
    protocol: str, wanted: Sequence[Endpoint], starting: Awaitable[Listener]
) -> Listener:
    try:
        return await starting
    except OSError as error:
        where = ", ".join(f"{endpoint.host}:{endpoint.port}" for endpoint in wanted)
        raise ConfigError(f"listen.{protocol}: {where}: {error.strerror}") from None


async def _chores(parts: Parts) -> None:
    """What nobody asks for: expired pairings go, addresses that lead elsewhere are told."""
    while True:
        try:
            await parts.standing.tell_misled()
            await parts.store.sweep_pairings()
        except StoreError as error:
            log.error("chores not done: %s", error)
        with suppress(TimeoutError):
            async with asyncio.timeout(CHORES_SECONDS):
                await parts.reloaded.wait()
        parts.reloaded.clear()


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
