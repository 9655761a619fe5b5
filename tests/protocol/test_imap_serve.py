"""The driver on loopback: real clients, TLS in both ways, deadlines, caps, slow readers."""

import asyncio
import imaplib
import socket
import ssl

import pytest
import trustme
from imapclient import IMAPClient

from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.imap.errors import Refused
from e2email_protocol.serve import HIGH_WATER, Face, Limits, address_of, growing_delay, listen
from support.imap import MAIL, Account, MemoryMailbox, MemorySession, Stored

CA = trustme.CA()
QUICK = Limits(login=0.2, idle=0.2, stall=0.2, linger=0.1, heartbeat=0.1, tick=0.02)


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    return context


CERTIFICATE = CA.issue_cert("localhost", "127.0.0.1")
SERVER = server_context()


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


class House:
    """A listener with everything that went through it."""

    def __init__(self, account: Account, mode: str, limits: Limits, has: frozenset[bytes]):
        self.account = account
        self.has = has
        self.mode = mode
        self.limits = limits
        self.reports: list[BaseException] = []
        self.engines: list[Connection] = []
        self.sessions: list[MemorySession] = []

    def engine(self, peer):
        settings = Settings(starttls=self.mode == "starttls", clear_login=self.mode == "clear")
        self.sessions.append(MemorySession(self.account, has=self.has))
        self.engines.append(
            Connection(self.sessions[-1], settings, tls=peer.tls, report=self.reports.append)
        )
        return self.engines[-1]

    async def __aenter__(self):
        face = Face(
            self.engine,
            b"* BYE too many connections\r\n",
            self.reports.append,
            lambda: SERVER,
            implicit=self.mode == "tls",
        )
        self.listener = await listen(face, "127.0.0.1", 0, self.limits)
        return self

    async def __aexit__(self, *_):
        await self.listener.close(grace=1)
        assert self.listener.connections == 0

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.listener.port)

    async def login(self):
        reader, writer = await self.connect()
        await reader.readline()
        writer.write(b"a LOGIN alice@example.test secret\r\n")
        await reader.readline()
        return reader, writer


def house(
    *mails: bytes,
    mode: str = "clear",
    limits: Limits | None = None,
    has: frozenset[bytes] = frozenset(),
) -> House:
    return House(Account(*mails), mode, limits or Limits(tick=0.05), has)


# real clients


def use_imaplib(port: int, mode: str) -> None:
    if mode == "tls":
        client = imaplib.IMAP4_SSL("localhost", port, ssl_context=client_context())
    else:
        client = imaplib.IMAP4("localhost", port)
        assert "LOGINDISABLED" in client.capabilities
        with pytest.raises(imaplib.IMAP4.error):
            client.login("alice@example.test", "secret")
        client.starttls(client_context())
    client.login("alice@example.test", "secret")
    assert client.select("INBOX") == ("OK", [b"2"])
    body = bytes(range(256)) * 8000
    assert client.append("INBOX", "(\\Seen)", None, b"A: b\r\n\r\n" + body)[0] == "OK"
    _, data = client.fetch("3", "(UID BODY.PEEK[TEXT])")
    assert data[0][1] == imaplib.MapCRLF.sub(imaplib.CRLF, body)
    assert client.search(None, "SUBJECT", '"breakfast"') == ("OK", [b"1 2"])
    assert client.store("1", "+FLAGS", "(\\Deleted $x)")[1] == [
        b"1 (FLAGS (\\Deleted $x \\Recent))"
    ]
    assert client.expunge() == ("OK", [b"1"])
    assert client.create("Archive") == ("OK", [b"done"])
    assert client.copy("1", "Archive")[0] == "OK"
    assert len(client.list()[1]) == 2
    client.close()
    client.logout()


@pytest.mark.parametrize("mode", ["tls", "starttls"])
async def test_imaplib(mode):
    async with house(MAIL, MAIL, mode=mode) as it:
        await asyncio.to_thread(use_imaplib, it.listener.port, mode)
        assert [error for error in it.reports if not isinstance(error, Refused)] == []


def use_rev2(port: int) -> None:
    with imaplib.IMAP4_SSL("localhost", port, ssl_context=client_context()) as client:
        client.login("alice@example.test", "secret")
        assert "IMAP4REV2" in client.capabilities
        assert client.enable("IMAP4rev2") == ("OK", [b"done"])
        assert client.response("ENABLED") == ("ENABLED", [b"IMAP4rev2"])
        assert client.create('"Bücher"'.encode())[0] == "OK"
        assert client.select("INBOX") == ("OK", [b"2"])
        assert client.response("RECENT") == ("RECENT", [None])
        assert client.response("LIST") == ("LIST", [b'(\\HasNoChildren) "/" "INBOX"'])
        assert client.uid("SEARCH", "ALL") == ("OK", [None])
        (found,) = client.response("ESEARCH")[1]
        assert found.endswith(b") UID ALL 1:2")
        assert client.fetch("1", "(FLAGS)")[1] == [b"1 (FLAGS ())"]
        assert client.fetch("1", "(BINARY.PEEK[1])")[1][0][1] == b"Eggs at nine?\r\n"
        assert b'"B\xc3\xbccher"' in client.list()[1][1]


async def test_imaplib_in_rev2():
    async with house(MAIL, MAIL, mode="tls", has=frozenset({b"BINARY"})) as it:
        await asyncio.to_thread(use_rev2, it.listener.port)
        assert it.reports == []


def use_imapclient(port: int) -> None:
    with IMAPClient("localhost", port, ssl_context=client_context()) as client:
        client.plain_login("alice@example.test", "secret")
        assert client.capabilities()
        assert client.namespace().personal == (("", "/"),)
        assert client.id_({"name": "test"}) == ((b"name", b"e2email"),)
        assert client.select_folder("INBOX")[b"EXISTS"] == 3
        found = client.fetch([1, 2], ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY[]"])
        assert found[1][b"BODY[]"] == MAIL
        assert found[1][b"RFC822.SIZE"] == len(MAIL)
        assert client.search(["UNSEEN"]) == [3]
        assert client.search(["SUBJECT", "früh"], "UTF-8") == []
        client.create_folder("Entwürfe/Zwei & mehr")
        names = {name for _, _, name in client.list_folders()}
        assert names == {"INBOX", "Entwürfe", "Entwürfe/Zwei & mehr"}
        client.move([1], "Entwürfe/Zwei & mehr")
        assert client.folder_status("Entwürfe/Zwei & mehr")[b"MESSAGES"] == 1
        client.add_flags([2], ["\\Deleted"])
        client.uid_expunge([2])
        assert client.search() == [3]
        client.append("INBOX", MAIL, ["$label1"])
        assert client.get_flags(client.search()[-1:]) == {4: (b"$label1", b"\\Recent")}
        client.idle()
        client.idle_check(timeout=0.01)
        client.idle_done()
        client.unselect_folder()


async def test_imapclient():
    async with house(MAIL, MAIL, MAIL, mode="tls") as it:
        await asyncio.to_thread(use_imapclient, it.listener.port)
        assert it.reports == []
        assert it.sessions[0].identity == {"name": "test"}


def use_extensions(port: int) -> None:
    with IMAPClient("localhost", port, ssl_context=client_context()) as client:
        client.plain_login("alice@example.test", "secret")
        highest = client.select_folder("INBOX")[b"HIGHESTMODSEQ"]
        client.add_flags([2], ["\\Flagged"])
        changed = client.fetch([1, 2, 3], ["FLAGS"], [f"CHANGEDSINCE {highest}"])
        assert list(changed) == [2]
        assert changed[2][b"MODSEQ"] == (highest + 1,)
        assert client.search(["MODSEQ", str(highest + 1)]).modseq == highest + 1
        assert client.sort("REVERSE ARRIVAL", ["ALL"]) == [1, 2, 3]
        assert client.sort(["REVERSE SIZE"]) == [3, 1, 2]
        assert client.thread("REFERENCES") == (((1,), (2,)), (3,))
        assert client.fetch([1], ["PREVIEW"])[1][b"PREVIEW"] == b"Eggs at nine?"
        assert client.fetch([1], ["BINARY.PEEK[1]"])[1][b"BINARY[1]"] == b"Eggs at nine?\r\n"
        assert client.folder_status("INBOX", ["MAILBOXID"]) == {b"MAILBOXID": (b"F1",)}


async def test_imapclient_and_the_extensions():
    has = {b"CONDSTORE", b"SORT", b"THREAD=REFERENCES", b"PREVIEW", b"BINARY", b"OBJECTID"}
    async with house(MAIL, MAIL, MAIL + MAIL, mode="tls", has=frozenset(has)) as it:
        it.account.boxes["INBOX"].stored[3].octets = b"Subject: x\r\n\r\n" + MAIL
        await asyncio.to_thread(use_extensions, it.listener.port)
        assert it.reports == []


async def test_new_mail_reaches_an_idle_client():
    async with house(MAIL) as it:
        reader, writer = await it.login()
        writer.write(b"b SELECT INBOX\r\nc IDLE\r\n")
        while await reader.readline() != b"+ idling\r\n":
            pass
        for count in (2, 3):
            it.account.boxes["INBOX"].add(Stored(MAIL))
            assert await reader.readline() == b"* %d EXISTS\r\n" % count
            await reader.readline()
        writer.write(b"DONE\r\n")
        assert await reader.readline() == b"c OK done\r\n"
        writer.close()


async def test_a_watch_that_fails_is_reported_once_and_idle_goes_on(monkeypatch):
    async def wait(self):
        raise OSError("disk")

    monkeypatch.setattr(MemoryMailbox, "wait", wait)
    async with house(MAIL) as it:
        reader, writer = await it.login()
        writer.write(b"b SELECT INBOX\r\nc IDLE\r\n")
        while await reader.readline() != b"+ idling\r\n":
            pass
        await asyncio.sleep(0.05)
        writer.write(b"DONE\r\n")
        assert await reader.readline() == b"c OK done\r\n"
        assert [type(error) for error in it.reports] == [OSError]
        writer.close()


async def test_everything_in_one_packet_and_half_a_close():
    async with house(MAIL) as it:
        reader, writer = await it.connect()
        writer.write(b"a LOGIN alice@example.test secret\r\nb SELECT INBOX\r\nc FETCH 1 BODY[]\r\n")
        writer.write_eof()
        said = await reader.read()
        assert said.endswith(b"c OK done\r\n")
        writer.close()


# TLS


async def test_what_follows_starttls_in_clear_is_forgotten():
    async with house(MAIL, mode="starttls") as it:
        reader, writer = await it.connect()
        await reader.readline()
        writer.write(b"a STARTTLS\r\nb NOOP\r\n")
        assert await reader.readline() == b"a OK begin TLS now\r\n"
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"c NOOP\r\n")
        assert await reader.readline() == b"c OK done\r\n"
        writer.close()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""])
async def test_garbage_instead_of_tls_ends_the_connection(garbage):
    async with house(mode="tls", limits=QUICK) as it:
        reader, writer = await it.connect()
        writer.write(garbage)
        if not garbage:
            writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        assert it.reports == []
        writer.close()


async def test_a_large_literal_through_tls_both_ways():
    body = bytes(range(256)) * 20_000
    async with house(mode="tls") as it:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", it.listener.port, ssl=client_context(), server_hostname="localhost"
        )
        writer.write(b"a LOGIN alice@example.test secret\r\nb SELECT INBOX\r\n")
        writer.write(b"c APPEND INBOX {%d+}\r\n%b\r\nd FETCH 1 BODY.PEEK[]\r\n" % (len(body), body))
        await reader.readuntil(b"FETCH (BODY[] {%d}\r\n" % len(body))
        assert await reader.readexactly(len(body)) == body
        writer.close()


# deadlines


async def ends_with(reader, last: bytes) -> None:
    said = await asyncio.wait_for(reader.read(), 5)
    assert said.endswith(last)


async def test_login_takes_too_long_even_octet_by_octet():
    async with house(limits=QUICK) as it:
        reader, writer = await it.connect()

        async def trickle():
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        await ends_with(reader, b"* BYE login took too long\r\n")
        task.cancel()
        writer.close()
        assert it.sessions[0].closed


async def test_a_handshake_that_never_ends():
    async with house(mode="tls", limits=QUICK) as it:
        reader, writer = await it.connect()
        await ends_with(reader, b"")
        writer.close()


async def test_idle_too_long():
    async with house(limits=QUICK) as it:
        reader, writer = await it.login()
        await ends_with(reader, b"* BYE idle too long\r\n")
        writer.close()
        await asyncio.sleep(0.05)
        assert it.sessions[0].closed


async def test_a_command_that_takes_long_gives_signs_of_life(monkeypatch):
    async def slow(self, name, readonly):
        await asyncio.sleep(0.35)
        return MemoryMailbox(self.account, name, readonly, 1 << 16)

    monkeypatch.setattr(MemorySession, "select", slow)
    async with house(MAIL, limits=QUICK) as it:
        reader, writer = await it.login()
        writer.write(b"b SELECT INBOX\r\n")
        lines = []
        while not lines or not lines[-1].startswith(b"b "):
            lines.append(await reader.readline())
        assert lines[0] == b"* OK still working\r\n"
        assert lines[-1] == b"b OK [READ-WRITE] selected\r\n"
        writer.close()


# slow readers


async def test_a_reader_that_stops_costs_nobody_anything(monkeypatch):
    """The engine is not asked above the high water; others work; the peer is dropped."""
    asked = []
    inner = MemoryMailbox.fetch

    async def fetch(self, uids, need):
        async for message in inner(self, uids, need):
            asked.append(message.uid)
            yield message

    monkeypatch.setattr(MemoryMailbox, "fetch", fetch)
    mails = [b"x" * 60_000] * 1000
    async with house(*mails, limits=Limits(stall=0.3, linger=0.1, tick=0.02)) as it:
        plug = socket.create_connection(("127.0.0.1", it.listener.port))
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plug.sendall(b"a LOGIN alice@example.test secret\r\nb SELECT INBOX\r\n")
        plug.sendall(b"c FETCH 1:* BODY.PEEK[]\r\n" * 10)
        await asyncio.sleep(0.1)
        held = len(asked) * 60_000
        assert 0 < held < HIGH_WATER + (16 << 20)  # what the kernel's buffers take is not ours
        assert len(asked) < 1000
        reader, writer = await it.login()
        writer.write(b"b NOOP\r\n")
        assert await asyncio.wait_for(reader.readline(), 2) == b"b OK done\r\n"
        before = len(asked)
        await asyncio.sleep(0.6)
        assert len(asked) == before
        assert it.listener.connections == 1
        assert it.sessions[0].closed
        plug.close()
        writer.close()


async def test_a_message_that_trickles_in_is_let_go():
    limits = Limits(transfer=0.2, rate=1 << 30, tick=0.02)
    async with house(limits=limits) as it:
        reader, writer = await it.login()
        writer.write(b"b APPEND INBOX {5}\r\n")
        assert await reader.readline() == b"+ OK\r\n"
        writer.write(b"a: b\n\r\n")
        assert b"b OK" in await reader.readline()
        writer.write(b"c APPEND INBOX {1000000}\r\n")
        assert await reader.readline() == b"+ OK\r\n"

        async def trickle():
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        assert await reader.readline() == b"* BYE the message took too long\r\n"
        trickling.cancel()
        writer.transport.abort()


async def test_many_messages_in_a_row_have_the_time_of_each():
    """A client that streams is in the middle of a message whenever one looks."""
    async with house(limits=Limits(transfer=0.2, rate=1 << 30, tick=0.02)) as it:
        reader, writer = await it.login()
        writer.write(b"b APPEND INBOX {8+}\r\nfour")
        for _ in range(12):
            await asyncio.sleep(0.05)
            writer.write(b"more\r\nb APPEND INBOX {8+}\r\nfour")
            assert (await reader.readline()).startswith(b"b OK [APPENDUID 1 ")
        writer.close()


async def test_who_sends_fast_enough_has_longer():
    """A second for each `rate` octets that came; between commands nothing counts."""
    async with house(limits=Limits(transfer=0.2, rate=10, tick=0.02)) as it:
        reader, writer = await it.login()
        writer.write(b"b APPEND INBOX {1000}\r\n" + b"x" * 999)
        assert await reader.readline() == b"+ OK\r\n"
        await asyncio.sleep(0.6)
        writer.write(b"x\r\n")
        assert b"b OK" in await reader.readline()
        await asyncio.sleep(0.6)
        writer.write(b"c NOOP\r\n")
        assert b"c OK" in await reader.readline()
        writer.close()


async def test_pipelined_input_waits_outside_while_a_command_runs(monkeypatch):
    release = asyncio.Event()

    async def slow(self, name):
        await release.wait()
        raise RuntimeError

    monkeypatch.setattr(MemorySession, "status", slow)
    async with house() as it:
        reader, writer = await it.login()
        writer.write(b"b STATUS INBOX (MESSAGES)\r\n" + b"c NOOP\r\n" * 2_000_000)
        await asyncio.sleep(0.2)
        assert it.engines[0].backlog < 1 << 20
        release.set()
        assert b"b NO [SERVERBUG]" in await reader.readline()
        for _ in range(1000):
            assert await reader.readline() == b"c OK done\r\n"
        writer.transport.abort()


# caps


async def test_too_many_from_one_address():
    async with house(limits=Limits(per_address=2, tick=0.05)) as it:
        kept = [await it.login() for _ in range(2)]
        reader, writer = await it.connect()
        await ends_with(reader, b"* BYE too many connections\r\n")
        writer.close()
        kept.pop()[1].close()
        await asyncio.sleep(0.05)
        again = await it.login()
        assert len(it.engines) == 3
        for _, writer in (*kept, again):
            writer.close()


async def test_where_it_is_full_the_oldest_that_has_not_logged_in_makes_room():
    async with house(limits=Limits(connections=3, tick=0.05)) as it:
        reader, writer = await it.login()
        crowd = [await it.connect() for _ in range(50)]
        assert it.listener.connections == 3
        for one, _ in crowd[-2:]:
            assert (await one.readline()).startswith(b"* OK")
        with pytest.raises(ConnectionResetError):
            while await crowd[0][0].readline():
                pass
            raise ConnectionResetError
        writer.write(b"b NOOP\r\n")
        assert await reader.readline() == b"b OK done\r\n"
        others = [await it.login() for _ in range(2)]  # now all three are somebody
        late, late_writer = await it.connect()
        await ends_with(late, b"* BYE too many connections\r\n")
        for _, one in (*crowd, *others, (late, late_writer), (reader, writer)):
            one.close()
        assert it.reports == []


async def test_too_many_in_all_hear_it_through_tls():
    async with house(mode="tls", limits=Limits(connections=0, tick=0.05)) as it:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", it.listener.port, ssl=client_context(), server_hostname="localhost"
        )
        await ends_with(reader, b"* BYE too many connections\r\n")
        assert it.engines == []
        writer.close()


def test_an_address_is_what_one_customer_has():
    assert address_of("192.0.2.7") == "192.0.2.7"
    assert address_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert address_of("2001:db8:1:2::7") == address_of("2001:db8:1:2:ffff::1")
    assert address_of("2001:db8:1:2::7") != address_of("2001:db8:1:3::7")
    assert address_of("fe80::1%eth0") == address_of("fe80::2")


async def test_bad_logins_wait_longer_and_longer(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for failures in range(1, 6):
        await growing_delay(failures)
    assert slept == [1, 2, 4, 8, 8]


# the end


async def test_closing_lets_the_running_command_end(monkeypatch):
    async def slow(self, name, octets, flags, when):
        await asyncio.sleep(0.1)
        raise RuntimeError

    monkeypatch.setattr(MemorySession, "append", slow)
    async with house() as it:
        reader, writer = await it.login()
        other, other_writer = await it.login()
        writer.write(b"b APPEND INBOX {3+}\r\nabc\r\n")
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(it.listener.close(grace=5))
        await ends_with(other, b"* BYE shutting down\r\n")
        said = await reader.read()
        assert said == b"b NO [SERVERBUG] internal error\r\n* BYE shutting down\r\n"
        await closing
        assert all(session.closed for session in it.sessions)
        writer.close()
        other_writer.close()


async def test_an_engine_that_cannot_be_made_ends_the_connection(monkeypatch):
    def broken(self, peer):
        raise RuntimeError

    monkeypatch.setattr(House, "engine", broken)
    async with house() as it:
        reader, writer = await it.connect()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert [type(error) for error in it.reports] == [RuntimeError]
        writer.close()


async def test_a_session_that_cannot_close_is_reported(monkeypatch):
    async def broken(self):
        raise OSError

    monkeypatch.setattr(MemorySession, "close", broken)
    async with house() as it:
        _, writer = await it.login()
        writer.close()
        await asyncio.sleep(0.05)
        assert [type(error) for error in it.reports] == [OSError]


async def test_a_peer_that_resets_while_we_hang_up(monkeypatch):
    def write_eof(self):
        raise OSError(107, "Transport endpoint is not connected")

    async with house() as it:
        reader, writer = await it.login()
        (wire,) = it.listener._wires
        monkeypatch.setattr(type(wire._transport), "write_eof", write_eof)
        writer.write(b"b LOGOUT\r\n")
        await reader.read()
        await asyncio.sleep(0.02)
        assert it.listener.connections == 0
        assert it.sessions[0].closed
        writer.close()


async def test_small_replies_do_not_wait_for_each_other():
    async with house() as it:
        _, writer = await it.login()
        (wire,) = it.listener._wires
        raw = wire._transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
