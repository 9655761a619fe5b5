"""POP3 at the proxy: over a real cache and a server that is a dictionary."""

import asyncio
from pathlib import Path

import pytest

from e2email_client.failure import LocalFault, Offline, Refused
from e2email_client.local import cache, contents, mailboxes, mails
from e2email_client.local.contents import Skeleton
from e2email_client.local.mails import Body, Security, State, Summary
from e2email_client.proxy import pop3
from e2email_client.proxy.account import ProxyAccount
from e2email_client.sync import Stale
from e2email_protocol.pop3 import errors
from e2email_protocol.pop3.connection import Connection
from e2email_protocol.pop3.context import Settings
from support.passwords import OnePassword
from support.pop3_contract import MAILS, MaildropContract, whole

ALICE, PASSWORD = "alice@example.test", b"the proxy's own"
TWO = len(MAILS[5])


def summary(size: int, state: State = State.READY) -> Summary:
    security = Security("sealed on arrival", "smtp")
    return Summary(state, size, b"()", b"()", b"", "", 0, "", "", "", 0, security)


class Server:
    """What Live asks for, and what it does to the cache; `broken`: methods that fail."""

    def __init__(self, database, mails_there):
        self.cache = database
        self.mails = dict(mails_there)
        self.flags = dict.fromkeys(mails_there, frozenset())
        self.broken: dict[str, Exception] = {}
        self.slow = asyncio.Event()
        self.slow.set()
        self.ensured: list[tuple[list[int], State]] = []
        self.generation = 0
        self.listing = False

    async def settled(self):
        return None

    def _may(self, method: str) -> None:
        if method in self.broken:
            raise self.broken[method]

    @property
    def writing(self):
        return self

    async def ensure(self, local, uids, state):
        await self.slow.wait()
        self._may("ensure")
        self.ensured.append((list(uids), state))
        there = [(f"e{uid}", self.mails[uid]) for uid in uids if uid in self.mails]
        mails.put_summaries(self.cache, [(name, summary(len(x))) for name, x in there])
        if state is State.OPENED:
            mails.put_bodies(
                self.cache,
                [(n, summary(len(x), State.OPENED), Body(x, x, 0, b"", "")) for n, x in there],
            )

    async def delete_messages(self, local, uids):
        await self.slow.wait()
        self._may("delete")
        self.remove(local, uids)

    def remove(self, local, uids):
        for uid in uids:
            del self.mails[uid], self.flags[uid]
        contents.remove(self.cache, local.id, uids)
        self.generation += 1


class Place:
    """One account whose inbox is listed and not opened."""

    def __init__(self, folder: Path):
        self.cache = cache.open_cache(folder / "cache.db", bytes(32))
        self.server = Server(self.cache, MAILS)
        self.account = ProxyAccount(ALICE, OnePassword(PASSWORD.decode()), self.cache, self.server)
        self.local = self.list_inbox(complete=True)

    def list_inbox(self, complete: bool):
        local = mailboxes.put(self.cache, "INBOX", 7, None, True)
        found = [Skeleton(uid, f"e{uid}", frozenset(), 0) for uid in MAILS]
        contents.add(self.cache, local.id, found)
        if complete:
            mailboxes.listed(self.cache, local.id, uidnext=10, upstream_modseq=1)
        return local

    def session(self) -> pop3.Pop3Session:
        return pop3.Pop3Session([self.account])

    async def login(self):
        return await self.session().login(ALICE, PASSWORD)

    async def wrong(self):
        return await self.session().login(ALICE, b"wrong")

    async def remove(self, uid: int) -> None:
        self.server.remove(self.local, [uid])

    async def uids(self) -> list[int]:
        return sorted(self.server.mails)

    def down(self) -> None:
        gone = Offline("the server is not reachable")
        self.server.broken = {"ensure": gone, "delete": LocalFault("the disk is full")}


@pytest.fixture
async def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.cache.close()


class TestProxyMaildrop(MaildropContract):
    """The contract, at the proxy."""


# login


@pytest.mark.parametrize("user", [ALICE, " Alice@EXAMPLE.test ", "ALICE@example.test"])
async def test_the_address_in_any_case(place, user):
    await (await place.session().login(user, PASSWORD)).close()


@pytest.mark.parametrize("user", ["", "alice", "bob@example.test", "\ufffd"])
async def test_names_that_nobody_has(place, user):
    for password in (PASSWORD, b"", "ä".encode()):
        with pytest.raises(errors.AuthenticationFailed):
            await place.session().login(user, password)


async def test_sizes_are_asked_for_once(place):
    await (await place.login()).close()
    assert place.server.ensured == [([3, 5, 9], State.READY)]
    await (await place.login()).close()
    assert len(place.server.ensured) == 1


async def test_login_without_a_server_where_all_sizes_are_known(place):
    await (await place.login()).close()
    place.down()
    maildrop = await place.login()
    assert [one.size for one in maildrop.messages] == [len(one) for one in MAILS.values()]
    with pytest.raises(errors.Unavailable):
        await whole(maildrop, 3)
    await maildrop.close()


async def test_no_login_while_a_size_is_unknown(place):
    place.down()
    with pytest.raises(errors.Unavailable):
        await place.login()
    place.server.broken = {}
    await (await place.login()).close()


@pytest.mark.parametrize("fault", [Refused("X", "no"), Stale()])
async def test_no_login_when_the_server_refuses(place, fault):
    place.server.broken = {"ensure": fault}
    with pytest.raises(errors.Unavailable):
        await place.login()
    assert not place.account.maildrop_held


async def test_no_login_when_a_message_cannot_be_summarised(place, monkeypatch):
    async def nothing(local, uids, state):
        return None

    monkeypatch.setattr(place.server, "ensure", nothing)
    with pytest.raises(errors.Unavailable):
        await place.login()


async def test_a_closed_summary_is_no_size(place):
    """Sender-encrypted mail: the size of the opened view is not known before it is opened."""
    mails.put_summaries(place.cache, [("e3", summary(1, State.CLOSED))])
    maildrop = await place.login()
    assert maildrop.messages[0].size == len(MAILS[3])
    await maildrop.close()


async def test_sizes_that_take_too_long(place, monkeypatch):
    monkeypatch.setattr(pop3, "SIZES_SECONDS", 0.01)
    place.server.slow.clear()
    with pytest.raises(errors.Unavailable):
        await place.login()
    monkeypatch.undo()
    place.server.slow.set()
    await (await place.login()).close()


async def test_a_program_that_leaves_during_login_holds_nothing(place):
    place.server.slow.clear()
    task = asyncio.create_task(place.login())
    while not place.account.maildrop_held:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not place.account.maildrop_held


@pytest.mark.parametrize("listed", [False, True])
async def test_no_login_before_the_inbox_is_listed(place, listed):
    mailboxes.drop(place.cache, [place.local])
    if listed:
        place.list_inbox(complete=False)
    with pytest.raises(errors.Unavailable):
        await place.login()
    assert not place.account.maildrop_held


# RETR


async def test_a_message_is_opened_when_it_is_asked_for_with_those_that_follow(place):
    maildrop = await place.login()
    assert await whole(maildrop, 5) == MAILS[5]
    assert await whole(maildrop, 9) == MAILS[9]
    assert place.server.ensured[1:] == [([5, 9], State.OPENED)]
    pieces = [len(piece) async for piece in maildrop.retrieve(5)]
    assert max(pieces) == pop3.PIECE
    await maildrop.close()


@pytest.mark.parametrize(
    ("messages", "octets", "asked"),
    [(0, 1 << 20, [3]), (1, 1 << 20, [3, 5]), (9, 1 << 20, [3, 5, 9]), (9, TWO, [3, 5])],
)
async def test_what_is_opened_ahead_is_bounded(place, monkeypatch, messages, octets, asked):
    monkeypatch.setattr(pop3, "MESSAGES_AHEAD", messages)
    monkeypatch.setattr(pop3, "OCTETS_AHEAD", octets)
    maildrop = await place.login()
    assert await whole(maildrop, 3) == MAILS[3]
    assert place.server.ensured[1:] == [(asked, State.OPENED)]
    await maildrop.close()


async def test_one_that_follows_and_cannot_be_opened_costs_only_itself(place):
    maildrop = await place.login()
    del place.server.mails[5]
    assert await whole(maildrop, 3) == MAILS[3]
    with pytest.raises(errors.Unavailable):
        await whole(maildrop, 5)
    assert await whole(maildrop, 9) == MAILS[9]
    await maildrop.close()


async def test_a_message_that_cannot_be_opened_now(place, monkeypatch):
    maildrop = await place.login()

    async def nothing(local, uids, state):
        return None

    monkeypatch.setattr(place.server, "ensure", nothing)
    with pytest.raises(errors.Unavailable):
        await whole(maildrop, 3)
    await maildrop.close()


# QUIT


async def test_quit_goes_on_when_the_program_does_not_wait(place):
    maildrop = await place.login()
    place.server.slow.clear()
    task = asyncio.create_task(maildrop.delete([3]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closing = asyncio.create_task(maildrop.close())
    await asyncio.sleep(0)
    assert place.account.maildrop_held
    place.server.slow.set()
    await closing
    assert await place.uids() == [5, 9]
    assert not place.account.maildrop_held


async def test_the_engine_over_it(place):
    reports = []
    engine = Connection(
        pop3.Pop3Session([place.account]), Settings(), tls=True, report=reports.append
    )
    engine.receive_data(b"USER %b\r\nPASS %b\r\n" % (ALICE.encode(), PASSWORD))
    engine.receive_data(b"UIDL 2\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    said = b"".join([octets async for octets in engine.replies()])
    assert said == (
        b"+OK ready\r\n+OK and the password\r\n+OK logged in\r\n+OK 2 7.5\r\n+OK 21 octets\r\n"
        b"Subject: one\r\n\r\none\r\n.\r\n+OK marked\r\n+OK bye\r\n"
    )
    assert engine.closing
    assert reports == []
    await engine.close()
    assert await place.uids() == [5, 9]


async def test_no_repr_says_who_or_what(place):
    maildrop = await place.login()
    shown = repr(maildrop) + repr(place.account)
    assert PASSWORD.decode() not in shown
    assert repr(maildrop) == "ProxyMaildrop(3 messages)"
    await maildrop.close()
