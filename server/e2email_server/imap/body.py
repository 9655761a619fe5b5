"""The stored body of one message: whole, when it came with its row, else a stretch at a time."""

from collections.abc import Awaitable, Callable

from e2email_protocol.imap.errors import NoSuchMailbox, Unavailable, Vanished
from e2email_server.imap.faults import translated

Fetch = Callable[[int, int], Awaitable[bytes]]
"""(start, count) → those octets of the body, from the store."""


class Missing(Exception):
    """These octets must be loaded first."""

    def __init__(self, start: int, count: int) -> None:
        super().__init__(start, count)
        self.start, self.count = start, count


class Body:
    """`read` is what a Rendered reads from; it raises Missing, and after load() it does not."""

    __slots__ = ("_fetch", "_octets", "_start")

    def __init__(self, fetch: Fetch, octets: bytes | None) -> None:
        self._fetch = fetch
        self._start = 0
        self._octets = octets or b""

    def __repr__(self) -> str:
        return f"<Body {len(self._octets)} octets at {self._start}>"

    def read(self, start: int, count: int) -> bytes:
        first = start - self._start
        if first < 0 or first + count > len(self._octets):
            raise Missing(start, count)
        return self._octets[first : first + count]

    async def load(self, missing: Missing) -> None:
        """Take this stretch in place of the last. Raises Vanished, Unavailable (also if cut)."""
        try:
            with translated():
                octets = await self._fetch(missing.start, missing.count)
        except NoSuchMailbox as error:  # the store's NotFound: here it is the message's
            raise Vanished from error
        if len(octets) != missing.count:
            raise Unavailable("a stored body is shorter than its row says")
        self._start, self._octets = missing.start, octets
