"""Any history of three sessions at the proxy, over a real sealed face, against the model."""

import re
from contextlib import asynccontextmanager

import pytest

from e2email_client.filling import Filling
from support.home import Home, Talk, eventually, home
from support.imap_histories import check
from support.sealed_face import house

# the client's own keywords, of which the model knows nothing
_OWN = re.compile(rb" ?\$e2email-[a-z-]+")


class ProxyLine:
    def __init__(self, talk: Talk) -> None:
        self.talk = talk

    async def ask(self, octets: bytes = b"") -> bytes:
        said = await self.talk.ask(octets)
        assert b"SERVERBUG" not in said, self.talk.reports
        return _OWN.sub(b"", said).replace(b"( ", b"(")

    async def close(self) -> None:
        await self.talk.connection.close()


class ProxyFace:
    def __init__(self, made: Home) -> None:
        self.home = made

    async def new(self) -> ProxyLine:
        return ProxyLine(await self.home.talk().login(select=b""))


async def nothing(*_: object) -> None:
    """In place of what opens all bodies in the background."""


@asynccontextmanager
async def proxy(folder, monkeypatch):
    monkeypatch.setattr(Filling, "bodies", nothing)
    async with house() as server, home(server, folder, monkeypatch) as made:
        await eventually(lambda: made.live.online)
        yield ProxyFace(made)


def test_any_history(tmp_path, monkeypatch) -> None:
    check(proxy(tmp_path, monkeypatch), examples=10)


@pytest.mark.slow
def test_many_histories(tmp_path, monkeypatch) -> None:
    check(proxy(tmp_path, monkeypatch), examples=150)
