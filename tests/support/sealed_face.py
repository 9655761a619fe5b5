"""The sealed face on loopback: real keys, real tokens, either store, both listeners."""

import asyncio
import imaplib
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from e2email_crypto import token as tokens
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.record import Record
from e2email_protocol.sealed.render import render
from e2email_server.config import Endpoint
from e2email_server.imap.append import Appending
from e2email_server.imap.server import start_imap
from e2email_server.imap.session import Backend, SealedSession
from e2email_server.imap.shared import SharedMailboxes
from e2email_server.logins import Logins
from e2email_server.sealing.job import Job, run
from e2email_server.sealing.pool import Sealing
from e2email_server.serving import Serving
from e2email_server.store.api import Store
from e2email_server.store.memory import MemoryStore
from e2email_server.store.types import Account, NewMessage, NewToken, Placed
from e2email_server.targets import find_target
from e2email_server.throttle import Throttle
from support.account_server import Ticks, authority, server_tls
from support.residents import ARRIVAL_KEY, CREATED, Resident, resident
from support.store_data import sql_store

T = TypeVar("T")
NAME = "localhost"
EVERYTHING = frozenset({"read", "write", "delete", "send"})
TRACE = b"Return-Path: <carol@example.net>\r\nReceived: from mx.example.net; today\r\n"


def clock() -> int:
    return CREATED + 60


@dataclass
class House:
    """A running sealed face with one resident, and what a test wants of its inside."""

    store: Store
    backend: Backend
    resident: Resident
    account: Account
    ticks: Ticks
    imap: Serving
    imaps: Serving

    async def password(self, *scopes: str, kind: str = "app") -> str:
        """A new app password; every scope where none is named."""
        secret = tokens.generate("e2a_" if kind == "app" else "e2d_")
        await self.store.add_token(
            NewToken(
                self.account.account_id,
                kind,
                f"test {secrets.token_hex(4)}",
                frozenset(scopes) or EVERYTHING,
                self.backend.logins.token_hash(secret),
            )
        )
        return secret

    async def seal(self, received: bytes, trace: bytes = TRACE) -> Record:
        target = await find_target(self.store, self.resident.address, clock)
        job = Job(
            trace,
            received,
            target.address,
            secrets.token_bytes(16),
            secrets.token_hex(16).encode(),
            target.policy,
            Arrival("smtp", "TLSv1.3", clock()),
            target.keys,
            target.known_key_ids,
        )
        return run(job, ARRIVAL_KEY)

    async def deliver(self, *mails: bytes) -> list[Record]:
        """As SMTP delivery does it."""
        records = [await self.seal(mail) for mail in mails]
        await self.put(*records)
        return records

    async def put(self, *records: Record, mailbox: int | None = None) -> list[Placed]:
        inbox = mailbox or self.account.inbox
        return await self.store.deliver([new_message(inbox, record) for record in records])


def new_message(mailbox_id: int, record: Record) -> NewMessage:
    rendered = render(record)
    return NewMessage(mailbox_id, record, rendered.size, len(rendered.header), clock())


@asynccontextmanager
async def house(folder: Path | None = None, policy: str = "sealed") -> AsyncIterator[House]:
    """On SQLite in `folder`, else in memory."""
    async with AsyncExitStack() as stack:
        store: Store = MemoryStore(clock)
        if folder is not None:
            store = await sql_store(folder)
        stack.push_async_callback(store.close)
        alice = resident(policy=policy)
        account = await store.register(alice.account, None)
        ticks = Ticks()
        logins = Logins(store, b"t" * 32, Throttle(ticks), clock)
        stack.callback(logins.close)
        sealing = Sealing(ARRIVAL_KEY)
        stack.callback(sealing.close)
        appending = Appending(store, sealing, ARRIVAL_KEY, clock, 50 << 20)
        backend = Backend(store, logins, SharedMailboxes(store), appending)
        servers = []
        for implicit in (False, True):
            started = await start_imap(
                [Endpoint("127.0.0.1", 0)], backend, server_tls(NAME), implicit=implicit, drain=1
            )
            stack.push_async_callback(started.stop)
            servers.append(started)
        yield House(store, backend, alice, account, ticks, *servers)


def client_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
    context.check_hostname = False  # the certificate is for localhost, the socket for 127.0.0.1
    return context


@contextmanager
def imaplib_client(server: House, password: str, starttls: bool = False) -> Iterator[imaplib.IMAP4]:
    """Logged in. Blocks: call it in a thread."""
    client: imaplib.IMAP4
    if starttls:
        client = imaplib.IMAP4("127.0.0.1", server.imap.endpoints[0].port)
        client.starttls(client_tls())
    else:
        port = server.imaps.endpoints[0].port
        client = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=client_tls())
    with client:
        client.login(server.resident.address, password)
        yield client


async def with_client(
    server: House, work: Callable[[imaplib.IMAP4], T], *scopes: str, starttls: bool = False
) -> T:
    """Run blocking `work` with a client that has logged in with these scopes."""
    password = await server.password(*scopes)

    def session() -> T:
        with imaplib_client(server, password, starttls) as client:
            return work(client)

    return await asyncio.to_thread(session)


class Talk:
    """A session without a socket: `ask(octets)` gives everything the engine then says."""

    def __init__(self, server: House, peer: str = "192.0.2.1") -> None:
        self.server = server
        self.reports: list[BaseException] = []
        self.waited: list[int] = []
        self.session = SealedSession(server.backend, peer)
        self.connection = Connection(
            self.session,
            Settings(
                message_limit=server.backend.appending.literal_limit,
                clock=clock,
                budget=server.backend.budget,
                penalty=self._penalty,
            ),
            tls=True,
            report=self.reports.append,
        )

    async def _penalty(self, failures: int) -> None:
        self.waited.append(failures)

    async def ask(self, octets: bytes = b"") -> bytes:
        self.connection.receive_data(octets)
        return b"".join([piece async for piece in self.connection.replies()])

    async def ok(self, command: bytes, more: bytes = b"") -> bytes:
        """The untagged replies of a command that must succeed."""
        said = await self.ask(b"a " + command + b"\r\n" + more)
        untagged, tagged, last = said.rpartition(b"a OK")
        assert tagged, said
        return untagged + last

    async def no(self, command: bytes, more: bytes = b"") -> bytes:
        """What follows NO."""
        said = await self.ask(b"a " + command + b"\r\n" + more)
        assert b"a NO " in said, said
        return said.rpartition(b"a NO ")[2].removesuffix(b"\r\n")

    async def append(self, octets: bytes, mailbox: bytes = b"INBOX", flags: bytes = b"") -> bytes:
        """The whole answer to an APPEND."""
        head = b"a APPEND %b %b{%d+}\r\n" % (mailbox, flags and flags + b" ", len(octets))
        return await self.ask(head + octets + b"\r\n")


@asynccontextmanager
async def talk(
    server: House, *scopes: str, select: bytes = b"", kind: str = "app"
) -> AsyncIterator[Talk]:
    """Logged in with these scopes (none: all), and a mailbox selected."""
    one = Talk(server)
    await one.ask()
    secret = await server.password(*scopes, kind=kind)
    await one.ok(b"LOGIN %b %b" % (server.resident.address.encode(), secret.encode()))
    if select:
        await one.ok(b"SELECT " + select)
    try:
        yield one
    finally:
        await one.connection.close()
