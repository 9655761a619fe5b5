"""Every command through the sealed face as a transcript (imap_dialogs), whole and cut at any point.

X: is what happens meanwhile: `two ...` is a command of a second session, `restart` another process
on the same store. Random ids are written as E#1, M#1, ... in the order in which they appear.
`python -m server.test_imap_transcripts_sealed FILE...` (in tests/) writes the S: lines anew.
"""

import asyncio
import base64
import itertools
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from e2email_crypto import token as tokens
from e2email_protocol.imap.commands import PARSE
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.sealed.record import Record
from e2email_protocol.sealed.render import render
from e2email_server.imap.append import Appending
from e2email_server.imap.capabilities import hidden
from e2email_server.imap.session import Backend, SealedSession
from e2email_server.imap.shared import SharedMailboxes
from e2email_server.logins import Logins
from e2email_server.sealing.pool import Sealing
from e2email_server.smtp.budget import MemoryBudget, Share
from e2email_server.smtp.limits import Limits
from e2email_server.store.api import Store
from e2email_server.store.memory import MemoryStore
from e2email_server.store.types import NewMessage, NewToken
from e2email_server.throttle import Throttle
from support.account_server import Ticks
from support.fixed_records import record, verbatim
from support.residents import ARRIVAL_KEY, CREATED, resident
from support.sealed_face import EVERYTHING
from support.store_data import sql_store
from support.transcript import at_random, options, read, single, turns, whole

FOLDER = Path(__file__).parent / "imap_dialogs"
FILES = sorted(FOLDER.glob("*.txt"))
BEGAN = 1_750_000_000
IDS = re.compile(rb"\b([EM])([0-9a-f]{32})\b")


class Play:
    """One transcript on a store of its own; `cut` splits what the client sends."""

    def __init__(self, lines: list[str], cut, folder: Path | None = None) -> None:
        self.options, self.cut, self.folder = options(lines), cut, folder
        self.store: Store = MemoryStore(self.clock)
        self.time = BEGAN
        self.mails = 0
        self.ids: dict[bytes, bytes] = {}
        self.reports: list[BaseException] = []
        self.stack = AsyncExitStack()

    def clock(self) -> int:
        return self.time

    async def begin(self) -> None:
        if self.folder is not None:
            self.store = await sql_store(self.folder, self.clock)  # type: ignore[arg-type]
        self.alice = resident(policy=self.options.get("policy", "sealed"))
        self.account = await self.store.register(self.alice.account, None)
        # what is sealed for her has to be later than her key
        self.sealing = Sealing(ARRIVAL_KEY)
        self.stack.callback(self.sealing.close)
        self.open()
        scopes = frozenset(filter(None, self.options.get("scopes", "").split(","))) or EVERYTHING
        self.password = tokens.generate("e2a_")
        made = await self.store.add_token(
            NewToken(
                self.account.account_id,
                "app",
                secrets.token_hex(4),
                scopes,
                self.logins.token_hash(self.password),
            )
        )
        self.token_id = made.token_id
        for _ in range(int(self.options.get("mails", 0))):
            await self.deliver()
        await self.connect("no-login" not in self.options)
        if "select" in self.options:
            await self.said(b"s SELECT INBOX\r\n")

    def open(self) -> None:
        """What one process has beside the store."""
        self.logins = Logins(self.store, b"t" * 32, Throttle(Ticks()), self.clock)
        self.stack.callback(self.logins.close)
        late = lambda: max(CREATED + 60, self.time)  # noqa: E731
        appending = Appending(self.store, self.sealing, ARRIVAL_KEY, late, 1 << 20)
        memory = MemoryBudget(Limits(memory=int(self.options.get("memory", 1 << 29))))
        self.memory = Share(memory, appending.literal_limit)
        mailboxes = SharedMailboxes(self.store)
        self.backend = Backend(self.store, self.logins, mailboxes, appending, self.memory)

    def session(self) -> Connection:
        limit = self.backend.appending.literal_limit
        settings = Settings(
            message_limit=limit,
            clock=self.clock,
            budget=self.backend.budget,
            hidden=hidden(
                filter(None, self.options.get("hide", "").split(",")), self.backend.appending.limit
            ),
        )
        session = SealedSession(self.backend, "192.0.2.1")
        return Connection(session, settings, tls=True, report=self.reports.append)

    async def connect(self, login: bool = True) -> None:
        self.one, self.two = self.session(), self.session()
        for connection in (self.one, self.two):
            if login:
                await said(connection, self.filled(b"l LOGIN $user $password\r\n"))
        if login:
            await said(self.two, b"l SELECT INBOX\r\n")

    async def close(self) -> None:
        await self.one.close()
        await self.two.close()
        assert self.memory.used == 0, "what was appended is let go"
        await self.store.close()
        await self.stack.aclose()

    def filled(self, octets: bytes) -> bytes:
        user, password = self.alice.address.encode(), self.password.encode()
        plain = base64.b64encode(b"\0" + user + b"\0" + password)
        for name, value in ((b"$user", user), (b"$password", password), (b"$plain", plain)):
            octets = octets.replace(name, value)
        if b"$rendering" in octets:
            rendered = render(record(1))
            octets = octets.replace(b"$rendering", rendered.read(0, rendered.size))
        return octets

    async def deliver(self, made: Record | None = None) -> None:
        self.mails += 1
        one = made or record(self.mails)
        rendered = render(one)
        await self.store.deliver(
            [NewMessage(self.account.inbox, one, rendered.size, len(rendered.header), self.clock())]
        )

    async def settle(self) -> None:
        """Sessions learn of a delivery a moment after it."""
        newest = (await self.store.mailbox(self.account.inbox)).highest_modseq
        shared = await self.backend.mailboxes.open(self.account.inbox)
        await asyncio.wait_for(shared.wait(newest - 1), 10)
        self.backend.mailboxes.close(shared)

    async def step(self, turn) -> bytes:
        if turn.action:
            await self.other(turn.action)
            octets = await said(self.one)
        else:
            octets = b"".join(
                [await said(self.one, piece) for piece in self.cut(self.filled(turn.octets))]
            )
        return IDS.sub(self.named, octets)

    def named(self, match: re.Match[bytes]) -> bytes:
        if match[1] == b"E" and match[2].startswith(b"0" * 24):
            return match[0]  # of mail whose id is known
        kind = [one for one in self.ids if one[:1] == match[1]]
        return self.ids.setdefault(match[0], match[1] + b"#%d" % (len(kind) + 1))

    async def said(self, octets: bytes) -> bytes:
        return await said(self.one, octets)

    async def other(self, words: list[str]) -> None:
        match words:
            case ["connect"]:
                pass
            case ["deliver", *form]:
                await self.deliver(verbatim(99) if form else None)
                await self.settle()
            case ["two", *command]:
                answer = await said(self.two, " ".join(["two", *command]).encode() + b"\r\n")
                assert b"two OK" in answer, answer
            case ["clock", seconds]:
                self.time += int(seconds)
            case ["reconnect"]:
                await self.one.close()
                await self.two.close()
                await self.connect()
            case ["restart"]:
                await self.one.close()
                await self.two.close()
                if self.folder is not None:
                    await self.store.close()
                    self.store = await sql_store(self.folder, self.clock)  # type: ignore[arg-type]
                self.open()
                await self.connect()
            case ["revoke"]:
                await self.store.remove_token(self.account.account_id, self.token_id)
            case _:
                raise ValueError(words)


async def said(connection: Connection, octets: bytes = b"") -> bytes:
    connection.receive_data(octets)
    return b"".join([piece async for piece in connection.replies()])


async def check(lines: list[str], cut, folder: Path | None = None) -> None:
    show = Play(lines, cut, folder)
    await show.begin()
    try:
        for turn in turns(lines):
            heard = await show.step(turn)
            assert heard.split(b"\r\n") == turn.expected.split(b"\r\n"), turn.octets
    finally:
        await show.close()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript_on_sqlite(path: Path, tmp_path: Path) -> None:
    await check(read(path), whole, tmp_path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_cutting_the_input_changes_nothing(path: Path) -> None:
    lines = read(path)
    await check(lines, whole)
    if not any(line.startswith("P:") for line in lines):
        await check(lines, single)
    for seed in range(20):
        await check(lines, at_random(seed))


def test_every_command_has_a_transcript() -> None:
    text = "\n".join(line for path in FILES for line in read(path)).upper()
    missing = [verb for verb in PARSE if f" {verb.decode()}" not in text]
    assert missing == []


async def rewrite(path: Path) -> None:
    lines = read(path)
    with tempfile.TemporaryDirectory() as folder:
        show = Play(lines, whole, Path(folder))
        await show.begin()
        out: list[str] = []
        for group in groups(lines):
            out += [line for line in group if not line.startswith("S:")]
            for turn in turns(group):
                heard = (await show.step(turn)).decode().removesuffix("\r\n")
                out += [f"S: {line}" for line in heard.split("\r\n")] if heard else []
        await show.close()
    path.write_text("\n".join(out) + "\n", encoding="utf-8")


def groups(lines: list[str]) -> Iterator[list[str]]:
    """Each turn with the comments before it; its old S: lines end it."""
    group: list[str] = []
    for line, following in itertools.pairwise([*lines, "X:"]):
        group.append(line)
        ends = line[:2] in ("X:", "S:") or (line[:2] in ("C:", "P:") and following[:2] == "X:")
        if ends and following[:2] != "S:":
            yield group
            group = []


if __name__ == "__main__":
    for name in sys.argv[1:]:
        asyncio.run(rewrite(Path(name)))
