"""Commands that take long let the other connections have their turn."""

from __future__ import annotations

from collections.abc import Generator
from types import coroutine


@coroutine
def others() -> Generator[None, None, None]:
    """What asyncio.sleep(0) does; here no event loop is known by name."""
    yield


class Turns:
    """Work is counted in what costs some microseconds each; `most` of it is done in one turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._done = 0

    async def spend(self, work: int) -> None:
        self._done += work
        if self._done > self._most:
            self._done = 0
            await others()
