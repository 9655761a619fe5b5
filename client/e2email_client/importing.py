"""Mail from files into the account: sealed here, kept in the journal, sent when it can be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from e2email_client.failure import Incomplete, Offline, Refused
from e2email_client.local.entries import Place
from e2email_client.local.journal import Journal, Seal
from e2email_client.mailfiles import Found
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.header import first

log = logging.getLogger(__name__)

# What waits in the journal between two attempts to send it: an interrupted import has lost nothing,
# and a large one does not fill the disk twice.
SEND_OCTETS = 16 * 1024 * 1024
# What may wait while the server is not reached.
WAITING_OCTETS = 1024 * 1024 * 1024


@dataclass(slots=True)
class Tally:
    """What became of the messages."""

    imported: int = 0
    known: int = 0  # imported before
    deleted: int = 0  # their program shows them no more
    refused: int = 0  # too large
    first_refused: str = ""


class Importer:
    """For one mailbox. `send` brings what waits to the server; it may raise Offline."""

    def __init__(
        self, journal: Journal, place: Place, seal: Seal, send: Callable[[], None], *, again: bool
    ) -> None:
        self._journal = journal
        self._place = place
        self._seal = seal
        self._send = send
        self._again = again
        self._unsent = 0  # octets since it was last tried
        self._waiting = 0  # octets since it last worked
        self.tally = Tally()

    def add(self, found: Found, now: int) -> None:
        """Take one message over, unless that was done before. Incomplete: too much waits."""
        tally = self.tally
        if found.deleted:
            tally.deleted += 1
            return
        if found.octets is None:
            self._refused(found)
            return
        digest = self._journal.import_digest(self._place, found.octets)
        if not self._again and self._journal.was_imported(digest):
            tally.known += 1
            return
        try:
            sealed = self._seal(found.octets)
        except Refused as fault:
            if fault.code != "TOOBIG":
                raise
            self._refused(found)
            return
        when = datetime.fromtimestamp(_when(found, found.octets, now), UTC)
        self._journal.queue_append(self._place, sealed, found.flags, when, digest)
        tally.imported += 1
        self._queued(len(sealed))

    def _refused(self, found: Found) -> None:
        self.tally.refused += 1
        self.tally.first_refused = self.tally.first_refused or found.where

    def _queued(self, octets: int) -> None:
        self._unsent += octets
        self._waiting += octets
        if self._unsent >= SEND_OCTETS:
            self.flush()
        if self._waiting >= WAITING_OCTETS:
            raise Incomplete(
                "The server is not reached, and enough waits for it here. Run the same again later."
            )

    def flush(self) -> None:
        """Send what waits, if the server is there."""
        self._unsent = 0
        try:
            self._send()
            self._waiting = 0
        except Offline as fault:
            log.info("what was imported waits: %s", fault)


def _when(found: Found, octets: bytes, now: int) -> int:
    """When it arrived: as its files say, else as it says itself, else now."""
    dated = parse_date(first(octets, b"date") or b"")
    for time in (found.when, dated[0] if dated else None):
        if time is not None and 0 < time <= now:
            return time
    return now
