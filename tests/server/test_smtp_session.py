"""What no transcript shows: smuggling, memory, time, connections, stopping, our own faults."""

import asyncio
import logging
import sys

import pytest

from e2email_server.smtp import service as service_module
from e2email_server.smtp.budget import COPIES, Connections, MemoryBudget
from e2email_server.smtp.data import MailData
from e2email_server.smtp.delivery import Arrival, Mail, Refusal
from e2email_server.smtp.limits import Limits
from e2email_server.smtp.server import start_smtp
from support.smtp_dialog import FakeDelivery, Peer, serving

# The scanner's list (SMTP-Smuggling-Tools) and chasquid's: what some servers take for the end.
ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n\n.\r\n",
    b"\r\n\0.\r\n",
    b"\0\r\n.\0\r\n",
    b"\r.\n",
    b"\n.\r",
    b"\r\r\n.\r\r\n",
]
SMUGGLED = b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nevil"


async def begin(peer: Peer) -> None:
    """To the 354."""
    for command in ("MAIL FROM:<s@sender.test>", "RCPT TO:<alice@example.test>", "DATA"):
        assert (await peer.ask(command))[0] in "23"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "TICK", 0.01)


@pytest.mark.parametrize("end", ENDS, ids=repr)
async def test_no_other_end_of_data_is_one(end: bytes) -> None:
    delivery = FakeDelivery()
    async with serving(delivery) as server:
        peer = await Peer.connect(server, greeted=True)
        await begin(peer)
        await peer.send(b"good" + end + SMUGGLED + b"\r\n.\r\n")
        assert (await peer.line()).startswith("250")
        assert await peer.ask("QUIT") == "221 2.0.0 Bye"
        await peer.close()
    content = (b"good" + end + SMUGGLED + b"\r\n").replace(b"\r\n.", b"\r\n")
    assert [mail.content for mail in delivery.mails] == [content]


def cut_at_each_point(octets: bytes) -> list[list[bytes]]:
    halves = [[octets[:i], octets[i:]] for i in range(len(octets) + 1)]
    return [*halves, [octets[i : i + 1] for i in range(len(octets))]]


@pytest.mark.parametrize("end", [b"", *ENDS], ids=repr)
def test_the_end_is_found_however_it_is_cut(end: bytes) -> None:
    sent = b".a" + end + b"\r\n..b\r\n.\r\n"
    for chunks in cut_at_each_point(sent):
        data, rest = MailData(100), b""
        for chunk in [*chunks, b"NOOP"]:
            rest = rest + chunk if data.done else data.feed(chunk)
        assert data.done
        assert rest == b"NOOP"
        assert data.received == len(sent)
        assert data.content() == b"a" + end.replace(b"\r\n.", b"\r\n") + b"\r\n.b\r\n"


def test_the_limit_counts_the_message_not_its_stuffing() -> None:
    lines = b".\r\n" * 30
    for limit, expected in ((90, lines), (89, None)):
        data = MailData(limit)
        data.feed(lines.replace(b".", b"..") + b".\r\n")
        assert data.content() == expected


def test_of_a_mail_too_large_nothing_is_kept() -> None:
    data = MailData(1000)
    for _ in range(100):
        data.feed(b"x" * 1000)
        assert len(data._buffer) < 3000
    assert data.feed(b"\r\n.\r\n") == b""
    assert data.done
    assert data.content() is None


async def test_a_long_line_and_a_large_mail_arrive_whole() -> None:
    delivery, content = FakeDelivery(), bytes(range(1, 256)).replace(b"\n", b"") * 12000 + b"\r\n"
    async with serving(delivery) as server:
        peer = await Peer.connect(server, greeted=True)
        assert (await peer.mail(content)).startswith("250")
        await peer.close()
        assert server.service.memory.used == 0
    assert delivery.mails[0].content == content


# --- memory ---------------------------------------------------------------------------------


async def test_memory_is_bounded_over_all_sessions() -> None:
    limits = {"memory": 300 * COPIES, "memory_reserve": 0, "small": 0}
    delivery = FakeDelivery()
    delivery.gate = asyncio.Event()
    async with serving(delivery, **limits) as server:
        first = await Peer.connect(server, greeted=True)
        waiting = asyncio.create_task(first.mail(b"x" * 250 + b"\r\n"))
        while server.service.memory.used < 250 * COPIES:
            await asyncio.sleep(0.001)
        second = await Peer.connect(server, greeted=True)
        refused = "452 4.3.1 Too much mail at one time, try again later"
        assert await second.ask("MAIL FROM:<s@sender.test> SIZE=100") == refused
        assert await second.mail(b"y" * 100 + b"\r\n") == refused
        delivery.gate.set()
        assert (await waiting).startswith("250")
        assert (await second.mail(b"y" * 100 + b"\r\n")).startswith("250")
        assert server.service.memory.used == 0
        for peer in (first, second):
            await peer.close()
    assert [len(mail.content) for mail in delivery.mails] == [252, 102]


async def test_a_declared_size_is_claimed_until_the_peer_is_gone() -> None:
    async with serving(FakeDelivery(), memory=300, memory_reserve=0, small=0) as server:
        peer = await Peer.connect(server, greeted=True)
        assert (await peer.ask("MAIL FROM:<s@sender.test> SIZE=90")).startswith("250")
        assert (await peer.ask("RCPT TO:<alice@example.test>")).startswith("250")
        assert server.service.memory.used == 0
        assert (await peer.ask("DATA")).startswith("354")
        assert server.service.memory.used == 90 * COPIES
        await peer.close()
        while server.service.sessions:
            await asyncio.sleep(0.001)
        assert server.service.memory.used == 0


def test_small_mail_has_a_reserve() -> None:
    budget = MemoryBudget(Limits(memory=1000, memory_reserve=300, small=10))
    assert budget.take(200)
    assert not budget.take(40)
    assert budget.take(10)
    budget.give_back(10)
    budget.give_back(200)
    assert budget.used == 0


# --- time and connections -------------------------------------------------------------------


async def test_an_idle_peer_is_let_go(quick: None) -> None:
    async with serving(FakeDelivery(), idle=0.05) as server:
        peer = await Peer.connect(server)
        await peer.line()
        assert await peer.line() == "421 4.4.2 Out of time"
        assert await peer.line() == "EOF"
        await peer.close()


async def test_a_trickle_does_not_keep_a_transaction_alive(quick: None) -> None:
    async with serving(FakeDelivery(), idle=5.0, transaction=0.1) as server:
        peer = await Peer.connect(server, greeted=True)
        await begin(peer)
        reply = asyncio.create_task(peer.line())
        while not reply.done():
            peer.writer.write(b"x")
            await asyncio.sleep(0.01)
        assert await reply == "421 4.4.2 Out of time"
        await peer.close()
        assert server.service.memory.used == 0


async def test_whoever_sends_fast_enough_has_the_time_it_takes(quick: None) -> None:
    async with serving(FakeDelivery(), transaction=0.05, rate=1000) as server:
        peer = await Peer.connect(server, greeted=True)
        await begin(peer)
        await peer.send(b"x" * 60_000)  # earns a minute
        await asyncio.sleep(0.2)
        await peer.send(b"\r\n.\r\n")
        assert (await peer.line()).startswith("250")
        await peer.close()


async def test_our_own_work_is_not_the_peers_delay(quick: None) -> None:
    delivery = FakeDelivery()
    delivery.gate = asyncio.Event()
    async with serving(delivery, idle=0.03, transaction=0.05) as server:
        peer = await Peer.connect(server, greeted=True)
        reply = asyncio.create_task(peer.mail(b"x\r\n"))
        await asyncio.sleep(0.2)
        delivery.gate.set()
        assert (await reply).startswith("250")
        await peer.close()


async def test_a_full_house_is_less_patient(quick: None) -> None:
    async with serving(FakeDelivery(), idle=1.0, impatience=0.05, connections=4) as server:
        peers = [await Peer.connect(server, greeted=True) for _ in range(3)]
        assert server.service.connections.patience == 0.05
        assert await peers[0].line() == "421 4.4.2 Out of time"
        for peer in peers:
            await peer.close()


async def test_connections_are_capped_by_address_and_in_all() -> None:
    for limits in ({"connections_per_address": 2}, {"connections": 2}):
        async with serving(FakeDelivery(), **limits) as server:
            peers = [await Peer.connect(server, greeted=True) for _ in range(2)]
            third = await Peer.connect(server)
            assert await third.line() == "421 4.7.0 Too many connections"
            assert await third.line() == "EOF"
            await peers[0].close()
            while server.service.connections.total == 2:
                await asyncio.sleep(0.001)
            fourth = await Peer.connect(server, greeted=True)
            for peer in (peers[1], third, fourth):
                await peer.close()


def test_an_ipv6_network_is_one_source() -> None:
    connections = Connections(Limits(connections_per_address=2))
    assert connections.enter("2001:db8::1")
    assert connections.enter("2001:db8::2")
    assert not connections.enter("2001:db8::ffff:1%eth0")
    assert connections.enter("2001:db8:0:1::1")
    assert connections.enter("192.0.2.1")
    connections.leave("2001:db8::2")
    assert connections.enter("2001:db8::3")
    assert connections.enter("::ffff:192.0.2.1")
    assert not connections.enter("192.0.2.1")
    assert connections.enter("::ffff:192.0.2.2")
    assert connections.total == 6


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second loopback address")
async def test_a_flood_from_one_address_leaves_room_for_others() -> None:
    async with serving(FakeDelivery()) as server:
        flood = []
        for number in range(2200):
            peer = await Peer.connect(server)
            if (await peer.line()).startswith("421"):
                await peer.close()
                continue
            flood.append(peer)
            if number % 10 == 0:
                await peer.send(b"E")
        assert len(flood) == Limits().connections_per_address
        good = await Peer.connect(server, greeted=True, source="127.0.0.2")
        for _ in range(20):
            assert (await good.mail(b"x\r\n")).startswith("250")
        for peer in [*flood, good]:
            await peer.close()


async def test_slow_peers_do_not_stop_the_others() -> None:
    async with serving(FakeDelivery(), connections_per_address=400) as server:
        slow = [await Peer.connect(server) for _ in range(300)]
        for peer in slow[::2]:
            await peer.send(b"E")
        good = await Peer.connect(server, greeted=True)
        for _ in range(20):
            assert (await good.mail(b"x\r\n")).startswith("250")
        for peer in [*slow, good]:
            await peer.close()
        while server.service.sessions:
            await asyncio.sleep(0.001)
        assert server.service.connections.total == 0


async def test_input_of_a_busy_session_stays_in_the_kernel() -> None:
    delivery = FakeDelivery()
    delivery.gate = asyncio.Event()
    async with serving(delivery, junk=10**9) as server:
        peer = await Peer.connect(server, greeted=True)
        await begin(peer)
        await peer.send(b"x\r\n.\r\n")
        flood = asyncio.create_task(peer.send(b"NOOP\r\n" * 500_000))
        await asyncio.sleep(0.1)
        (session,) = server.service.sessions
        assert len(session._input) < 1024 * 1024
        delivery.gate.set()
        assert (await peer.line()).startswith("250")
        assert await peer.line() == "250 2.0.0 OK"
        flood.cancel()
        await peer.close()


# --- stopping -------------------------------------------------------------------------------


async def test_stopping_lets_mail_in_flight_arrive() -> None:
    delivery = FakeDelivery()
    delivery.gate = asyncio.Event()
    async with serving(delivery) as server:
        idle = await Peer.connect(server, greeted=True)
        busy = await Peer.connect(server, greeted=True)
        reply = asyncio.create_task(busy.mail(b"x\r\n"))
        while not any(session._delivering for session in server.service.sessions):
            await asyncio.sleep(0.001)
        stop = asyncio.create_task(server.stop())
        assert await idle.line() == "421 4.3.2 Shutting down"
        assert not stop.done()
        delivery.gate.set()
        assert (await reply).startswith("250")
        assert await busy.line() == "421 4.3.2 Shutting down"
        await stop
        assert not server.service.sessions
        for peer in (idle, busy):
            await peer.close()
    assert len(delivery.mails) == 1


async def test_stopping_does_not_wait_for_ever() -> None:
    async with serving(FakeDelivery(), drain=0.05) as server:
        peer = await Peer.connect(server, greeted=True)
        await begin(peer)
        await server.stop()
        assert await peer.line() == "421 4.3.2 Shutting down"
        await peer.close()


async def test_a_port_that_is_taken_leaves_nothing_open() -> None:
    async with serving(FakeDelivery()) as server:
        taken = server.endpoints[0]
        with pytest.raises(OSError, match="in use"):
            await start_smtp([taken], "mx.example.test", FakeDelivery())


# --- our own faults, and what the log says --------------------------------------------------


async def test_a_fault_of_ours_is_451_and_the_session_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    delivery = FakeDelivery()
    async with serving(delivery) as server:
        peer = await Peer.connect(server, greeted=True)
        delivery.error = RuntimeError("canary-secret")
        await peer.ask("MAIL FROM:<s@sender.test>")
        assert await peer.ask("RCPT TO:<alice@example.test>") == Refusal.FAILED.reply.decode()
        delivery.error = None
        assert (await peer.mail(b"x\r\n")).startswith("250")
        await peer.close()
    assert "RCPT failed: RuntimeError at " in caplog.text
    assert "canary-secret" not in caplog.text


@pytest.mark.parametrize("refusal", list(Refusal))
async def test_a_mail_that_is_not_stored_is_not_acknowledged(refusal: Refusal) -> None:
    delivery = FakeDelivery()
    delivery.refuse = refusal
    async with serving(delivery) as server:
        peer = await Peer.connect(server, greeted=True)
        reply = await peer.mail(b"x\r\n", "alice@example.test", "bob@example.test")
        assert reply == refusal.reply.decode()
        assert reply[0] in "45"
        await peer.close()
    assert not delivery.mails


async def test_the_log_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(FakeDelivery()) as server:
        peer = await Peer.connect(server, greeted=True)
        assert (await peer.mail(b"Subject: canary\r\n\r\ncanary\r\n")).startswith("250")
        await peer.ask("canary")
        await peer.ask("MAIL FROM:<canary>")
        await peer.close()
    assert "taken: 27 octets, 1 recipients" in caplog.text
    for word in ("canary", "alice", "sender.test", "there"):
        assert word not in caplog.text


async def test_what_holds_mail_does_not_show_it() -> None:
    delivery = FakeDelivery()
    async with serving(delivery) as server:
        peer = await Peer.connect(server, greeted=True)
        await peer.mail(b"canary\r\n")
        await peer.ask("MAIL FROM:<canary@sender.test>")
        (session,) = server.service.sessions
        texts = [repr(session), repr(session._transaction), str(session)]
        await peer.close()
    (mail,) = delivery.mails
    assert isinstance(mail, Mail)
    data = MailData(10)
    data.feed(b"canary")
    arrival = Arrival("192.0.2.1", "canary", "ESMTP", None)
    texts += [repr(mail), str(mail), repr(data), repr(arrival), repr(mail.sender)]
    for text in texts:
        assert "canary" not in text
        assert "alice" not in text
