"""COMPRESS=DEFLATE (RFC 4978) by a client of zlib: same replies, cut anywhere, bombs bounded."""

import asyncio
import random
import tracemalloc
import zlib

import pytest

from e2email_protocol.imap import limits
from e2email_protocol.imap.context import Settings
from e2email_protocol.imap.deflate import BadDeflate, Deflate
from e2email_protocol.serve import Face, Limits, listen
from support.imap import MAIL, Account, Client, Connection, MemorySession

ON = Settings(compress=True, clear_login=True)
RAW = -15


class Zipped:
    """A client that has been told OK to COMPRESS."""

    def __init__(self, client: Client):
        self.client = client
        self.deflater = zlib.compressobj(9, zlib.DEFLATED, RAW)
        self.inflater = zlib.decompressobj(RAW)

    def pack(self, octets: bytes) -> bytes:
        return self.deflater.compress(octets) + self.deflater.flush(zlib.Z_SYNC_FLUSH)

    async def ask(self, octets: bytes = b"", cut=lambda octets: [octets]) -> bytes:
        said = [await self.client.ask(piece) for piece in cut(self.pack(octets))]
        return self.inflater.decompress(b"".join(said))


async def zipped(*mails: bytes) -> Zipped:
    client = Client(Account(*mails), ON)
    await client.select()
    assert await client.ask(b"z COMPRESS deflate\r\n") == b"z OK DEFLATE from here on\r\n"
    return Zipped(client)


async def test_it_is_offered_after_login_where_the_listener_wants_it():
    client = Client(Account(), ON)
    assert b"COMPRESS" not in await client.ask()
    assert await client.ask(b"a COMPRESS DEFLATE\r\n") == b"a BAD not now: not authenticated\r\n"
    said = await client.ask(b"b LOGIN alice@example.test secret\r\n")
    assert b" COMPRESS=DEFLATE" in said
    other = Client(Account())
    await other.login()
    assert b"COMPRESS" not in await other.ask(b"a CAPABILITY\r\n")
    said = await other.ask(b"a COMPRESS DEFLATE\r\n")
    assert said == b"a BAD that extension is not available here\r\n"


async def test_the_replies_are_the_same():
    one, plain = await zipped(MAIL, MAIL), Client(Account(MAIL, MAIL), ON)
    await plain.select()
    for command in (
        b"a FETCH 1:* (FLAGS BODY[])\r\n",
        b"b APPEND INBOX (\\Seen) {131+}\r\n" + MAIL + b"\r\n",
        b"c IDLE\r\n",
        b"DONE\r\n",
        b"d STORE 1 FLAGS ($a)\r\ne NOOP\r\nf SEARCH ALL\r\n",
        b"g nonsense\r\n",
        b"h LOGOUT\r\n",
    ):
        assert await one.ask(command) == await plain.ask(command)
    assert one.client.connection.closing


async def test_cut_anywhere():
    rng = random.Random(5)
    whole = await zipped(*[MAIL] * 20)
    expected = await whole.ask(b"a FETCH 1:* BODY[]\r\nb NOOP\r\nc APPEND INBOX {3+}\r\nabc\r\n")
    for _ in range(20):
        one = await zipped(*[MAIL] * 20)

        def cut(octets: bytes) -> list[bytes]:
            places = sorted(rng.choices(range(len(octets) + 1), k=4))
            return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]

        sent = b"a FETCH 1:* BODY[]\r\nb NOOP\r\nc APPEND INBOX {3+}\r\nabc\r\n"
        assert await one.ask(sent, cut) == expected


async def test_what_came_with_the_command_is_compressed_already():
    client = Client(Account(MAIL), ON)
    await client.select()
    one = Zipped(client)
    said = await client.ask(b"z COMPRESS DEFLATE\r\n" + one.pack(b"a NOOP\r\n"))
    first, _, rest = said.partition(b"\r\n")
    assert first == b"z OK DEFLATE from here on"
    assert one.inflater.decompress(rest) == b"a OK done\r\n"


async def test_only_once_and_only_deflate():
    one = await zipped()
    assert b"COMPRESS=DEFLATE" not in await one.ask(b"a CAPABILITY\r\n")
    said = await one.ask(b"b COMPRESS DEFLATE\r\n")
    assert said == b"b NO [COMPRESSIONACTIVE] it is compressed already\r\n"
    client = Client(Account(), ON)
    await client.login()
    said = await client.ask(b"a COMPRESS LZ4\r\n")
    assert said == b"a NO [CANNOT] only DEFLATE is known here\r\n"


async def test_the_drivers_lines_are_compressed_too():
    one = await zipped()
    said = one.client.connection.heartbeat() + one.client.connection.farewell(b"idle too long")
    assert one.inflater.decompress(said) == b"* OK still working\r\n* BYE idle too long\r\n"


@pytest.mark.parametrize("octets", [b"a NOOP\r\n" * 3, b"\xff\xff\xff\xff", b"\x03\x00"])
async def test_what_is_no_deflate_ends_it(octets):
    """The last: an empty final block, after which nothing can come."""
    one = await zipped()
    said = one.inflater.decompress(await one.client.ask(octets))
    assert said == b"* BYE that is no DEFLATE\r\n"
    assert one.client.connection.closing


async def test_a_bomb_costs_little_memory_and_others_get_their_turn():
    one = await zipped()
    bomb = one.pack(b"a NOOP " + b"x" * (64 << 20))
    assert len(bomb) < 100_000
    one.client.connection.receive_data(bomb)
    assert one.client.connection.backlog == len(bomb)
    tracemalloc.start()
    pieces = [piece async for piece in one.client.connection.replies()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert pieces.count(b"") >= (64 << 20) // limits.INFLATE
    assert one.inflater.decompress(b"".join(pieces)) == b"a BAD line too long\r\n"
    assert one.client.connection.backlog < limits.LINE
    assert await one.ask(b"\r\nb NOOP\r\n") == b"b OK done\r\n"


def test_no_piece_is_larger_than_its_bound():
    rng = random.Random(3)
    for data in (b"x" * 3_000_000, rng.randbytes(300_000), b"ab" * 40_000 + rng.randbytes(70_000)):
        deflate = Deflate()
        deflate.receive(zlib.compressobj(9, zlib.DEFLATED, RAW).compress(b""))
        packer = zlib.compressobj(9, zlib.DEFLATED, RAW)
        deflate.receive(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))
        found = []
        while piece := deflate.inflate():
            assert len(piece) <= limits.INFLATE
            found.append(piece)
        assert b"".join(found) == data
        assert deflate.backlog == 0
        with pytest.raises(BadDeflate):
            deflate.receive(packer.flush(zlib.Z_FINISH) + b"more")
            deflate.inflate()


async def test_on_a_socket():
    reports = []
    account = Account(*[MAIL] * 5000)

    def engine(_):
        return Connection(MemorySession(account), ON, report=reports.append)

    face = Face(engine, b"* BYE full\r\n", reports.append)
    listener = await listen(face, "127.0.0.1", 0, Limits(tick=0.05))
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"a LOGIN alice@example.test secret\r\nb SELECT INBOX\r\nc COMPRESS DEFLATE\r\n")
    await reader.readuntil(b"c OK DEFLATE from here on\r\n")
    one = Zipped(Client(account))
    writer.write(one.pack(b"d UID FETCH 1:* (FLAGS BODY.PEEK[])\r\ne LOGOUT\r\n"))
    octets = await reader.read()
    said = one.inflater.decompress(octets)
    assert said.count(MAIL) == 5000
    assert said.endswith(b"e OK done\r\n")
    assert len(octets) < len(said) / 5
    writer.close()
    await listener.close(grace=1)
    assert reports == []
