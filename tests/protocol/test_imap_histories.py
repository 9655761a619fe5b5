"""Any history of three sessions over the backend in memory, against the model."""

from contextlib import asynccontextmanager

import pytest

from support.imap import Account, Client
from support.imap_histories import check

HAS = frozenset({b"CONDSTORE", b"QRESYNC"})


class MemoryLine:
    def __init__(self, client: Client):
        self.client = client

    async def ask(self, octets: bytes = b"") -> bytes:
        return await self.client.ask(octets)

    async def close(self) -> None:
        await self.client.connection.close()


class MemoryFace:
    def __init__(self) -> None:
        self.account = Account()

    async def new(self) -> MemoryLine:
        client = Client(self.account, has=HAS)
        await client.login()
        return MemoryLine(client)


@asynccontextmanager
async def memory():
    yield MemoryFace()


def test_any_history():
    check(memory(), examples=300)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_histories():
    check(memory(), examples=2_000)
