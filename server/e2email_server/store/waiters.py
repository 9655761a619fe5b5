"""Who waits for news of a mailbox: one shared event per mailbox, however many sessions watch it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set

from e2email_server.store.errors import NotFound


class _News:
    """The next commit of a mailbox: fires once; `highest` stays None when it was deleted."""

    __slots__ = ("event", "highest")

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.highest: int | None = None


class Waiters:
    """Lives in the loop's thread and knows watched mailboxes only."""

    def __init__(self) -> None:
        self._news: dict[int, _News] = {}

    def committed(self, highest: Mapping[int, int], deleted: Set[int] = frozenset()) -> None:
        """Wake the watchers of these mailboxes; to be called after the commit."""
        for mailbox_id in (*highest, *deleted):
            if news := self._news.pop(mailbox_id, None):
                news.highest = None if mailbox_id in deleted else highest[mailbox_id]
                news.event.set()

    async def wait(
        self, mailbox_id: int, modseq: int, read: Callable[[int], Awaitable[int]]
    ) -> int:
        """The highest modseq once it is above `modseq`; `read` asks the store, raising NotFound."""
        news = self._watch(mailbox_id)  # before reading: a commit in between is not missed
        highest = await read(mailbox_id)
        while highest <= modseq:
            await news.event.wait()
            if news.highest is None:
                raise NotFound("the mailbox was deleted")
            highest, news = news.highest, self._watch(mailbox_id)
        return highest

    def _watch(self, mailbox_id: int) -> _News:
        return self._news.setdefault(mailbox_id, _News())
