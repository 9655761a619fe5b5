"""What a server says unasked, and servers that say it badly: nothing gets lost, nothing hangs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from e2email_client.failure import BadServer, Offline
from e2email_client.local import contents, mailboxes
from e2email_client.local.cache import open_cache
from e2email_client.local.cipher import Database
from e2email_client.sync import Stale, Sync
from e2email_client.upstream import Remote, RemoteMailbox, news
from e2email_client.upstream.news import Hearing, News
from e2email_client.upstream.wire import Wire
from e2email_protocol.imap.response import ResponseReader
from support.account_server import server_tls
from support.home import Home, home
from support.sealed_face import NAME, client_tls, house


def heard(octets: bytes) -> Hearing:
    hearing, reader = Hearing(), ResponseReader()
    reader.feed(octets)
    for response in reader:
        hearing.heard(response)
    return hearing


SEEN = frozenset({"\\Seen"})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"* 1 FETCH (UID 7 FLAGS (\\Seen) MODSEQ (9))\r\n", News(((7, SEEN, 9),))),
        (b"* 1 FETCH (FLAGS (\\Seen) UID 7)\r\n", News(((7, SEEN, 0),))),
        (b"* 1 FETCH (UID 7 MODSEQ (9))\r\n", News()),  # of flags it says nothing
        (b"* 1 FETCH (UID 7 BODY[] {1}\r\nx)\r\n", News()),
        (b"* 1 FETCH (FLAGS (\\Seen))\r\n", News(unclear=True)),  # of whom?
        (b"* 3 EXPUNGE\r\n", News(unclear=True)),
        (b"* 4 EXISTS\r\n", News(grown=True)),
        (b"* VANISHED 3,5:4\r\n", News(gone=((3, 3), (4, 5)))),
        (b"* VANISHED (EARLIER) 3:*\r\n", News(gone=((3, 2**32 - 1),))),
        (b"* VANISHED 3\r\n* 1 EXISTS\r\n* OK [CLOSED] x\r\n", News()),
        (
            b"* 1 FETCH (UID 7 FLAGS () MODSEQ (9))\r\n* 1 FETCH (UID 7 FLAGS (\\Seen)"
            b" MODSEQ (12))\r\n* 1 FETCH (UID 7 FLAGS () MODSEQ (11))\r\n",
            News(((7, SEEN, 12),)),
        ),
        (
            b"* 1 FETCH (UID 7 FLAGS (\\Seen))\r\n* 1 FETCH (UID 7 FLAGS () EMAILID (E1))\r\n",
            News(),  # an answer, and newer
        ),
    ],
)
def test_what_is_heard(said: bytes, told: News) -> None:
    assert heard(said).take() == told


def test_more_than_can_be_kept_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "MOST_CHANGES", 10)
    for line in (b"* 1 FETCH (UID %d FLAGS ())\r\n", b"* VANISHED %d\r\n"):
        hearing = heard(b"".join(line % uid for uid in range(1, 1000)))
        assert len(hearing._flags) + len(hearing._gone) <= 10
        assert hearing.take().unclear


def test_it_does_not_show_what_it_holds() -> None:
    assert "Seen" not in repr(heard(b"* 1 FETCH (UID 7 FLAGS (\\Seen $secret))\r\n").take())


@pytest.fixture
def cache(tmp_path) -> AsyncIterator[Database]:
    made = open_cache(tmp_path / "cache.db", bytes(32))
    yield made
    made.close()


Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def against(answer: Answer, cache: Database) -> AsyncIterator[tuple[Sync, Remote]]:
    """A Sync over a server that says `answer(command)` before each OK."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        try:
            while line := await reader.readline():
                tag, _, command = line.rstrip().partition(b" ")
                writer.write(answer(command) + tag + b" OK done\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_tls(NAME))
    context = client_tls()
    context.check_hostname = True
    wire = Wire("127.0.0.1", server.sockets[0].getsockname()[1], NAME, context, lambda _: None)
    try:
        await wire.greet()
        remote = Remote(wire)
        await remote.begin()
        opening = None
        yield Sync(cache, opening, remote), remote
    finally:
        wire.hang_up()
        server.close()


def line(uid: int, flags: bytes = b"", email_id: bytes = b"") -> bytes:
    return (
        b'* %d FETCH (UID %d FLAGS (%b) INTERNALDATE "22-Nov-2026 10:00:00 +0000" EMAILID (%b)'
        b" MODSEQ (5))\r\n" % (uid, uid, flags, email_id or b"E%032x" % uid)
    )


CAN = b"* CAPABILITY IMAP4rev1 ENABLE QRESYNC OBJECTID\r\n"
INBOX = RemoteMailbox("INBOX", None, True)


def scripted(selected: bytes, listed: bytes, **more: bytes) -> Answer:
    def answer(command: bytes) -> bytes:
        if command.startswith(b"CAPABILITY"):
            return CAN
        if command.startswith(b"ENABLE"):
            return b"* ENABLED QRESYNC\r\n"
        if command.startswith(b"SELECT"):
            return selected
        if command.startswith(b"UID FETCH"):
            return listed
        return more.get(command.split(b" ")[0].decode(), b"")

    return answer


def selected(count: int, uidnext: int) -> bytes:
    return (
        b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT %d] x\r\n"
        b"* OK [HIGHESTMODSEQ 5] x\r\n* OK [MAILBOXID (F1)] x\r\n" % (count, uidnext)
    )


async def test_a_hundred_thousand_replies_in_one_write(cache: Database) -> None:
    many = b"".join(line(uid) for uid in range(1, 100_001))
    async with against(scripted(selected(100_000, 100_001), many), cache) as (sync, _):
        local = await sync.skeleton(INBOX)
    assert contents.count(cache, local.id, 2**32) == 100_000
    assert mailboxes.by_id(cache, local.id).upstream_modseq == 5


async def test_vanished_in_the_middle_of_a_fetch(cache: Database) -> None:
    listed = line(1) + line(2) + b"* VANISHED 1\r\n" + line(3)
    listed += b"* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (6))\r\n"
    async with against(scripted(selected(3, 4), listed), cache) as (sync, _):
        local = await sync.skeleton(INBOX)
        async with sync.turn(local):
            pass  # the end of a turn writes down what was heard
    assert contents.server_flags(cache, local.id) == {2: SEEN, 3: frozenset()}


async def test_stars_inside_names_and_mail(cache: Database) -> None:
    names = [b"INBOX", b'"* 1 EXISTS"', b'"a * b"', b"{12}\r\n* VANISHED 1", b'"* "']
    listed = b"".join(b'* LIST () "/" %b\r\n' % name for name in names)
    async with against(scripted(b"", b"", LIST=listed), cache) as (_, remote):
        found = await remote.mailboxes()
        listed_as = ["INBOX", "* 1 EXISTS", "a * b", "* VANISHED 1", "* "]
        assert [one.name for one in found] == listed_as
        assert not remote.news()
    body = b"* VANISHED 1\r\n* 9 EXISTS\r\na OK done\r\n"
    said = b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%b)\r\n" % (len(body), body)
    async with against(scripted(b"", said), cache) as (_, remote):
        assert await remote.bodies([1]) == [(1, body)]
        assert not remote.news()


async def test_a_server_that_always_has_news_does_not_keep_us(cache: Database) -> None:
    flood = b"* 9 EXISTS\r\n* VANISHED 1\r\n* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n" * 1000
    script = scripted(selected(2, 3), line(1) + line(2) + flood, NOOP=flood)
    async with against(script, cache) as (sync, _):
        local = await asyncio.wait_for(sync.skeleton(INBOX), 30)
        async with asyncio.timeout(30):
            await sync.news(local)
            async with sync.turn(local) as remote:
                await remote.noop()
    assert mailboxes.by_id(cache, local.id).complete


async def test_one_uid_for_two_messages(cache: Database) -> None:
    twice = line(1) + line(1, email_id=b"E" + b"f" * 32)
    async with against(scripted(selected(1, 2), twice), cache) as (sync, _):
        with pytest.raises((BadServer, Stale)):
            await sync.skeleton(INBOX)
    assert mailboxes.named(cache, "INBOX").complete is False


@pytest.mark.parametrize(
    "lack",
    [b"", b"* OK [UIDVALIDITY x] y\r\n", b"* OK [UIDVALIDITY 7] y\r\n", b"* OK [UIDNEXT 3] y\r\n"],
)
async def test_a_select_that_leaves_something_out(cache: Database, lack: bytes) -> None:
    async with against(scripted(lack, b""), cache) as (sync, _):
        with pytest.raises(BadServer):
            await sync.skeleton(INBOX)
    assert mailboxes.named(cache, "INBOX") is None


async def test_a_server_that_hangs_up_at_each_step(tmp_path, monkeypatch) -> None:
    """Wherever it breaks off, the next attempt goes on, and in the end all is here."""
    mails = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(6)]
    async with house() as server, home(server, tmp_path, monkeypatch, run=False) as made:
        await server.deliver(*mails)
        for step in range(1, 200):
            for answered in (False, True):
                try:
                    await _synced(made, step, answered)
                except Offline:
                    continue
                break
            else:
                continue
            break
        assert step > 5
        assert made.uids() == [1, 2, 3, 4, 5, 6]
        local = made.local()
        assert made.cache.read("SELECT count(*) FROM body") == [(6,)]
        assert local.complete
        assert local.upstream_modseq


async def _synced(made: Home, most: int, answered: bool) -> None:
    """The connection breaks at the `most`-th command, or with the first octets after it."""
    remote = await made.remote()
    protocol = remote._wire.protocol
    start, received, count = protocol.start, protocol.data_received, 0

    def counted(*parts):
        nonlocal count
        count += 1
        if count == most and not answered:
            protocol.transport.abort()
        return start(*parts)

    def cut(octets: bytes) -> None:
        received(octets[: len(octets) // 2] if count >= most else octets)
        if count >= most:
            protocol.transport.abort()

    protocol.start = counted
    if answered:
        protocol.data_received = cut
    try:
        await Sync(made.cache, made.opening, remote).everything()
    finally:
        remote.close()
