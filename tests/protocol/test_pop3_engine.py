"""What POP3 transcripts cannot show: mail that would end a reply, streams that break, bounds."""

import io
import poplib
import random
import re
import tracemalloc

import pytest

from e2email_protocol import sasl
from e2email_protocol.pop3 import limits
from e2email_protocol.pop3.commands import RUN
from e2email_protocol.pop3.context import Settings
from e2email_protocol.pop3.errors import Refused, Torn, Unavailable
from e2email_protocol.pop3.multiline import Stuffer, Top
from e2email_protocol.pop3.state import ALLOWED
from support.pop3 import MAIL, Client, Inbox, MemorySession, inbox
from support.pop3_contract import MAILS, MaildropContract

# What is a line end to a client: the standard's, any LF (Python's poplib, fetchmail), any of three.
LINE_ENDS = {"CRLF": rb"\r\n", "LF": rb"\r?\n", "any": rb"\r\n|\r|\n"}
HOSTILE = [
    b"a\n.\r\n+OK 1 octets\r\nfaked\r\n.\r\n",
    b"a\n.\n+OK\n",
    b"a\r.\r\n-ERR\r\n",
    b"a\r.\n",
    b"a\r.\r-ERR\r",
    b"a\n\r.\n+OK\n",
    b"a\r\n\r.\r\n+OK\r\n",
    b"a\r\r.\n",
    b"a\r\n.\r",
    b"a\r\n.",
    b".\r\n",
    b".",
    b"..\r\n..\r\n",
    b"",
    b"\r",
    b"\n",
    b"no end",
    b"\0.\r\n\0",
    b"\r\n.\r\n.\r\n",
]


class TestTwin(MaildropContract):
    """The twin keeps the contract of the real backends."""

    @pytest.fixture
    def place(self):
        return TwinPlace()


class TwinPlace:
    def __init__(self):
        self.inbox = Inbox(dict(MAILS))

    async def login(self):
        return await MemorySession(self.inbox, 1000).login("bob@example.test", b"secret")

    async def wrong(self):
        return await MemorySession(self.inbox).login("bob@example.test", b"wrong")

    async def remove(self, uid: int) -> None:
        del self.inbox.mails[uid]

    async def uids(self) -> list[int]:
        return sorted(self.inbox.mails)

    def down(self) -> None:
        self.inbox.fail = {"delete": Unavailable()}


async def logged_in(*mails: bytes, piece: int = 1 << 20) -> Client:
    client = Client(inbox(*mails))
    client.session.piece = piece
    await client.login()
    return client


def test_the_state_table_and_the_commands_name_the_same():
    assert set().union(*ALLOWED.values()) == set(RUN)


# mail that would end a reply early


def unstuffed(octets: bytes) -> bytes:
    """By the standard (RFC 1939 §3)."""
    assert octets.endswith(b"\r\n.\r\n") or octets == b".\r\n"
    return re.sub(rb"(^|\r\n)\.", rb"\1", octets[:-3])


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
@pytest.mark.parametrize("mail", HOSTILE)
async def test_no_mail_ends_its_reply(mail, piece):
    client = await logged_in(mail, MAIL, piece=piece)
    for command in (b"RETR 1\r\n", b"TOP 1 99\r\n"):
        said = await client.ask(command)
        head, _, octets = said.partition(b"\r\n")
        assert head.startswith(b"+OK")
        for end in LINE_ENDS.values():
            lines = re.split(end, octets)
            assert lines.index(b".") == len(lines) - 2


@pytest.mark.parametrize("mail", HOSTILE)
async def test_poplib_reads_the_next_reply_right(mail):
    client = await logged_in(mail, MAIL)
    said = await client.ask(b"RETR 1\r\nTOP 1 99\r\nRETR 2\r\n")
    reader = poplib.POP3.__new__(poplib.POP3)
    reader.file, reader._debugging = io.BytesIO(said), 0
    reader._getlongresp()
    reader._getlongresp()
    assert reader._getlongresp()[1] == MAIL.removesuffix(b"\r\n").split(b"\r\n")
    assert reader.file.read() == b""


async def test_mail_of_crlf_lines_comes_back_exactly():
    rng = random.Random(5)
    for _ in range(200):
        mail = b"".join(rng.choices([b".", b"..", b"\r\n", b"a", b" "], k=40)) + b"\r\n"
        client = await logged_in(mail, piece=rng.randrange(1, 50))
        head, _, octets = (await client.ask(b"RETR 1\r\n")).partition(b"\r\n")
        assert head == b"+OK %d octets" % len(mail)
        assert unstuffed(octets) == mail


@pytest.mark.parametrize(
    ("mail", "sent"),
    [
        (b"", b".\r\n"),
        (b"x", b"x\r\n.\r\n"),
        (b"x\r\n", b"x\r\n.\r\n"),
        (b"x\n", b"x\n\r\n.\r\n"),
        (b"x\r", b"x\r\r\n.\r\n"),
    ],
)
def test_the_last_line_gets_its_end(mail, sent):
    for piece in (1, 100):
        stuffer = Stuffer()
        parts = [stuffer.feed(mail[at : at + piece]) for at in range(0, len(mail), piece)]
        assert b"".join(parts) + stuffer.end() == sent


# TOP


def topped(mail: bytes, lines: int, piece: int) -> bytes:
    top = Top(lines)
    octets = b""
    for at in range(0, len(mail), piece):
        octets += top.feed(mail[at : at + piece])
        if top.done:
            break
    return octets


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("mail", "lines", "expected"),
    [
        (b"A: b\r\n\r\none\r\ntwo\r\n", 0, b"A: b\r\n\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 1, b"A: b\r\n\r\none\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 9, b"A: b\r\n\r\none\r\ntwo\r\n"),
        (b"A: b\n\none\ntwo\n", 1, b"A: b\n\none\n"),
        (b"A: b\r\n\r\n\r\n\r\ntwo\r\n", 2, b"A: b\r\n\r\n\r\n\r\n"),
        (b"A: b\r\n \r\nC: d\r\n\r\none", 0, b"A: b\r\n \r\nC: d\r\n\r\n"),
        (b"A: b\r\n\r\r\nC: d\r\n\r\none", 0, b"A: b\r\n\r\r\nC: d\r\n\r\n"),
        (b"A: b\r\nno body", 0, b"A: b\r\nno body"),
        (b"\r\nno header\r\nx", 1, b"\r\nno header\r\n"),
        (b"", 3, b""),
    ],
)
def test_top_is_the_header_and_so_many_lines(mail, lines, expected, piece):
    assert topped(mail, lines, piece) == expected


async def test_top_reads_no_more_than_it_needs():
    box = inbox(b"A: b\r\n\r\n" + b"line\r\n" * 100_000)
    box.breaks_after = 100
    client = Client(box)
    client.session.piece = 50
    await client.login()
    assert (await client.ask(b"TOP 1 2\r\n")).endswith(b"\r\n\r\nline\r\nline\r\n.\r\n")
    assert client.reports == []


# streams


async def test_a_large_mail_leaves_in_chunks():
    mail = b"x" * 3_000_000
    client = await logged_in(mail)
    client.connection.receive_data(b"RETR 1\r\n")
    sizes = [len(chunk) async for chunk in client.connection.replies()]
    assert max(sizes) <= limits.CHUNK + 100
    assert sum(sizes) == len(b"+OK 3000000 octets\r\n") + len(mail) + len(b"\r\n.\r\n")


async def test_long_lists_leave_in_chunks():
    client = await logged_in(*[MAIL] * 20_000)
    for line in (b"LIST\r\n", b"UIDL\r\n"):
        client.connection.receive_data(line)
        chunks = [chunk async for chunk in client.connection.replies()]
        assert len(chunks) > 10
        assert max(map(len, chunks)) < limits.CHUNK
        assert b"".join(chunks).count(b"\r\n") == 20_002


async def test_a_mail_that_breaks_off_ends_the_connection():
    box = inbox(b"x" * 300_000, MAIL)
    box.breaks_after = 100_000
    client = Client(box)
    client.session.piece = 50_000
    await client.login()
    said = await client.ask(b"DELE 2\r\nRETR 1\r\nQUIT\r\n")
    assert said.endswith(b"x")
    assert client.connection.closing
    assert isinstance(client.reports[-1], Torn)
    assert isinstance(client.reports[-1].__cause__, OSError)
    await client.connection.close()
    assert sorted(box.mails) == [1, 2]
    assert not box.held


async def test_a_client_that_leaves_in_the_middle_closes_the_mail():
    client = await logged_in(b"x" * 300_000, piece=1000)
    client.connection.receive_data(b"RETR 1\r\n")
    replies = client.connection.replies()
    await anext(replies)
    await replies.aclose()
    await client.connection.close()
    assert not client.session.inbox.held


# leaving


async def test_hanging_up_removes_nothing():
    client = await logged_in(MAIL)
    assert b"+OK" in await client.ask(b"DELE 1\r\n")
    await client.connection.close()
    await client.connection.close()
    assert sorted(client.session.inbox.mails) == [1]
    assert not client.session.inbox.held


async def test_the_mailbox_is_free_before_the_last_ok():
    client = await logged_in(MAIL)
    client.connection.receive_data(b"QUIT\r\n")
    async for octets in client.connection.replies():
        assert octets == b"+OK bye\r\n"
        assert not client.session.inbox.held


async def test_two_sessions():
    first = await logged_in(MAIL, MAIL)
    second = Client(first.session.inbox)
    await second.ask()
    login = b"USER bob@example.test\r\nPASS secret\r\n"
    assert b"-ERR [IN-USE] " in await second.ask(login)
    assert second.connection.closing is False
    await first.ask(b"DELE 1\r\nQUIT\r\n")
    assert (await second.ask(login)).endswith(b"+OK logged in\r\n")
    assert b"+OK 1 7.2\r\n" in await second.ask(b"UIDL 1\r\n")


async def test_what_the_driver_asks():
    client = Client(inbox(MAIL), Settings(stls=True), tls=False)
    connection = client.connection
    await client.ask()
    assert not connection.authenticated
    assert not connection.watching
    assert connection.heartbeat() == connection.farewell(b"idle too long") == b""
    await connection.changed()
    await client.ask(b"STLS\r\n")
    assert connection.wants_tls
    connection.secured()
    await client.ask(b"USER bob@example.test\r\nPASS secret\r\n")
    assert connection.authenticated
    await client.ask(b"QU")
    assert connection.backlog == 2


async def test_stls_forgets_what_came_in_clear():
    client = Client(inbox(), Settings(stls=True), tls=False)
    said = await client.ask(b"STLS\r\nUSER bob@example.test\r\nPASS secret\r\n")
    assert said.endswith(b"+OK begin TLS now\r\n")
    client.connection.secured()
    assert await client.ask() == b""
    assert await client.ask(b"PASS secret\r\n") == b"-ERR not now: not logged in\r\n"


async def test_a_name_given_in_clear_does_not_count_after_tls():
    """Where a listener allows it in clear, TLS still begins a new conversation."""
    client = Client(inbox(), Settings(stls=True, clear_login=True), tls=False)
    await client.ask(b"USER bob@example.test\r\nSTLS\r\n")
    client.connection.secured()
    assert await client.ask(b"PASS secret\r\n") == b"-ERR not now: not logged in\r\n"


# bounds


async def fresh(settings: Settings | None = None) -> Client:
    client = Client(inbox(MAIL, MAIL), settings)
    await client.ask()
    return client


@pytest.mark.parametrize("login", [False, True])
async def test_an_endless_line_ends_it_in_bounded_memory(login):
    client = await (logged_in(MAIL) if login else fresh())
    tracemalloc.start()
    said = b""
    for _ in range(128):
        said += await client.ask(b"x" * 65536)
        if client.connection.closing:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said == b"-ERR line too long\r\n"
    assert peak < 1 << 20


async def test_a_line_at_its_bound_is_the_same_however_it_is_cut():
    for length, answer in ((limits.LINE, b"-ERR unknown"), (limits.LINE + 1, b"-ERR line too")):
        octets = b"a" * length + b"\r\n"
        for place in range(len(octets) - 4, len(octets) + 1):
            client = await fresh()
            said = await client.ask(octets[:place]) + await client.ask(octets[place:])
            assert said.startswith(answer)
            assert said.count(b"\r\n") == 1


async def test_bad_commands_in_a_row():
    client = await logged_in(MAIL)
    said = await client.ask(b"FROB\r\n" * (limits.BAD_COMMANDS - 1) + b"NOOP\r\n")
    assert said.endswith(b"+OK\r\n")
    said = await client.ask(b"FROB\r\n" * limits.BAD_COMMANDS + b"NOOP\r\n")
    assert said.count(b"\r\n") == limits.BAD_COMMANDS
    assert said.endswith(b"-ERR too many bad commands\r\n")


async def test_bad_commands_before_login():
    client = await fresh()
    said = await client.ask(b"STAT\r\n" * 100)
    assert said.count(b"\r\n") == limits.BAD_COMMANDS_BEFORE_LOGIN


async def test_every_bad_login_waits_for_the_penalty():
    waited = []

    async def penalty(failures: int) -> None:
        waited.append(failures)

    client = await fresh(Settings(penalty=penalty))
    said = await client.ask(b"USER x\r\nPASS y\r\n" * 5)
    assert waited == [1, 2, 3]
    assert said.count(b"-ERR [AUTH] ") == limits.BAD_LOGINS
    assert client.connection.closing


async def test_a_name_that_is_no_utf8_is_nobodys():
    client = await fresh()
    assert b"-ERR [AUTH]" in await client.ask(b"USER \xff\xfe\r\nPASS secret\r\n")


@pytest.mark.parametrize("line", [b"USER a\0b\r\n", b"USER a\rb\r\n", b"NO\0P\r\n", b"\0\r\n"])
async def test_control_characters_in_commands(line):
    assert await (await fresh()).ask(line) == b"-ERR unknown command\r\n"


async def test_random_octets_never_crash():
    rng = random.Random(11)
    # fmt: off
    words = [b"USER ", b"PASS ", b"bob@example.test", b"secret", b"AUTH ", b"PLAIN", b" ", b"=",
             b"AGJvYkBleGFtcGxlLnRlc3QAc2VjcmV0", b"STAT", b"LIST", b"UIDL", b"RETR ", b"TOP ",
             b"DELE ", b"RSET", b"NOOP", b"CAPA", b"UTF8", b"STLS", b"1", b"2", b"-", b"99999",
             b"\r\n", b"\r\n", b"\r\n", b"\n", b"\0", b"\r", b"*", b".", b"\xff"]
    # fmt: on
    for _ in range(500):
        client = await (logged_in(MAIL, b"x\n.\r") if rng.random() < 0.8 else fresh())
        for _ in range(10):
            octets = b"".join(rng.choices(words, k=rng.randrange(1, 20)))
            said = await client.ask(octets + rng.randbytes(rng.randrange(3)))
            assert said == b"" or said.endswith((b"\r\n", b"+ \r\n"))
            if client.connection.closing:
                break
        await client.connection.close()
        assert [error for error in client.reports if not isinstance(error, Refused)] == []
        assert len(client.session.inbox.mails) == 2


# what a log may show


async def test_reprs_hold_no_secret():
    client = await fresh()
    await client.ask(b"USER bob@example.test\r\nPASS hunter2\r\nUSER bob@example.test\r\n")
    shown = repr(client.connection) + repr(client.connection._context) + repr(client.reports)
    assert "hunter2" not in shown
    assert b"bob" in client.connection._context.user
    assert "b'bob" not in repr(client.connection._context)
    assert "hunter2" not in repr(sasl.Plain("bob", b"hunter2"))


async def test_a_fault_of_the_backend_is_told_to_the_operator_only():
    client = await fresh()
    client.session.inbox.fail = {"login": RuntimeError("inner secret")}
    said = await client.ask(b"USER bob@example.test\r\nPASS secret\r\n")
    assert said.endswith(b"-ERR [SYS/TEMP] internal error\r\n")
    assert [str(error) for error in client.reports] == ["inner secret"]
    assert not client.connection.closing
