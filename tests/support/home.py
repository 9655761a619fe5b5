"""A machine of a user in this process: cache, workers, live sync of a real sealed face, proxy."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from e2email_client import live as live_module
from e2email_client.failure import Offline
from e2email_client.live import Live
from e2email_client.local import cache, contents, mailboxes
from e2email_client.local.cipher import Database
from e2email_client.local.journal import Journal, Seal
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.reserve import Reserve
from e2email_client.local.seen import Seen
from e2email_client.opener import Keys
from e2email_client.opening import Opening
from e2email_client.paths import AccountPaths
from e2email_client.proxy import run as proxy_run
from e2email_client.proxy import tls
from e2email_client.proxy.account import ProxyAccount
from e2email_client.proxy.config import Config
from e2email_client.proxy.doors import Doors
from e2email_client.proxy.listening import Listeners
from e2email_client.proxy.ports import AUTO, Ports
from e2email_client.proxy.session import ProxySession
from e2email_client.upstream import Remote
from e2email_client.upstream.wire import Wire
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from support.passwords import OnePassword
from support.residents import ARRIVAL_KEY
from support.sealed_face import NAME, House, client_tls

PASSWORD = "the proxy's own"
SECONDS = 20.0


async def eventually(what: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """The first true answer of `what()`, which may be a coroutine function; fails when late."""
    until = asyncio.get_running_loop().time() + seconds
    while True:
        answer = what()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < until, "it never came to that"
        await asyncio.sleep(0.02)


@dataclass
class Home:
    server: House
    cache: Database
    opening: Opening
    token: str
    live: Live
    account: ProxyAccount
    journal: Journal
    state: Database
    down: bool = False  # nothing connects
    wires: list[Wire] = field(default_factory=list)
    ports: Ports = AUTO
    certificate: tls.Certificate | None = None
    following: asyncio.Task[None] | None = None

    async def connect(self, _: object, listener: Any = lambda _: None) -> tuple[Remote, Wire]:
        """In place of upstream.connect."""
        if self.down:
            raise Offline("The server is not reachable.")
        remote, wire = await self._login(listener)
        self.wires.append(wire)
        return remote, wire

    async def _login(self, listener: Any) -> tuple[Remote, Wire]:
        port = self.server.imaps.endpoints[0].port
        context = client_tls()
        context.check_hostname = True
        wire = Wire("127.0.0.1", port, NAME, context, listener)
        await wire.greet()
        login = f'LOGIN {self.server.resident.address} "{self.token}"'
        await wire.run(login.encode())
        remote = Remote(wire)
        await remote.begin()
        return remote, wire

    async def end(self) -> None:
        """Its sync ends; another program may take over."""
        if self.following is not None:
            self.following.cancel()
            await asyncio.gather(self.following, return_exceptions=True)

    def lose(self) -> None:
        """All connections break, and no new one comes about."""
        self.down = True
        for wire in self.wires:
            wire.protocol.transport.abort()
        self.wires.clear()

    async def remote(self) -> Remote:
        """A connection of somebody else, who is always online."""
        return (await self._login(lambda _: None))[0]

    def local(self, name: str = "INBOX") -> Mailbox | None:
        return mailboxes.named(self.cache, name)

    def uids(self, name: str = "INBOX") -> list[int]:
        """Those that are shown."""
        local = self.local(name)
        return [one.uid for one in contents.entries(self.cache, local.id)] if local else []

    async def shown(self, *uids: int, name: str = "INBOX") -> None:
        await eventually(lambda: self.uids(name) == list(uids))

    def talk(self) -> "Talk":
        return Talk(self)


class Talk:
    """A program's session at the proxy, without a socket."""

    def __init__(self, home: Home) -> None:
        self.reports: list[BaseException] = []
        self.connection = Connection(
            ProxySession([home.account]), Settings(), tls=True, report=self.reports.append
        )

    async def ask(self, octets: bytes = b"") -> bytes:
        self.connection.receive_data(octets)
        return b"".join([piece async for piece in self.connection.replies()])

    async def ok(self, command: bytes) -> bytes:
        said = await self.ask(b"a " + command + b"\r\n")
        assert b"a OK" in said, (command, said, self.reports)
        return said

    async def no(self, command: bytes) -> bytes:
        said = await self.ask(b"a " + command + b"\r\n")
        assert b"a NO" in said, (command, said)
        return said

    async def login(self, select: bytes = b"INBOX") -> "Talk":
        await self.ask()
        await self.ok(b'LOGIN Alice@example.test "%b"' % PASSWORD.encode())
        if select:
            await eventually(lambda: self._selected(select))
        return self

    async def _selected(self, name: bytes) -> bool:
        return b"a OK" in await self.ask(b"a SELECT %b\r\n" % name)


def keys(server: House) -> Keys:
    stated = server.resident.stated
    known = (frozenset(stated.key_ids),)
    return Keys(server.resident.address, known, (ARRIVAL_KEY.public,))


@asynccontextmanager
async def home(
    server: House, folder: Path, monkeypatch, *, run: bool = True, seal: Seal | None = None
) -> AsyncIterator[Home]:
    """`run`: its sync runs."""
    async with AsyncExitStack() as stack:
        database = cache.open_cache(folder / "cache.db", bytes(32))
        stack.callback(database.close)
        opening = Opening(keys(server), [server.resident.identity.tsk], workers=1)
        stack.callback(opening.close)
        state = cache.open_state(folder / "state.db", bytes(32))
        stack.callback(state.close)
        paths = AccountPaths(folder)
        reserve = Reserve(paths.reserve)
        reserve.hold()
        journal = Journal(state, reserve)
        unlocked: Any = SimpleNamespace(
            paths=paths, settings=SimpleNamespace(address=server.resident.address)
        )
        live = Live(unlocked, database, opening, seal=seal, journal=journal, seen=Seen(state))
        account = ProxyAccount(server.resident.address, OnePassword(PASSWORD), database, live)
        made = Home(
            server, database, opening, await server.password(), live, account, journal, state
        )
        unlocked.connect = made.connect  # several homes may share a folder, each with its own
        monkeypatch.setattr(live_module, "connect", _connect)
        monkeypatch.setattr(live_module, "BACKOFF", (0.05,))
        monkeypatch.setattr(live_module, "SOONEST", 0.05)
        if run:
            made.following = asyncio.create_task(live.run())
            stack.push_async_callback(made.end)
        yield made


async def _connect(unlocked: Any, *listener: Any) -> tuple[Remote, Wire]:
    made: tuple[Remote, Wire] = await unlocked.connect(unlocked, *listener)
    return made


@asynccontextmanager
async def listening(made: Home) -> AsyncIterator[Home]:
    """With the proxy's ports."""
    certificate = tls.make(dt.datetime.now(dt.UTC))
    config = Config(ports=AUTO)
    listeners = Listeners(config)
    doors = Doors([made.account])
    watching = asyncio.create_task(doors.watch(listeners))
    made.certificate = certificate
    try:
        await listeners.start(doors.faces(config, certificate))
        made.ports = listeners.ports
        yield made
    finally:
        await proxy_run._end(listeners, [watching])
