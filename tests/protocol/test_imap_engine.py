"""What transcripts cannot show: streams that break, faults of a backend, reprs fit for a log."""

import base64

import pytest

from e2email_protocol import sasl
from e2email_protocol.imap.commands import PARSE
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.imap.cursor import Cursor
from e2email_protocol.imap.errors import Away, OverQuota, Torn, Unavailable
from e2email_protocol.imap.limits import CHUNK, FETCH_BATCH, SEEN_AHEAD
from e2email_protocol.imap.reader import Whole
from e2email_protocol.imap.session import HeaderKey, Need, Stream
from e2email_protocol.imap.state import ALLOWED
from support.imap import MAIL, Account, Client, MemoryMailbox, MemoryMessage, MemorySession, Stored


async def test_the_state_table_and_the_commands_name_the_same():
    assert set().union(*ALLOWED.values()) == set(PARSE)


async def test_replies_leave_in_chunks():
    account = Account(*[MAIL] * 20_000)
    client = Client(account)
    await client.select()
    for line in (b"a FETCH 1:* (UID FLAGS)\r\n", b"a UID FETCH 1:* RFC822.SIZE\r\n"):
        client.connection.receive_data(line)
        sizes = [len(chunk) async for chunk in client.connection.replies()]
        assert len(sizes) > 10
        assert max(sizes) < 2 * CHUNK


async def test_a_long_body_is_streamed():
    client = Client(Account(b"x" * 1_000_000))
    await client.select()
    client.connection.receive_data(b"a FETCH 1 (UID BODY.PEEK[] RFC822.SIZE)\r\n")
    chunks = [chunk async for chunk in client.connection.replies()]
    assert max(map(len, chunks)) <= 2 * CHUNK
    whole = b"".join(chunks)
    assert whole.startswith(b"* 1 FETCH (UID 1 BODY[] {1000000}\r\nxxx")
    assert whole.endswith(b"x RFC822.SIZE 1000000)\r\na OK done\r\n")


@pytest.mark.parametrize("given", [999_999, 1_000_001])
async def test_a_stream_of_another_length_ends_the_connection(given, monkeypatch):
    async def chunks():
        yield b"x" * given

    async def section(self, section, partial):
        return Stream(1_000_000, chunks())

    monkeypatch.setattr("support.imap.MemoryMessage.section", section)
    client = Client(Account(MAIL))
    await client.select()
    said = await client.ask(b"a FETCH 1 BODY.PEEK[]\r\n")
    assert b"a NO" not in said
    assert b"a OK" not in said
    assert client.connection.closing
    assert isinstance(client.reports[-1], Torn)


async def test_binary_parts_with_nul_and_long_ones_are_literal8():
    head = b"Content-Transfer-Encoding: base64\r\n\r\n"
    mails = [head + base64.b64encode(b"a\0b"), head + base64.b64encode(b"\0" * 100_000)]
    client = Client(Account(*mails), has=frozenset({b"BINARY"}))
    await client.select()
    said = await client.ask(b"a FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])\r\n")
    assert said == b"* 1 FETCH (BINARY[1] ~{3}\r\na\0b BINARY.SIZE[1] 3)\r\na OK done\r\n"
    client.connection.receive_data(b"b FETCH 2 BINARY.PEEK[1]\r\n")
    chunks = [chunk async for chunk in client.connection.replies()]
    assert max(map(len, chunks)) <= CHUNK
    assert b"".join(chunks) == (
        b"* 2 FETCH (BINARY[1] ~{100000}\r\n" + b"\0" * 100_000 + b")\r\nb OK done\r\n"
    )


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (None, b"NIL"),
        ("", b'""'),
        ('say "hi" \\', b'"say \\"hi\\" \\\\"'),
        ("Grüße", "{7}\r\nGrüße".encode()),
        ("é" * 300, b"{400}\r\n" + "é".encode() * 200),
    ],
)
async def test_previews(text, wire):
    client = Client(Account(MAIL), has=frozenset({b"PREVIEW"}))
    client.session.account.boxes["INBOX"].stored[1].preview = text
    await client.select()
    said = await client.ask(b"a FETCH 1 PREVIEW\r\n")
    assert said == b"* 1 FETCH (PREVIEW " + wire + b")\r\na OK done\r\n"


async def test_what_a_backend_names_it_must_have():
    class Bare(MemoryMailbox):
        replace = None

    client = Client(Account(MAIL), has=frozenset({b"REPLACE"}))
    client.session.select = lambda name, readonly: bare(client, name, readonly)

    async def bare(client, name, readonly):
        return Bare(client.session.account, name, readonly, 1 << 16)

    await client.select()
    said = await client.ask(b"a REPLACE 1 INBOX {2+}\r\nhi\r\n")
    assert said == b"a NO [SERVERBUG] internal error\r\n"


async def test_inside_a_literal_the_driver_may_say_nothing(monkeypatch):
    client = Client(Account(b"x" * 1_000_000))
    await client.select()
    client.connection.receive_data(b"a FETCH 1 BODY.PEEK[]\r\n")
    said = []
    async for chunk in client.connection.replies():
        said.append((chunk[:1], client.connection.heartbeat(), client.connection.farewell(b"")))
    assert said[0][1] == b""
    assert said[1] == (b"x", b"", b"")
    assert client.connection.heartbeat() == b"* OK still working\r\n"
    assert client.connection.farewell(b"why") == b"* BYE why\r\n"


async def test_one_message_that_cannot_be_had_costs_only_itself(monkeypatch):
    async def envelope(self):
        if self.uid == 2:
            raise Unavailable
        return b"(x)"

    monkeypatch.setattr("support.imap.MemoryMessage.envelope", envelope)
    client = Client(Account(MAIL, MAIL, MAIL))
    await client.select()
    said = await client.ask(b"a FETCH 1:3 ENVELOPE\r\n")
    assert said == (
        b"* 1 FETCH (ENVELOPE (x))\r\n* 3 FETCH (ENVELOPE (x))\r\n"
        b"a NO [UNAVAILABLE] not available now, try again later\r\n"
    )


async def test_a_backend_without_email_ids_refuses_the_item():
    client = Client(Account(MAIL))
    client.session.account.boxes["INBOX"].stored[1].email_id = None
    await client.select()
    said = await client.ask(b"a UID FETCH 1 (UID EMAILID)\r\n")
    assert said == b"a NO [CANNOT] that cannot be done here\r\n"


async def test_a_backend_that_fails_in_the_middle_of_a_fetch(monkeypatch):
    inner = MemoryMailbox.fetch

    async def fetch(self, uids, need):
        async for message in inner(self, uids, need):
            if message.uid == 3:
                raise KeyError("inner secret")
            yield message

    monkeypatch.setattr(MemoryMailbox, "fetch", fetch)
    client = Client(Account(MAIL, MAIL, MAIL))
    await client.select()
    said = await client.ask(b"a FETCH 1:3 RFC822.SIZE\r\nb NOOP\r\n")
    assert said.endswith(b"a NO [SERVERBUG] internal error\r\nb OK done\r\n")
    assert isinstance(client.reports[-1], KeyError)


async def test_news_that_fail_do_not_fail_the_command(monkeypatch):
    client = Client(Account(MAIL))
    await client.select()

    async def changes(self, since):
        raise OSError("disk")

    monkeypatch.setattr(MemoryMailbox, "changes", changes)
    assert await client.ask(b"a NOOP\r\n") == b"a OK done\r\n"
    assert isinstance(client.reports[-1], OSError)


async def test_flags_alone_do_not_ask_the_backend_and_bodies_are_read_widely():
    account = Account(*[MAIL] * (FETCH_BATCH + 1))
    client = Client(account)
    await client.select()
    mailbox = client.connection._context.selected.mailbox
    await client.ask(b"a FETCH 1:* (UID FLAGS)\r\n")
    assert mailbox.fetched == []
    await client.ask(b"a UID FETCH 1:* (BODY.PEEK[HEADER] RFC822.SIZE)\r\n")
    assert [len(uids) for uids, _ in mailbox.fetched] == [FETCH_BATCH, 1]
    assert mailbox.fetched[0][1] == Need.HEADER | Need.SIZE


async def test_what_a_client_did_not_take_stays_unread():
    account = Account(*[MAIL + b"x" * 1000] * 1000)
    client = Client(account)
    await client.select()
    client.connection.receive_data(b"a FETCH 1:* BODY[]\r\n")
    replies = client.connection.replies()
    taken = len(await anext(replies))
    await replies.aclose()
    seen = [e.uid for e in account.boxes["INBOX"].entries.values() if "\\Seen" in e.flags]
    assert seen == list(range(1, len(seen) + 1))
    assert taken // 1200 < len(seen) <= SEEN_AHEAD // 1000 + 1


@pytest.mark.parametrize("stream_above", [1 << 16, 50])
async def test_reading_marks_and_says_so_and_only_what_could_be_read(monkeypatch, stream_above):
    account = Account(*[MAIL] * 4)
    account.boxes["INBOX"].set_flags(2, frozenset({"\\Seen"}))
    client = Client(account)
    client.session.stream_above = stream_above
    await client.select()
    inner = MemoryMessage.section

    async def section(self, *rest):
        if self.uid == 3:
            raise Unavailable("body 3")
        return await inner(self, *rest)

    monkeypatch.setattr(MemoryMessage, "section", section)
    said = await client.ask(b"a FETCH 1:* BODY[]\r\n")
    assert [line for line in said.split(b"\r\n") if line.startswith((b"* ", b"a "))] == [
        b"* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[] {131}",
        b"* 2 FETCH (BODY[] {131}",
        b"* 4 FETCH (FLAGS (\\Seen \\Recent) BODY[] {131}",
        b"a NO [UNAVAILABLE] not available now, try again later",
    ]
    assert "\\Seen" not in account.boxes["INBOX"].entries[3].flags


async def test_mail_that_cannot_be_marked_is_given_all_the_same(monkeypatch):
    client = Client(Account(*[MAIL] * 300))
    await client.select()
    asked = []

    async def store(self, uids, *rest):
        asked.append(uids)
        raise OverQuota("disk")

    monkeypatch.setattr(MemoryMailbox, "store", store)
    said = await client.ask(b"a FETCH 1:* BODY[]\r\n")
    assert said.count(MAIL) == 300
    assert said.endswith(b"a NO [OVERQUOTA] no room for it\r\n")
    assert len(asked) == 1


async def test_a_backend_that_fails_in_the_middle_has_given_what_came_before(monkeypatch):
    client = Client(Account(*[MAIL] * 3))
    await client.select()
    inner = MemoryMailbox.fetch

    async def fetch(self, uids, need):
        async for message in inner(self, uids, need):
            if message.uid == 3:
                raise Unavailable("page 3")
            yield message

    monkeypatch.setattr(MemoryMailbox, "fetch", fetch)
    said = await client.ask(b"a FETCH 1:* BODY[]\r\n")
    assert said.count(MAIL) == 2
    assert b"\r\na NO [UNAVAILABLE]" in said


async def test_a_client_that_leaves_in_the_middle_closes_the_backend(monkeypatch):
    closed = []
    inner = MemoryMailbox.fetch

    async def fetch(self, uids, need):
        try:
            async for message in inner(self, uids, need):
                yield message
        finally:
            closed.append(True)

    monkeypatch.setattr(MemoryMailbox, "fetch", fetch)
    client = Client(Account(*[b"x" * CHUNK] * 5))
    await client.select()
    client.connection.receive_data(b"a FETCH 1:* BODY.PEEK[]\r\n")
    replies = client.connection.replies()
    await anext(replies)
    await replies.aclose()
    assert closed == [True]
    await client.connection.close()
    assert client.session.closed
    assert not client.session.account.boxes["INBOX"].waiters


async def test_closing_in_idle():
    client = Client(Account(MAIL))
    await client.select()
    await client.ask(b"a IDLE\r\n")
    assert client.connection.watching
    await client.connection.close()
    assert client.session.closed
    assert client.connection.closing


async def test_idle_without_a_mailbox_watches_nothing():
    client = Client(Account())
    await client.login()
    await client.ask(b"a IDLE\r\n")
    assert not client.connection.watching


async def test_capabilities_can_be_hidden():
    client = Client(Account(), Settings(hidden=frozenset({b"MOVE", b"STATUS=SIZE"})))
    await client.login()
    said = await client.ask(b"a CAPABILITY\r\n")
    assert b" MOVE" not in said
    assert b"STATUS=SIZE" not in said
    assert b" UIDPLUS" in said


async def test_the_client_says_who_it_is():
    client = Client(Account())
    await client.ask(b'a ID ("Name" "mutt\x07" "os" NIL)\r\n')
    assert client.session.identity == {"name": "mutt", "os": ""}


@pytest.mark.parametrize(
    ("verb", "parts"),
    [
        (b"LOGIN", [b" alice canary1"]),
        (b"LOGIN", [b" alice {7}", b"canary1", b""]),
        (b"AUTHENTICATE", [b" PLAIN canary1"]),
        (b"APPEND", [b" INBOX {7}", b"canary1", b""]),
        (b"REPLACE", [b" 1 INBOX {7}", b"canary1", b""]),
        (b"SEARCH", [b" SUBJECT canary1"]),
        (b"SORT", [b" (DATE) UTF-8 SUBJECT canary1"]),
        (b"THREAD", [b" REFERENCES UTF-8 TEXT canary1"]),
        (b"SEARCH", [b" OR BODY canary1 TEXT canary1"]),
    ],
)
def test_no_command_shows_a_secret_in_its_repr(verb, parts):
    assert "canary" not in repr(PARSE[verb](Cursor(parts)))


def test_nothing_that_holds_text_shows_it():
    shown = [
        Whole([b"canary"]),
        HeaderKey("SUBJECT", "canary"),
        sasl.Plain("alice", b"canary"),
    ]
    assert "canary" not in repr(shown)


def test_sasl_plain():
    assert sasl.parse_plain(b"\0alice\0pass word") == sasl.Plain("alice", b"pass word")
    assert sasl.parse_plain(b"alice\0alice\0x").user == "alice"
    for bad in (b"", b"alice", b"\0alice", b"\0alice\0", b"\0\0x", b"bob\0alice\0x", b"\0\xff\0x"):
        with pytest.raises(sasl.BadResponse):
            sasl.parse_plain(bad)
    with pytest.raises(sasl.BadResponse):
        sasl.decode(b"AGFs!")


async def test_pipelined_commands_are_answered_in_order():
    client = Client(Account(MAIL))
    said = await client.ask(
        b"a1 LOGIN alice@example.test secret\r\na2 SELECT INBOX\r\na3 FETCH 1 (UID)\r\n"
        b"a4 APPEND INBOX {3}\r\nabc\r\na5 FETCH 2 RFC822.SIZE\r\na6 LOGOUT\r\na7 NOOP\r\n"
    )
    done = [line.split()[0] for line in said.split(b"\r\n") if line[:1] == b"a"]
    assert done == [b"a1", b"a2", b"a3", b"a4", b"a5", b"a6"]
    assert b"* 2 FETCH (RFC822.SIZE 3)" in said


async def test_a_message_may_hold_any_octets():
    octets = bytes(range(256)) * 2 + b"\n.\r\n\r"
    client = Client(Account())
    account = client.session.account
    await client.select()
    await client.ask(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets))
    assert account.boxes["INBOX"].stored[1] == Stored(octets)
    said = await client.ask(b"b FETCH 1 BODY.PEEK[]\r\n")
    assert b"{%d}\r\n%b)\r\n" % (len(octets), octets) in said


def test_the_engine_needs_no_loop():
    """Driven by hand: no asyncio anywhere."""
    connection = Connection(MemorySession(Account()), Settings(), tls=True, report=print)
    replies = connection.replies()
    with pytest.raises(StopIteration) as first:
        replies.asend(None).send(None)
    assert first.value.value.startswith(b"* OK [CAPABILITY IMAP4rev1")


async def test_what_is_away_ends_the_connection(monkeypatch):
    """Not NO, which mbsync takes for ever; people are told why."""

    async def append(self, name, octets, flags, when):
        raise Away("the wire was cut")

    monkeypatch.setattr(MemorySession, "append", append)
    client = Client(Account())
    await client.login()
    said = await client.ask(b"a APPEND INBOX {1+}\r\nx\r\n")
    alert, bye = b"* OK [ALERT] " + Away.text, b"* BYE [UNAVAILABLE] " + Away.text
    assert said == alert + b"\r\n" + bye + b"\r\n"
    assert client.connection.closing
