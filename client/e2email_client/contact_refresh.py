"""Key histories of people on one's own server, asked after once a day.

So a change is followed, and told, before somebody writes to them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from e2email_client.aside import aside
from e2email_client.contact import Contact, Source
from e2email_client.contact_rules import Outcome, Seen
from e2email_client.contacts import open_contacts
from e2email_client.failure import Alarm, BadServer, Offline, Refused
from e2email_client.finding import Finder
from e2email_client.local import notices

if TYPE_CHECKING:
    from e2email_client.stores import Stores
    from e2email_client.unlock import Unlocked

log = logging.getLogger(__name__)

DAY: Final = 86_400
AT_ONCE: Final = 50  # requests in a row; the others are asked for the next time
PAUSE_SECONDS: Final = 3600.0

_TOLD: Final = {
    Seen.FOLLOWED: "The key of {} was replaced; the key before it vouches for that.",
    Seen.REVOKED: "The key of {} was revoked: nothing is encrypted to it any more.",
    Seen.CHANGED: "The key of {} is in doubt, and nothing is encrypted to it: {}. "
    "See e2email contact show.",
}


def refresh(finder: Finder, now: int, told: Callable[[str], None]) -> None:
    """Blocks. Offline, Refused, BadServer; the next time it goes on where it stopped."""
    due = [one for one in finder.contacts.every() if _due(one, now)]
    for contact in sorted(due, key=_looked)[:AT_ONCE]:
        try:
            found = finder.in_directory(contact.address, now)
        except Alarm as alarm:
            told(str(alarm))
            continue
        for outcome in found.outcomes if found else ():
            if outcome.fresh and outcome.seen in _TOLD:
                told(_said(outcome, contact.address))


def refresh_all(unlocked: Unlocked, stores: Stores) -> None:
    """Of an account; what is to be told is a notice. Raises as `refresh`."""
    from e2email_client.api import AccountApi
    from e2email_client.finding import system_wkd

    told = partial(notices.put, stores.state, notices.Kind.CONTACT, "")
    api = AccountApi(unlocked.server)
    finder = Finder(open_contacts(unlocked, stores), api, unlocked.login, system_wkd())
    refresh(finder, int(time.time()), told)


async def follow(unlocked: Unlocked, stores: Stores) -> None:
    """Now and then, until cancelled."""
    while True:
        try:
            await aside(partial(refresh_all, unlocked, stores))
        except (Offline, Refused, BadServer) as fault:
            log.info("no key histories of contacts: %s", type(fault).__name__)
        await asyncio.sleep(PAUSE_SECONDS)


def _due(contact: Contact, now: int) -> bool:
    return contact.head is not None and _looked(contact) <= now - DAY


def _looked(contact: Contact) -> int:
    sightings = (one.sightings.get(Source.DIRECTORY) for one in contact.known.values())
    return max((one.last for one in sightings if one), default=0)


def _said(outcome: Outcome, address: str) -> str:
    return _TOLD[outcome.seen].format(address, outcome.said)
