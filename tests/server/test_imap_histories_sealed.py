"""Any history of three sessions over the sealed face, against the model."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from e2email_server.imap.shared import SharedMailbox
from support.imap_histories import check
from support.sealed_face import House, Talk, house


class SealedLine:
    def __init__(self, talk: Talk):
        self.talk = talk

    async def ask(self, octets: bytes = b"") -> bytes:
        said = await self.talk.ask(octets)
        assert b"SERVERBUG" not in said, self.talk.reports
        return said

    async def close(self) -> None:
        await self.talk.connection.close()


class SealedFace:
    def __init__(self, server: House, password: str):
        self.server = server
        self.password = password

    async def new(self) -> SealedLine:
        talk = Talk(self.server)
        await talk.ask()
        address = self.server.resident.address.encode()
        await talk.ok(b"LOGIN %b %b" % (address, self.password.encode()))
        return SealedLine(talk)


@asynccontextmanager
async def sealed(folder=None):
    async with house(folder) as server:
        yield SealedFace(server, await server.password())


def test_any_history():
    check(sealed(), examples=60)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_histories():
    check(sealed(), examples=300)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_histories_on_disk(tmp_path):
    check(sealed(tmp_path), examples=300)


async def test_what_was_just_expunged_is_not_told_as_there(monkeypatch):
    """STORE that changes nothing of a message that another session removes at the same moment."""
    update = SharedMailbox._update

    async def late(self):
        await asyncio.sleep(0.05)
        await update(self)

    async with house() as server:
        await server.deliver(b"Subject: 1\r\n\r\n1\r\n", b"Subject: 2\r\n\r\n2\r\n")
        face = SealedFace(server, await server.password())
        one, other = await face.new(), await face.new()
        await one.ask(b"a SELECT INBOX\r\n")
        await one.ask(b"b STORE 2 FLAGS (\\Seen \\Deleted)\r\n")
        await other.ask(b"a SELECT INBOX\r\n")
        monkeypatch.setattr(SharedMailbox, "_update", late)
        removing = asyncio.create_task(one.ask(b"c EXPUNGE\r\n"))
        await asyncio.sleep(0.02)  # it is committed, and not yet read again
        assert b"c NO [EXPUNGEISSUED]" in await other.ask(b"c STORE 2 +FLAGS (\\Seen)\r\n")
        assert b"c OK" in await removing
