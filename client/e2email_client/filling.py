"""Summaries and octets of mail that is listed: what is missing is fetched, opened and written.

Newest first, in batches. A message that cannot be opened costs only itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from e2email_client.local import mails, words
from e2email_client.local.bound import Room
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State, Summary
from e2email_client.opening import Opening
from e2email_client.unreadable import KeyElsewhere, KeyGone, Later, Unreadable
from e2email_client.upstream import Remote

if TYPE_CHECKING:
    from e2email_client.learning import Learn

log = logging.getLogger(__name__)

_NOT_GIVEN = Later()  # the server did not give it

# Envelopes of one command: about 1.5 MB; and the bound of DESIGN §7.
ENVELOPES_A_COMMAND = 500
# Bodies of one command: what is held in memory at once is some five times this.
BODY_OCTETS_A_COMMAND = 4 * 1024 * 1024
BODIES_A_COMMAND = 200
# What a mail is taken for whose size is not known: few of them are fetched at once.
UNKNOWN_SIZE = 1024 * 1024
# Mails that were asked for last: they are not dropped under the hands of who asked.
ASKED = 5_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one mailbox is: `done` of `total` messages of this step."""

    mailbox: str
    step: str  # "list", "envelopes", "bodies"
    done: int
    total: int


Report = Callable[[Progress], None]
Batch = Sequence[tuple[int, str]]  # (uid, email id)


class Turn(Protocol):
    """The connection with a mailbox selected, for one step."""

    def __call__(
        self, local: Mailbox, *, urgent: bool = True
    ) -> AbstractAsyncContextManager[Remote]: ...


class Filling:
    """Of one account over one connection; everything blocking runs in threads."""

    def __init__(
        self,
        cache: Database,
        opening: Opening,
        turn: Turn,
        report: Report,
        changed: Callable[[], None],
        room: Room | None,
        learn: Learn | None = None,
    ) -> None:
        self._cache = cache
        self._opening = opening
        self._turn = turn
        self._report = report
        self._changed = changed
        self._room = room
        self._learn = learn
        self._asked: deque[str] = deque(maxlen=ASKED)

    async def envelopes(self, local: Mailbox) -> None:
        """Summaries of everything that has none, newest first."""
        missing = await asyncio.to_thread(mails.wanting, self._cache, local.id, State.CLOSED)
        done = 0

        async def some(batch: Batch) -> None:
            nonlocal done
            left = await self._lacking(local, batch, State.CLOSED)
            if left:
                await self.summarise(local, left)
            done += len(batch)
            self._report(Progress(local.name, "envelopes", done, len(missing)))

        await _overlapping(_cut(missing, ENVELOPES_A_COMMAND), some)

    async def summarise(self, local: Mailbox, batch: Batch, *, urgent: bool = False) -> None:
        """Fetch and open their envelopes."""
        ids = dict(batch)
        async with self._turn(local, urgent=urgent) as remote:
            fetched = await remote.envelopes([uid for uid, _ in batch])
        found = [(ids[uid], octets) for uid, octets in fetched if uid in ids]
        results = await asyncio.to_thread(self._opening.envelopes, found)
        summaries = [(one, result) for one, result in results if isinstance(result, Summary)]
        await asyncio.to_thread(mails.put_summaries, self._cache, summaries)
        # what cannot be told from the envelope is opened before anything of it is shown
        closed = {one for one, summary in summaries if summary.state is State.CLOSED}
        closed |= {one for one, result in results if isinstance(result, Unreadable)}
        wanted = [(uid, one) for uid, one in batch if one in closed]
        for part in await self._by_octets(local, wanted):
            await self.open_bodies(local, part, urgent=urgent)
        await self._put_off(ids.values(), results)
        self._changed()

    async def bodies(self, local: Mailbox) -> None:
        """Octets of everything whose octets are not here, newest first, while there is room."""
        missing = await asyncio.to_thread(self._wanted, local)
        done = 0

        async def some(batch: Batch) -> None:
            nonlocal done
            if await self._full():
                return
            left = await self._lacking(local, batch, State.OPENED)
            if left:
                await self.open_bodies(local, left)
            done += len(batch)
            self._report(Progress(local.name, "bodies", done, len(missing)))

        await _overlapping(iter(await self._by_octets(local, missing)), some)

    def _wanted(self, local: Mailbox) -> list[tuple[int, str]]:
        if self._room is None:
            return mails.wanting(self._cache, local.id, State.OPENED)
        after = self._room.wanted_after()
        return mails.wanting(self._cache, local.id, State.OPENED, after)

    async def _full(self) -> bool:
        return self._room is not None and await asyncio.to_thread(self._room.full)

    async def make_room(self) -> None:
        """Drop the oldest bodies where there are too many."""
        if self._room is not None:
            dropped = await asyncio.to_thread(self._room.make, frozenset(self._asked))
            if dropped:
                log.info("bodies dropped to make room: %d", dropped)

    async def index_words(self) -> None:
        """Of all that was opened since, for our own client's search."""
        while await asyncio.to_thread(words.index, self._cache):
            pass

    async def open_bodies(self, local: Mailbox, batch: Batch, *, urgent: bool = False) -> None:
        """Fetch and open their octets."""
        ids = dict(batch)
        async with self._turn(local, urgent=urgent) as remote:
            fetched = await remote.bodies([uid for uid, _ in batch])
        found = [(ids[uid], octets) for uid, octets in fetched if uid in ids]
        del fetched  # large mail is let go while it is opened
        results = await asyncio.to_thread(self._opening.bodies, found)
        opened = [(one, *result) for one, result in results if not isinstance(result, Later)]
        if opened:
            await asyncio.to_thread(mails.put_bodies, self._cache, opened)
            self._changed()
            if self._learn is not None:
                await asyncio.to_thread(
                    self._learn, [(summary, body) for _, summary, body in opened]
                )
        await self._put_off(ids.values(), results)

    async def _put_off(self, asked: Iterable[str], results: Iterable[tuple[str, object]]) -> None:
        """Those that could not be opened this time, or that the server did not give."""
        given = dict(results)
        off = [one for one in asked if isinstance(given.get(one, _NOT_GIVEN), Later)]
        if off:
            log.warning("mails not opened this time: %d", len(off))
            held = [one for one in off if isinstance(given.get(one), KeyElsewhere)]
            gone = [one for one in off if isinstance(given.get(one), KeyGone)]
            await asyncio.to_thread(mails.put_off, self._cache, off, held, gone)
            self._changed()

    async def ensure(self, local: Mailbox, uids: Sequence[int], state: State) -> None:
        """These messages, at least to `state`, before everything else that is missing."""
        missing = await asyncio.to_thread(mails.lacking, self._cache, local.id, uids, state)
        if state is State.OPENED:
            self._asked.extend(email_id for _, email_id in missing)
            for batch in await self._by_octets(local, missing):
                await self.open_bodies(local, batch, urgent=True)
        else:
            for batch in _cut(missing, ENVELOPES_A_COMMAND):
                await self.summarise(local, batch, urgent=True)

    async def _by_octets(self, local: Mailbox, items: Batch) -> list[Batch]:
        uids = [uid for uid, _ in items]
        sizes = await asyncio.to_thread(mails.sizes, self._cache, local.id, uids) if items else {}
        return list(by_octets(items, sizes))

    async def _lacking(self, local: Mailbox, batch: Batch, state: State) -> Batch:
        """Of these, what nobody else fetched meanwhile."""
        uids = [uid for uid, _ in batch]
        return await asyncio.to_thread(mails.lacking, self._cache, local.id, uids, state)


async def _overlapping(batches: Iterator[Batch], act: Callable[[Batch], Awaitable[None]]) -> None:
    """Two at a time: while one is opened and written, the next is fetched."""

    async def consume() -> None:
        for batch in batches:
            await act(batch)

    tasks = [asyncio.create_task(consume()) for _ in range(2)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _cut(items: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def by_octets(items: Batch, sizes: Mapping[int, int]) -> Iterator[Batch]:
    """Batches of at most BODIES_A_COMMAND messages and about BODY_OCTETS_A_COMMAND octets."""
    batch: list[tuple[int, str]] = []
    octets = 0
    for item in items:
        size = sizes.get(item[0]) or UNKNOWN_SIZE
        if batch and (octets + size > BODY_OCTETS_A_COMMAND or len(batch) == BODIES_A_COMMAND):
            yield batch
            batch, octets = [], 0
        batch.append(item)
        octets += size
    if batch:
        yield batch
