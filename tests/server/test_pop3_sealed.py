"""POP3 over the sealed face: the contract, transcripts (pop3_dialogs), and poplib over TLS."""

import asyncio
import base64
import imaplib
import poplib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from e2email_protocol.pop3 import errors
from e2email_protocol.pop3.commands import RUN
from e2email_protocol.pop3.connection import Connection
from e2email_protocol.pop3.context import Settings
from e2email_protocol.sealed.render import render
from e2email_server.config import Endpoint
from e2email_server.imap.message import CHUNK
from e2email_server.pop3.maildrop import SealedMaildrop
from e2email_server.pop3.server import start_pop3
from e2email_server.pop3.session import Pop3Backend, SealedPop3Session
from e2email_server.store.errors import StoreFailed
from e2email_server.store.types import FlagOp
from support.account_server import server_tls
from support.fixed_records import record
from support.pop3_contract import MAILS, MaildropContract, whole
from support.sealed_face import NAME, House, client_tls, house, imaplib_client
from support.transcript import at_random, options, read, single, turns
from support.transcript import whole as uncut

FOLDER = Path(__file__).parent / "pop3_dialogs"
FILES = sorted(FOLDER.glob("*.txt"))
MAIL = b"From: Carol <carol@example.net>\r\nSubject: eggs\r\n\r\nAt nine?\r\n"
LARGE = MAIL + b"x" * 70 + b"\r\n" * 200_000
T = TypeVar("T")


@pytest.fixture(params=["memory", "sql"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path if request.param == "sql" else None) as running:
        yield running


# --- the contract -----------------------------------------------------------------------------


class Place:
    """An inbox with messages 3, 5 and 9, of which 5 is large."""

    def __init__(self, server: House) -> None:
        self.server = server
        self.backend = Pop3Backend(server.store, server.backend.logins)

    async def fill(self) -> None:
        self.password = await self.server.password()
        self.records = await self.server.deliver(*[LARGE if n == 5 else MAIL for n in range(1, 10)])
        await self.server.store.remove(self.server.account.inbox, [1, 2, 4, 6, 7, 8])

    def session(self) -> SealedPop3Session:
        return SealedPop3Session(self.backend, "192.0.2.1")

    async def login(self, *scopes: str) -> SealedMaildrop:
        secret = await self.server.password(*scopes) if scopes else self.password
        return await self.session().login(self.server.resident.address, secret.encode())

    async def wrong(self) -> SealedMaildrop:
        self.server.ticks.now += 1000  # the throttle's
        return await self.session().login(self.server.resident.address, b"wrong")

    async def remove(self, uid: int) -> None:
        await self.server.store.remove(self.server.account.inbox, [uid])

    async def uids(self) -> list[int]:
        found = await self.server.store.entries(self.server.account.inbox)
        return [entry.uid for entry in found.entries]

    def down(self) -> None:
        async def fails(*_: object) -> list[int]:
            raise StoreFailed("the disk is gone")

        self.server.store.remove = fails  # type: ignore[method-assign]


@pytest.fixture
async def place(server: House) -> Place:
    made = Place(server)
    await made.fill()
    return made


class TestSealedMaildrop(MaildropContract):
    """The contract, of ciphertext."""

    async def test_sizes_and_octets_are_exact(self, place: Place) -> None:
        maildrop = await place.login()
        inbox = await place.server.store.mailbox(place.server.account.inbox)
        assert maildrop.uidvalidity == inbox.uidvalidity
        assert [one.uid for one in maildrop.messages] == list(MAILS)
        for uid, size in maildrop.messages:
            rendered = render(place.records[uid - 1])
            assert await whole(maildrop, uid) == rendered.read(0, rendered.size)
            assert size == rendered.size
        await maildrop.close()


# --- who may what -----------------------------------------------------------------------------


async def test_scopes(place: Place) -> None:
    with pytest.raises(errors.Refused, match="read") as refused:
        await place.login("send")
    assert (refused.value.code, place.backend.held) == (b"AUTH", set())
    maildrop = await place.login("read")
    assert await whole(maildrop, 3)
    with pytest.raises(errors.Refused, match="delete"):
        await maildrop.delete([3])
    await maildrop.close()
    assert await place.uids() == [3, 5, 9]
    assert place.backend.held == set()


async def test_what_opens_the_vault_does_not_log_in_nor_do_odd_octets(place: Place) -> None:
    for secret in (b"", b"\xff", b"a" * 64):
        place.server.ticks.now += 1000
        with pytest.raises(errors.AuthenticationFailed):
            await place.session().login(place.server.resident.address, secret)
    with pytest.raises(errors.AuthenticationFailed):
        await place.session().login("a" * 255, place.password.encode())


async def test_failures_slow_the_next_login_down(place: Place) -> None:
    place.server.ticks.now += 1000
    for _ in range(20):
        with pytest.raises(errors.Refused) as refused:
            await place.session().login(place.server.resident.address, b"wrong")
    assert refused.value.code == b"LOGIN-DELAY"


async def test_a_revoked_password_reads_and_removes_nothing(place: Place) -> None:
    maildrop = await place.login()
    account = place.server.account.account_id
    for token in await place.server.store.tokens(account):
        await place.server.store.remove_token(account, token.token_id)
    for work in (whole(maildrop, 3), maildrop.delete([3])):
        with pytest.raises(errors.Refused) as refused:
            await work
        assert refused.value.text == b"this password is not valid any more"
    assert await place.uids() == [3, 5, 9]


async def test_flags_stay_and_deleted_mail_is_listed(place: Place) -> None:
    inbox = place.server.account.inbox
    await place.server.store.store_flags(inbox, [3], FlagOp.ADD, frozenset({"\\Deleted"}))
    maildrop = await place.login()
    assert [one.uid for one in maildrop.messages] == [3, 5, 9]
    await whole(maildrop, 5)
    await maildrop.close()
    entries = (await place.server.store.entries(inbox)).entries
    assert [entry.flags for entry in entries] == [{"\\Deleted"}, set(), set()]


async def test_a_large_mail_comes_in_pieces(place: Place) -> None:
    maildrop = await place.login()
    sizes = [len(piece) async for piece in maildrop.retrieve(5)]
    assert max(sizes) == CHUNK
    assert len(sizes) > 2


async def test_nothing_of_a_mail_is_in_a_repr(place: Place) -> None:
    maildrop = await place.login()
    shown = repr(maildrop) + repr(place.session())
    assert shown == "<SealedMaildrop 3 messages><SealedPop3Session>"


# --- transcripts ------------------------------------------------------------------------------


class Play:
    """`# setup:` is any of mails=N, no-login, clear, scopes=...; UIDVALIDITY is written as UV."""

    def __init__(self, lines: list[str], cut: Callable[[bytes], list[bytes]]) -> None:
        self.options, self.cut = options(lines), cut

    async def begin(self, server: House) -> None:
        self.server = server
        for number in range(1, int(self.options.get("mails", 0)) + 1):
            await server.put(record(number))
        scopes = self.options.get("scopes", "").split(",")
        self.password = await server.password(*filter(None, scopes))
        self.backend = Pop3Backend(server.store, server.backend.logins)
        inbox = await server.store.mailbox(server.account.inbox)
        self.uidvalidity = b"%d." % inbox.uidvalidity
        self.connection = self.connect()
        if "no-login" not in self.options:
            await self.log_in(self.connection)

    def connect(self) -> Connection:
        session = SealedPop3Session(self.backend, "192.0.2.1")
        clear = "clear" in self.options
        return Connection(session, Settings(stls=clear), tls=not clear, report=lambda _: None)

    async def log_in(self, connection: Connection) -> None:
        await _said(connection)
        assert (await _said(connection, self.filled(b"AUTH PLAIN $plain\r\n")))[:3] == b"+OK"

    def filled(self, octets: bytes) -> bytes:
        user, password = self.server.resident.address.encode(), self.password.encode()
        plain = base64.b64encode(b"\0" + user + b"\0" + password)
        for name, value in ((b"$user", user), (b"$password", password), (b"$plain", plain)):
            octets = octets.replace(name, value)
        return octets

    async def step(self, turn) -> bytes:
        if turn.action:
            await self.other(turn.action)
            octets = await _said(self.connection)
        else:
            pieces = self.cut(self.filled(turn.octets))
            octets = b"".join([await _said(self.connection, piece) for piece in pieces])
        return octets.replace(self.uidvalidity, b"UV.")

    async def other(self, words: list[str]) -> None:
        inbox = self.server.account.inbox
        match words:
            case ["connect"]:
                pass
            case ["again"]:
                await self.connection.close()
                self.connection = self.connect()
                await self.log_in(self.connection)
            case ["hold"]:
                self.other_one = self.connect()
                await self.log_in(self.other_one)
            case ["free"]:
                await self.other_one.close()
            case ["deliver", number]:
                await self.server.put(record(int(number)))
            case ["remove", uid]:
                await self.server.store.remove(inbox, [int(uid)])
            case ["secured"]:
                self.connection.secured()
            case ["clock"]:
                self.server.ticks.now += 1000
            case _:
                raise ValueError(words)


async def _said(connection: Connection, octets: bytes = b"") -> bytes:
    connection.receive_data(octets)
    return b"".join([piece async for piece in connection.replies()])


async def check(lines: list[str], cut, folder: Path | None = None) -> None:
    show = Play(lines, cut)
    async with house(folder) as server:
        await show.begin(server)
        for turn in turns(lines):
            heard = await show.step(turn)
            assert heard.split(b"\r\n") == turn.expected.split(b"\r\n"), turn.octets
        await show.connection.close()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript_on_sqlite(path: Path, tmp_path: Path) -> None:
    await check(read(path), uncut, tmp_path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_cutting_the_input_changes_nothing(path: Path) -> None:
    lines = read(path)
    await check(lines, single)
    for seed in range(10):
        await check(lines, at_random(seed))


def test_every_command_has_a_transcript() -> None:
    text = "\n".join(line for path in FILES for line in read(path))
    assert [verb for verb in RUN if f"C: {verb.decode()}" not in text] == []


# --- over TLS ---------------------------------------------------------------------------------


@asynccontextmanager
async def ports(server: House) -> AsyncIterator[tuple[int, int]]:
    """(STLS, implicit TLS)."""
    backend = Pop3Backend(server.store, server.backend.logins)
    where = [Endpoint("127.0.0.1", 0)]
    started = [
        await start_pop3(where, backend, server_tls(NAME), implicit=implicit, drain=1)
        for implicit in (False, True)
    ]
    try:
        yield started[0].endpoints[0].port, started[1].endpoints[0].port
    finally:
        for one in started:
            await one.stop()


def client(address: str, password: str, port: int, implicit: bool) -> poplib.POP3:
    if implicit:
        one: poplib.POP3 = poplib.POP3_SSL("127.0.0.1", port, context=client_tls())
    else:
        one = poplib.POP3("127.0.0.1", port)
        one.stls(client_tls())
    one.user(address)
    one.pass_(password)
    return one


@pytest.mark.parametrize("implicit", [False, True], ids=["stls", "implicit"])
async def test_poplib_reads_what_imap_reads(server: House, implicit: bool) -> None:
    await server.deliver(MAIL, LARGE)
    await server.put(record(3))
    password = await server.password()
    address = server.resident.address

    def by_imap() -> list[bytes]:
        with imaplib_client(server, password) as one:
            one.select(readonly=True)
            return [part[1] for part in one.fetch("1:*", "(BODY.PEEK[])")[1] if len(part) == 2]

    def by_pop3(port: int) -> tuple[list[bytes], list[bytes], list[int]]:
        one = client(address, password, port, implicit)
        mails = [b"\r\n".join(one.retr(number)[1]) + b"\r\n" for number in (1, 2, 3)]
        uids = one.uidl()[1]
        sizes = [int(line.split()[1]) for line in one.list()[1]]
        assert one.top(1, 0)[1][-1] == b""
        one.dele(2)
        one.quit()
        return mails, uids, sizes

    async with ports(server) as (clear, secure):
        octets = await asyncio.to_thread(by_imap)
        mails, uids, sizes = await asyncio.to_thread(by_pop3, secure if implicit else clear)
    assert mails == octets
    assert sizes == [len(one) for one in octets]
    validity = (await server.store.mailbox(server.account.inbox)).uidvalidity
    assert uids == [b"%d %d.%d" % (n, validity, n) for n in (1, 2, 3)]
    left = (await server.store.entries(server.account.inbox)).entries
    assert [entry.uid for entry in left] == [1, 3]


async def test_an_imap_session_is_told_of_what_pop3_removed(server: House) -> None:
    await server.deliver(MAIL, MAIL)
    password = await server.password()

    def work(port: int) -> bytes:
        with imaplib_client(server, password) as imap:
            imap.select()
            one = client(server.resident.address, password, port, True)
            one.dele(1)
            one.quit()
            imap.noop()
            return bytes(imaplib.IMAP4.response(imap, "EXPUNGE")[1][0])

    async with ports(server) as (_, secure):
        assert await asyncio.to_thread(work, secure) == b"1"


# --- writing transcripts anew: python -m server.test_pop3_sealed FILE... (in tests/) ----------


async def rewrite(path: Path) -> None:
    lines, out = read(path), []
    group: list[str] = []
    show = Play(lines, uncut)
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder)) as server:
            await show.begin(server)
            for line, following in zip(lines, [*lines[1:], "X:"], strict=True):
                if not line.startswith("S:"):
                    group.append(line)
                if line[:2] not in ("C:", "X:", "S:") or following[:2] in ("S:", "P:"):
                    continue
                out += group
                for turn in turns(group):
                    heard = (await show.step(turn)).decode().removesuffix("\r\n")
                    out += [f"S: {one}" for one in heard.split("\r\n")] if heard else []
                group = []
            await show.connection.close()
    path.write_text("\n".join(out + group) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        asyncio.run(rewrite(Path(name)))
