"""What a hostile client may send: bounded memory, one defined answer, never a crash."""

import dataclasses
import random
import tracemalloc

import pytest

from e2email_protocol.imap import limits
from e2email_protocol.imap.commands.list import PATTERNS
from e2email_protocol.imap.context import Settings
from e2email_protocol.imap.reader import Broken, Continue, Fault, Reader, Whole
from support.imap import MAIL, Account, Client

MULTI = frozenset({b"MULTIAPPEND"})


async def fresh() -> Client:
    client = Client(Account(MAIL, MAIL))
    await client.ask()
    return client


async def selected() -> Client:
    client = Client(Account(MAIL, MAIL))
    await client.select()
    return client


async def pour(client: Client, octets: bytes, times: int) -> tuple[bytes, int]:
    """Send the same octets again and again; what was said and the most memory held."""
    tracemalloc.start()
    said = b""
    for _ in range(times):
        said += await client.ask(octets)
        if client.connection.closing:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return said, peak


async def test_a_line_of_8_mb_before_login_ends_it():
    client = await fresh()
    said, peak = await pour(client, b"x" * 65536, 128)
    assert said.endswith(b"* BYE too much\r\n")
    assert client.connection.closing
    assert peak < 1 << 20


async def test_a_line_of_8_mb_after_login_is_read_past():
    client = await selected()
    said, peak = await pour(client, b"a1 NOOP " + b"x" * 65536, 128)
    assert said == b"a1 BAD line too long\r\n"
    assert peak < 1 << 20
    assert await client.ask(b"\r\na2 NOOP\r\n") == b"a2 OK done\r\n"


async def test_the_literal_after_an_endless_line_is_read_past():
    client = await selected()
    await client.ask(b"a1 NOOP " + b"x" * 200_000)
    assert await client.ask(b" {8+}\r\na9 NOOP\n\r\na2 NOOP\r\n") == b"a2 OK done\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"a1 LOGIN {4294967295}\r\n",
        b"a1 LOGIN {4294967295+}\r\n",
        b"a1 LOGIN {99999999999999999999}\r\n",
        b"a1 LOGIN {5000}\r\n",
        b"a1 APPEND INBOX {4294967295+}\r\n",
        b"a1 APPEND INBOX {1000000}\r\n",
    ],
)
async def test_a_huge_literal_before_login_ends_it(line):
    client = await fresh()
    said = await client.ask(line)
    assert said == b"a1 BAD literal too long\r\n* BYE too much\r\n"


async def test_a_literal_of_21_digits_is_no_literal():
    client = await fresh()
    assert b"a1 BAD" in await client.ask(b"a1 LOGIN {999999999999999999999}\r\n")


async def test_a_huge_literal_after_login():
    client = await selected()
    assert await client.ask(b"a1 STATUS {4294967295}\r\n") == b"a1 BAD literal too long\r\n"
    assert await client.ask(b"a2 APPEND x {4294967295}\r\n") == (
        b"a2 NO [TOOBIG] the message is too big\r\n"
    )
    said = await client.ask(b"a3 APPEND x {4294967295+}\r\n")
    assert said == b"a3 NO [TOOBIG] the message is too big\r\n* BYE too much\r\n"


async def test_a_message_too_big_that_comes_unasked_costs_no_memory():
    client = await selected()
    size = limits.MESSAGE + 1
    assert b"TOOBIG" in await client.ask(b"a1 APPEND INBOX {%d+}\r\n" % size)
    said, peak = await pour(client, b"x" * 65536, size // 65536)
    assert said == b""
    assert peak < 1 << 20
    rest = size % 65536
    assert await client.ask(b"x" * rest + b"\r\na2 NOOP\r\n") == b"a2 OK done\r\n"


async def test_the_message_limit_is_the_listeners():
    client = Client(Account(), Settings(message_limit=10))
    await client.login()
    assert b"TOOBIG" in await client.ask(b"a1 APPEND INBOX {11}\r\n")
    assert b"+ OK" in await client.ask(b"a2 APPEND INBOX {10}\r\n")


class Octets:
    """A budget of 100 octets."""

    def __init__(self):
        self.left = 100
        self.asked = []

    def reserve(self, octets: int) -> bool:
        self.asked.append(octets)
        if octets > self.left:
            return False
        self.left -= octets
        return True

    def release(self, octets: int) -> None:
        self.left += octets


NO_MEMORY = b"NO [UNAVAILABLE] too much is being stored just now, try again later\r\n"


async def test_a_message_is_refused_unread_when_the_memory_is_used_up():
    budget = Octets()
    one, two = (Client(Account(), Settings(budget=budget), has=MULTI) for _ in range(2))
    await one.login()
    await two.login()
    assert await one.ask(b"a APPEND INBOX {60}\r\n" + b"x" * 30) == b"+ OK\r\n"
    assert await two.ask(b"a APPEND INBOX {50}\r\n") == b"a " + NO_MEMORY
    assert await two.ask(b"b APPEND INBOX {50+}\r\n" + b"x" * 50) == b"b " + NO_MEMORY
    assert await two.ask(b"\r\nc APPEND INBOX {40+}\r\n" + b"x" * 40 + b"\r\n") == (
        b"c OK [APPENDUID 1 1] stored\r\n"
    )
    assert budget.left == 40
    assert b"a OK" in await one.ask(b"x" * 30 + b"\r\n")
    assert budget.left == 100


@pytest.mark.parametrize(
    "octets",
    [
        b"a APPEND INBOX {60}\r\nxx",
        b"a APPEND INBOX {60+}\r\n" + b"x" * 60 + b" {50+}\r\n" + b"x" * 50 + b"\r\n",
        b"a APPEND INBOX {60+}\r\n" + b"x" * 60 + b" nonsense\r\n",
        b"a APPEND nothing {60+}\r\n" + b"x" * 60 + b"\r\n",
        b"a APPEND INBOX {60+}\r\n" + b"x" * 60 + b" {99999999+}\r\n",
        b"a APPEND INBOX {60+}\r\n" + b"x" * 60 + b"y" * 70_000 + b"\r\n",
    ],
)
async def test_what_was_reserved_is_let_go(octets):
    budget = Octets()
    client = Client(Account(), Settings(budget=budget), has=MULTI)
    await client.login()
    assert b"a OK" not in await client.ask(octets)
    await client.connection.close()
    assert budget.asked
    assert budget.left == 100


async def test_before_login_and_for_other_commands_nothing_is_reserved():
    budget = Octets()
    client = Client(Account(), Settings(budget=budget))
    await client.ask(b"x APPEND INBOX {10+}\r\n0123456789\r\n")
    assert b"b OK" in await client.ask(b"b LOGIN alice@example.test {6+}\r\nsecret\r\n")
    await client.ask(b"a STATUS {200+}\r\n" + b"x" * 200 + b" (MESSAGES)\r\n")
    assert budget.asked == []


async def test_the_messages_of_one_append():
    client = Client(Account(), Settings(message_limit=10), has=MULTI)
    await client.login()
    many = b" {1+}\r\nx" * limits.APPENDED
    assert b"a OK" in await client.ask(b"a APPEND INBOX" + many + b"\r\n")
    said = await client.ask(b"b APPEND INBOX" + many + b" {1+}\r\nx\r\n")
    assert said == b"b NO [LIMIT] that is more than one command may ask for\r\n"
    said = await client.ask(b"c APPEND INBOX" + many + b" {1+}\r\nx" * 100 + b"\r\n")
    assert said == b"c NO [LIMIT] too much for one command\r\n"


def test_the_octets_of_one_append():
    bounds = dataclasses.replace(limits.after_login(), message=100_000, messages=150_000)
    reader = Reader(bounds)
    reader.feed(b"a APPEND x" + (b" {100000+}\r\n" + b"x" * 100_000) * 4)
    assert reader.next() is None  # 256 KiB are for the command itself
    reader.feed(b" {100000+}\r\n")
    assert reader.next() == Broken(b"a APPEND x {100000+}", Fault.MESSAGES, fatal=False)


async def test_a_million_parentheses():
    for client, line in (
        (await fresh(), b"a1 ID " + b"(" * 1_000_000),
        (await selected(), b"a1 SEARCH " + b"(" * 60_000),
        (await selected(), b"a1 SEARCH " + b"NOT " * 15_000 + b"ALL"),
        (await selected(), b"a1 SEARCH " + b"OR " * 15_000 + b"ALL"),
        (await selected(), b"a1 FETCH 1 " + b"(" * 60_000),
        (await selected(), b"a1 STORE 1 FLAGS " + b"(" * 60_000),
    ):
        assert b"a1 BAD " in await client.ask(line + b"\r\n")


async def test_nesting_up_to_the_bound_works():
    client = await selected()
    for count in (limits.NESTING, limits.NESTING + 1):
        line = b"a1 SEARCH " + b"(" * count + b"ALL" + b")" * count + b"\r\n"
        assert (b"a1 OK" in await client.ask(line)) is (count == limits.NESTING)


async def test_many_literals_in_one_command():
    client = await selected()
    said = await client.ask(b"a1 SEARCH" + b" SUBJECT {1+}\r\nx" * 100 + b"\r\n")
    assert said == b"a1 BAD command too long\r\n"
    said = await client.ask(b"a2 SEARCH" + b" SUBJECT {60000+}\r\n" + b"x" * 60_000)
    said += await client.ask(b" SUBJECT {60000+}\r\n".join([b"x" * 60_000] * 6) + b"\r\n")
    assert said.startswith(b"a2 BAD command too long\r\n")


async def test_many_text_keys():
    client = await selected()
    line = b"a1 SEARCH" + b" TEXT x" * limits.TEXT_KEYS + b"\r\n"
    assert b"a1 OK" in await client.ask(line)
    line = b"a1 SEARCH" + b" TEXT x" * (limits.TEXT_KEYS + 1) + b"\r\n"
    assert b"a1 NO [LIMIT]" in await client.ask(line)


@pytest.mark.parametrize(
    ("head", "one", "between", "tail", "most", "answer"),
    [
        (b"FETCH 1 (", b"UID", b" ", b")", limits.FETCH_ITEMS, b"BAD too many items"),
        (b'LIST "" (', b"x", b" ", b")", PATTERNS, b"BAD too many patterns"),
        (b"SEARCH ", b"ALL", b" ", b"", limits.SEARCH_KEYS, b"NO [LIMIT]"),
        (b"SEARCH (", b"ALL", b" ", b")", limits.SEARCH_KEYS - 1, b"NO [LIMIT]"),
        (b"SEARCH ", b"TEXT x", b" ", b"", limits.TEXT_KEYS, b"NO [LIMIT]"),
    ],
)
async def test_argument_counts(head, one, between, tail, most, answer):
    client = await selected()
    for count in (1, most, most + 1, 8000):
        said = await client.ask(b"a " + head + between.join([one] * count) + tail + b"\r\n")
        last = said.split(b"\r\n")[-2]
        assert last.startswith(b"a OK" if count <= most else b"a " + answer), count


async def test_fields_of_id():
    client = await selected()
    for count in (limits.ID_FIELDS, limits.ID_FIELDS + 1):
        fields = b" ".join(b'"k%d" "v"' % n for n in range(count))
        said = await client.ask(b"a ID (" + fields + b")\r\n")
        assert (b"a OK" in said) is (count == limits.ID_FIELDS)
    assert b"a BAD field too long" in await client.ask(b'a ID ("a" "' + b"x" * 1025 + b'")\r\n')


@pytest.mark.parametrize("form", [b"FLAGS (%b)", b"FLAGS %b"])
async def test_flags_of_one_command(form):
    client = await selected()
    for count in (limits.FLAGS, limits.FLAGS + 1):
        flags = form % b" ".join(b"k%d" % n for n in range(count))
        said = await client.ask(b"a STORE 1 " + flags + b"\r\n")
        assert (b"a OK" in said) is (count == limits.FLAGS)
        assert (b"a NO [LIMIT]" in said) is (count > limits.FLAGS)


async def test_sets_that_overlap_cost_nothing():
    client = await selected()
    said = await client.ask(b"a1 FETCH " + b",".join([b"1:*"] * 10_000) + b" (UID)\r\n")
    assert said.count(b"FETCH") == 2
    said = await client.ask(b"a2 UID SEARCH UID 1:4294967295,4294967290:1\r\n")
    assert b"* SEARCH 1 2\r\n" in said


async def test_bad_commands_in_a_row():
    client = await selected()
    said = await client.ask(b"x FROB\r\n" * (limits.BAD_COMMANDS - 1) + b"a NOOP\r\n")
    assert said.endswith(b"a OK done\r\n")
    said = await client.ask(b"x FROB\r\n" * limits.BAD_COMMANDS + b"a NOOP\r\n")
    assert said.endswith(b"* BYE too many bad commands\r\n")


async def test_every_bad_login_waits_for_the_penalty():
    waited = []

    async def penalty(failures: int) -> None:
        waited.append(failures)

    client = Client(Account(), Settings(penalty=penalty))
    await client.ask(b"a LOGIN x y\r\na LOGIN alice@example.test secret\r\n")
    await client.ask(b"a LOGIN x y\r\n")
    assert waited == [1]
    client = Client(Account(), Settings(penalty=penalty))
    await client.ask(b"a LOGIN x y\r\n" * 5)
    assert waited == [1, 1, 2, 3]


async def test_random_octets_never_crash():
    rng = random.Random(7)
    # fmt: off
    words = [b"a1 ", b"UID ", b"FETCH ", b"SEARCH ", b"STORE ", b"APPEND ", b"LIST ", b"STATUS ",
             b"1:*", b" ", b"(", b")", b"[", b"]", b"BODY", b"<1.2>", b'"', b"\\", b"{3}", b"{3+}",
             b"\r\n", b"\r\n", b"\n", b"FLAGS", b"\\Seen", b"OR ", b"NOT ", b"INBOX", b"\0", b"&",
             b"IDLE\r\n", b"DONE\r\n", b"ID ", b"NIL", b"HEADER.FIELDS", b"0", b"*", b",", b"%"]
    # fmt: on
    for _ in range(400):
        client = await selected() if rng.random() < 0.8 else await fresh()
        for _ in range(10):
            octets = b"".join(rng.choices(words, k=rng.randrange(1, 20)))
            await client.ask(octets + bytes(rng.randbytes(rng.randrange(3))))
            if client.connection.closing:
                break
        faults = [e for e in client.reports if type(e).__module__ != "e2email_protocol.imap.errors"]
        assert [repr(e) for e in faults if "names" not in type(e).__module__] == []


def test_a_line_at_its_bound_is_the_same_however_it_is_cut():
    line = b"a" * limits.LINE_BEFORE_LOGIN
    for extra, kind in ((b"", Whole), (b"b", Broken)):
        octets = line + extra + b"\r\n"
        for place in range(len(octets) - 4, len(octets) + 1):
            reader = Reader()
            reader.feed(octets[:place])
            event = reader.next()
            if event is None:
                reader.feed(octets[place:])
                event = reader.next()
            assert isinstance(event, kind)


def test_single_octets_of_a_literal_are_not_an_object_each():
    reader = Reader(limits.after_login())
    reader.feed(b"a APPEND x {300000}\r\n")
    assert reader.next() == Continue()
    tracemalloc.start()
    for _ in range(300_000):
        reader.feed(b"x")
        reader.next()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000


async def test_starttls_forgets_what_came_in_clear():
    client = Client(Account(), Settings(starttls=True), tls=False)
    said = await client.ask(b"a STARTTLS\r\nb LOGIN alice@example.test secret\r\n")
    assert said.endswith(b"a OK begin TLS now\r\n")
    client.connection.secured()
    assert await client.ask() == b""
    assert await client.ask(b"c STARTTLS\r\n") == b"c BAD no TLS to start\r\n"
    assert b"c2 OK" in await client.ask(b"c2 LOGIN alice@example.test secret\r\n")
