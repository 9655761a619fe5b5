"""The proxy as a program: open the account, listen on loopback, follow the server, stop cleanly."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2email_client.failure import LocalFault
from e2email_client.files import write_private
from e2email_client.live import Live
from e2email_client.log import report
from e2email_client.proxy import secrets, tls
from e2email_client.proxy.account import ProxyAccount
from e2email_client.proxy.pop3 import pop3_engine
from e2email_client.proxy.ports import Ports, holder
from e2email_client.proxy.session import ProxySession
from e2email_client.stores import Stores, open_opening, open_stores
from e2email_client.unlock import Unlocked
from e2email_protocol.engine import Engine
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.pop3.context import Settings as Pop3Settings
from e2email_protocol.serve import Face, Limits, Listener, Peer, growing_delay, listen

HOST = "127.0.0.1"
CA_NAME = "proxy-ca.pem"
PORTS_NAME = "proxy.json"
# Programs of one user: all come from one address.
LIMITS = Limits(connections=500, per_address=500)
_Engines = Callable[[Peer], Engine]
GRACE = 3.0  # seconds for commands that run when the program is stopped
_IMAP_FULL = b"* BYE too many connections\r\n"
_POP3_FULL = b"-ERR [SYS/TEMP] too many connections\r\n"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a mail program is told."""

    address: str
    password: str = field(repr=False)
    host: str
    ports: Ports
    certificate: Path


@asynccontextmanager
async def running(unlocked: Unlocked, ports: Ports) -> AsyncIterator[Shown]:
    """The proxy of one account, listening. LocalFault where a port is taken."""
    with open_stores(unlocked) as stores:
        opening = open_opening(unlocked)
        try:
            live = Live(unlocked, stores.cache, opening)
            found = secrets.obtain(stores.state, dt.datetime.now(dt.UTC))
            account = ProxyAccount(unlocked.settings.address, found.password, stores.cache, live)
            listeners: list[Listener] = []
            following: asyncio.Task[None] | None = None
            try:
                chosen = await _listen([account], found, ports, listeners)
                # only now: who finds its ports taken has not begun anything
                following = asyncio.create_task(live.run())
                yield _shown(unlocked, found, chosen)
            finally:
                await _end(listeners, following)
        finally:
            opening.close()
            # threads that still read or write would do so on closed databases
            await asyncio.get_running_loop().shutdown_default_executor()


async def _end(listeners: Sequence[Listener], following: asyncio.Task[None] | None) -> None:
    if following is not None:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await asyncio.gather(*(listener.close(GRACE) for listener in listeners))


async def _listen(
    accounts: Sequence[ProxyAccount],
    found: secrets.ProxySecrets,
    ports: Ports,
    listeners: list[Listener],
) -> Ports:
    context = tls.context(found.certificate)

    def imap(peer: Peer) -> Engine:
        settings = Settings(starttls=not peer.tls, penalty=growing_delay)
        return Connection(ProxySession(accounts), settings, tls=peer.tls, report=report)

    def pop3(peer: Peer) -> Engine:
        settings = Pop3Settings(stls=not peer.tls, penalty=growing_delay)
        return pop3_engine(accounts, settings, tls=peer.tls, report=report)

    async def start(engine: _Engines, full: bytes, port: int, *, implicit: bool = False) -> int:
        listener = await _one(Face(engine, full, report, lambda: context, implicit), port)
        listeners.append(listener)
        return listener.port

    return Ports(
        imap=await start(imap, _IMAP_FULL, ports.imap),
        imaps=await start(imap, _IMAP_FULL, ports.imaps, implicit=True),
        pop3=await start(pop3, _POP3_FULL, ports.pop3),
        pop3s=await start(pop3, _POP3_FULL, ports.pop3s, implicit=True),
    )


async def _one(face: Face, port: int) -> Listener:
    try:
        return await listen(face, HOST, port, LIMITS)
    except OSError as fault:
        raise LocalFault(
            f"Port {port} cannot be used: {holder(port)}. "
            "Free it, or let free ports be found with --ports auto."
        ) from fault


def _shown(unlocked: Unlocked, found: secrets.ProxySecrets, ports: Ports) -> Shown:
    """Write down for `settings` what the programs need, the password excepted."""
    folder = unlocked.paths.folder
    write_private(folder / CA_NAME, found.certificate.authority)
    described = {"imap": ports.imap, "imaps": ports.imaps, "pop3": ports.pop3, "pop3s": ports.pop3s}
    write_private(folder / PORTS_NAME, json.dumps(described).encode())
    return Shown(unlocked.settings.address, found.password, HOST, ports, folder / CA_NAME)


def settings(unlocked: Unlocked, stores: Stores) -> Shown:
    """The same without a running proxy: its last ports, or the usual ones."""
    found = secrets.obtain(stores.state, dt.datetime.now(dt.UTC))
    try:
        ports = Ports(**json.loads((unlocked.paths.folder / PORTS_NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        ports = Ports()
    return _shown(unlocked, found, ports)


async def until_stopped() -> None:
    """Return at SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
