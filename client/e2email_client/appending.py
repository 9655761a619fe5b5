"""APPEND: a message goes up once, however often the connection breaks. docs/specs/journal.md."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from e2email_client.connection import catch_up, connected
from e2email_client.failure import LocalFault, NotUnderstood, Offline, Refused
from e2email_client.local.entries import Place
from e2email_client.local.journal import Journal, Seal, Sending
from e2email_client.local.mailboxes import Mailbox

if TYPE_CHECKING:
    from e2email_client.live import Live

# Programs give up after a minute or more; a connection that broke is mostly back within seconds.
APPEND_SECONDS = 30.0
LOOK_SECONDS = 0.1


class Appending:
    """The messages that programs store in one account. Offline, BadServer, Refused, LocalFault."""

    def __init__(self, live: Live, journal: Journal, seal: Seal | None) -> None:
        self._live = live
        self._journal = journal
        self._seal = seal or bytes  # else as it is: the server seals it

    async def append(
        self, target: Mailbox, mail: bytes, flags: Iterable[str], when: datetime
    ) -> tuple[int, int]:
        """(UIDVALIDITY, UID). However often it is tried, it arrives once: the octets that go up
        are on the disk before they are sent, and the server knows them again."""
        await self._live.settled()
        if not self._live.elsewhere:
            _ = self._live.reached  # else Offline, and nothing was begun
        wanted = frozenset(flags)
        sending = await asyncio.to_thread(
            self._journal.begin_append, Place.of(target), mail, self._seal, wanted, when
        )
        attempt = _Attempt(sending)
        try:
            placed = await self._sent(attempt, target, wanted, when)
        except (Refused, NotUnderstood):
            attempt.refused = True
            raise
        finally:
            await asyncio.shield(asyncio.to_thread(self._ended, attempt))
        await catch_up(self._live, target)
        return target.shown(placed[0]), placed[1]

    async def _sent(
        self, attempt: _Attempt, target: Mailbox, flags: frozenset[str], when: datetime
    ) -> tuple[int, int]:
        clock = asyncio.get_running_loop().time
        until = clock() + APPEND_SECONDS
        while True:
            try:
                async with connected(self._live) as sync, sync.any_turn() as remote:
                    attempt.sent += 1
                    placed = await remote.append(target.name, attempt.sending.octets, flags, when)
                    attempt.arrived = True
                    return placed
            except Offline:
                # it was there when this began, unless another program syncs: then nobody looked
                unseen = self._live.elsewhere and not attempt.sent
                if unseen or clock() >= until:
                    raise
            await asyncio.sleep(LOOK_SECONDS)

    def _ended(self, attempt: _Attempt) -> None:
        with suppress(LocalFault):  # it stays for a day, and does nothing by itself
            if attempt.over:
                self._journal.done([attempt.sending.id])
        self._journal.gave_up(attempt.sending)


@dataclass(slots=True)
class _Attempt:
    """An APPEND, and what is known of it."""

    sending: Sending
    sent: int = 0  # how often
    arrived: bool = False
    refused: bool = False  # the last time

    @property
    def over(self) -> bool:
        """Nothing is open: a refusal speaks for its own time only, not for a lost answer's."""
        return self.arrived or (not self.sending.again and self.sent - self.refused == 0)
