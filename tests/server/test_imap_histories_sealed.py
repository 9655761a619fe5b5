"""Any history of three sessions over the sealed face, against the model."""

from contextlib import asynccontextmanager

import pytest

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
