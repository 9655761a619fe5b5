"""The connection that a program's change is made over, and what is looked at after it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from e2email_client.failure import ClientError, Refused
from e2email_client.local.mailboxes import Mailbox
from e2email_client.sync import Stale, Sync

if TYPE_CHECKING:
    from e2email_client.live import Live

log = logging.getLogger(__name__)


@asynccontextmanager
async def connected(live: Live) -> AsyncIterator[Sync]:
    """This program's connection; one of its own where another program syncs: a change needs
    no lock."""
    await live.settled()
    if live.elsewhere:
        async with live.aside() as sync:
            yield sync
    else:
        yield live.reached


async def catch_up(live: Live, target: Mailbox) -> None:
    """See what was just put there. It is there, so a failure now must not be told as one."""
    try:
        async with connected(live) as sync:
            await sync.envelopes(await sync.news(target))
    except (ClientError, Stale) as fault:
        log.info("what was stored is not seen yet: %s", type(fault).__name__)


@contextmanager
def not_stale() -> Iterator[None]:
    try:
        yield
    except Stale:
        raise Refused("STALE", "The mailbox is another one by now.") from None
