"""Commands that take long do not keep the other connections waiting."""

import asyncio
import time

import pytest

from e2email_protocol.imap import search_run
from e2email_protocol.imap.commands import fetch
from e2email_protocol.imap.commands import list as list_command
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.serve import SLICE, Face, Limits, listen
from support.imap import MAIL, Account, Box, Client, MemoryMailbox, MemorySession


async def turns_during(client: Client, command: bytes) -> int:
    """How often another task got its turn until the command was answered."""
    count = 0

    async def other() -> None:
        nonlocal count
        while True:
            count += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    count = 0
    said = await client.ask(command)
    task.cancel()
    assert b"a OK" in said
    return count


@pytest.mark.parametrize(
    ("module", "bound", "command"),
    [
        (search_run, "TURN", b"a SEARCH" + b" NOT LARGER 9999999" * 50 + b"\r\n"),
        (search_run, "TURN", b"a SEARCH" + b" OR SEEN UNSEEN" * 50 + b"\r\n"),
        (search_run, "TURN", b"a SEARCH" + b" SAVEDSINCE 1-Jan-2000" * 50 + b"\r\n"),
        (fetch, "VALUES", b"a FETCH 1:10 (" + b" ".join([b"BODY[1]<%d.1>"] * 50) + b")\r\n"),
        (list_command, "LETTERS", b'a LIST "" (' + b" ".join([b"%x"] * 30) + b")\r\n"),
    ],
)
async def test_a_long_command_lets_others_have_their_turn(monkeypatch, module, bound, command):
    account = Account(*[MAIL] * 10)
    for number in range(20):
        account.boxes[f"box{number}"] = Box(2)
    client = Client(account, has=frozenset({b"SAVEDATE"}))
    await client.select()
    if b"%d" in command:
        command = command % tuple(range(50))
    few = await turns_during(client, command)
    monkeypatch.setattr(module, bound, 40)
    assert await turns_during(client, command) >= few + 10


async def test_dear_commands_with_short_answers_are_cut_into_slices(monkeypatch):
    """A hundred of them in one packet: whoever comes meanwhile is answered before the last."""
    changes = MemoryMailbox.changes

    async def dear(self, since):
        time.sleep(SLICE / 4)
        return await changes(self, since)

    monkeypatch.setattr(MemoryMailbox, "changes", dear)
    account = Account(MAIL)

    def engine(peer):
        session = MemorySession(account)
        return Connection(session, Settings(clear_login=True), tls=False, report=print)

    listener = await listen(Face(engine, b"", print), "127.0.0.1", 0, Limits())
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    other_reader, other_writer = await asyncio.open_connection("127.0.0.1", listener.port)
    await reader.readline()
    await other_reader.readline()
    writer.write(b"l LOGIN alice@example.test secret\r\ns SELECT INBOX\r\n")
    await reader.readuntil(b"s OK")
    writer.write(b"n NOOP\r\n" * 100 + b"z NOOP\r\n")
    await reader.readuntil(b"n OK")
    other_writer.write(b"c CAPABILITY\r\n")
    await other_reader.readuntil(b"c OK")
    assert b"z OK" not in reader._buffer
    await reader.readuntil(b"z OK")
    for one in (writer, other_writer):
        one.close()
    await listener.close(0)
