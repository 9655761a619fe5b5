"""Keys learned from mail as it is opened: offered to the contacts, and never in the way of mail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlcipher3 import dbapi2

from e2email_client import autocrypt
from e2email_client.autocrypt import Offer
from e2email_client.contact import Source
from e2email_client.contact_rules import Seen
from e2email_client.contacts import Contacts, open_contacts
from e2email_client.failure import ClientError
from e2email_client.local import notices
from e2email_client.local.mails import Body, State, Summary
from e2email_client.parsing import NoParser
from e2email_protocol.sealed.arrival import SMTP

if TYPE_CHECKING:
    from e2email_client.opening import Opening
    from e2email_client.stores import Stores
    from e2email_client.unlock import Unlocked

log = logging.getLogger(__name__)

Learn = Callable[[Sequence[tuple[Summary, Body]]], None]
DMARC: Final = "dmarc"


def open_learning(unlocked: Unlocked, stores: Stores, opening: Opening) -> Learn:
    """For the mail of an account. Blocks; raises nothing."""
    told = partial(notices.put, stores.state, notices.Kind.CONTACT, "")
    contacts = open_contacts(unlocked, stores)
    return partial(_learn, contacts, opening.autocrypt, told)


def _learn(
    contacts: Contacts,
    parse: Callable[[Sequence[bytes]], Sequence[Offer | None]],
    told: Callable[[str], None],
    opened: Sequence[tuple[Summary, Body]],
) -> None:
    headers = [body.header for summary, body in opened if _trusted(summary, body)]
    if not headers:
        return
    try:
        for offer in parse(headers):
            if offer is not None:
                _offer(contacts, offer, told)
    except (ClientError, NoParser, dbapi2.OperationalError) as fault:
        # it is learned from the next mail
        log.warning("no keys were learned from mail: %s", type(fault).__name__)


def _trusted(summary: Summary, body: Body) -> bool:
    """Received mail with the field, which nobody is known to have forged or changed."""
    security = summary.security
    return (
        autocrypt.present(body.header)
        and summary.state is State.OPENED
        and security.origin == SMTP
        and not security.alarms
        and not security.verdicts.get(DMARC, "").startswith("fail")
    )


def _offer(contacts: Contacts, offer: Offer, told: Callable[[str], None]) -> None:
    if offer.address in contacts.own:
        return
    now = int(time.time())
    outcome = contacts.offer(offer.address, offer.certificate, Source.AUTOCRYPT, now, offer.date)
    # what a stranger claims of somebody nobody cared for is told when that address is used
    if (
        outcome.fresh
        and outcome.seen in (Seen.CHANGED, Seen.REVOKED)
        and contacts.kept(offer.address)
    ):
        what = "revokes the key of" if outcome.seen is Seen.REVOKED else "has another key for"
        told(f"A mail {what} {offer.address}; see e2email contact show.")
