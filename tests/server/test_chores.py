"""What a running server does by itself: every hour, after SIGHUP, and whatever fails."""

import asyncio
from types import SimpleNamespace

import pytest

from e2email_server import run
from e2email_server.store.errors import StoreFailed


class Busy:
    """Stands for the parts that have chores, and breaks down the first time."""

    def __init__(self) -> None:
        self.told = self.swept = 0

    async def tell_misled(self) -> None:
        self.told += 1
        if self.told == 1:
            raise StoreFailed("no disk")

    async def sweep_pairings(self) -> int:
        self.swept += 1
        return 0


async def until(busy: Busy, times: int) -> None:
    async with asyncio.timeout(20):
        while busy.swept < times:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("reason", ["an hour is over", "settings were read again"])
async def test_chores_are_done_again(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    hourly = reason == "an hour is over"
    monkeypatch.setattr(run, "CHORES_SECONDS", 0.01 if hourly else 3600)
    busy, reloaded = Busy(), asyncio.Event()
    parts = SimpleNamespace(standing=busy, store=busy, reloaded=reloaded)
    task = asyncio.create_task(run._chores(parts))  # type: ignore[arg-type]
    for times in (1, 2):
        if not hourly:
            reloaded.set()
        await until(busy, times)
    assert busy.told > busy.swept
    assert not task.done()
    task.cancel()
