"""Looking for somebody's key: in a file, in the server's directory, in their domain's WKD."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2email_client import directory
from e2email_client.certificate_files import certificates_in
from e2email_client.contact import Source
from e2email_client.contact_rules import Outcome, Seen
from e2email_client.contacts import Contacts
from e2email_client.failure import BadServer, Offline, Refused
from e2email_client.key_judging import judge
from e2email_client.wkd import Wkd
from e2email_crypto.errors import Refusal

if TYPE_CHECKING:
    from e2email_client.api import AccountApi, Login


@dataclass(frozen=True, slots=True)
class Found:
    """What came from one source, in its order."""

    source: Source
    outcomes: tuple[Outcome, ...]

    @property
    def telling(self) -> tuple[Outcome, ...]:
        """Without other people's keys, where there are some for this address."""
        fitting = tuple(one for one in self.outcomes if one.seen is not Seen.REFUSED)
        return fitting or self.outcomes[:1]


@dataclass(frozen=True, slots=True)
class Finder:
    """Blocks. `api` and `wkd` are the ways out of this machine."""

    contacts: Contacts
    api: AccountApi
    login: Login
    wkd: Wkd

    def in_octets(self, address: str, octets: bytes, source: Source, now: int) -> Found:
        """All certificates of a file."""
        outcomes = (
            self.contacts.offer(address, one, source, now) for one in certificates_in(octets)
        )
        return Found(source, tuple(outcomes))

    def in_directory(self, address: str, now: int) -> Found | None:
        """None: no account here. Offline, Refused, BadServer; Alarm: it does not verify."""
        name = self.contacts.foreign(address)
        contact = self.contacts.one(name)
        seen = contact.head.digest if contact and contact.head else None
        first = contact is None or contact.pin is None
        try:
            listed = directory.look_up(self.api, self.login, name, seen, first=first)
        except directory.Unproven as fault:
            self._revoked(name, fault.certificates, now)
            raise
        if listed is None:
            return None
        outcome = self.contacts.follow(name, listed.chain, listed.certificates, now)
        return Found(Source.DIRECTORY, (outcome,))

    def _revoked(self, name: str, certificates: Collection[bytes], now: int) -> None:
        """A revocation counts, whatever is wrong with the history: the key itself made it."""
        contact = self.contacts.one(name)
        known = contact.known if contact else {}
        for one in certificates:
            judged = judge(one, None, now)
            if judged.fingerprint in known and judged.refusal is Refusal.REVOKED:
                self.contacts.offer(name, one, Source.DIRECTORY, now)

    def in_wkd(self, address: str, now: int) -> Found | None:
        """None: nothing is published. Offline, BadServer."""
        octets = self.wkd.look_up(self.contacts.foreign(address))
        return self.in_octets(address, octets, Source.WKD, now) if octets else None

    def everywhere(self, address: str, now: int, faults: list[str]) -> Found | None:
        """The directory, whose history says more, else WKD. What was in the way of one of them
        is added to `faults`."""
        for look in (self.in_directory, self.in_wkd):
            try:
                found = look(address, now)
            except (Offline, Refused, BadServer) as fault:
                faults.append(str(fault))
            else:
                if found is not None:
                    return found
        return None


def system_wkd() -> Wkd:
    """Trusts the machine's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return Wkd(context)
