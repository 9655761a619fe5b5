"""Other people's keys, kept: in the account's shared state, or on this machine alone.

docs/specs/contacts.md. All that is decided by rule stands in contact_rules.py. What was only
learned from received mail stays on this machine until somebody cares for it: anybody can write any
From.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from e2email_client import contact_form, contact_rules
from e2email_client.contact import Contact, Source
from e2email_client.contact_rules import Chain, Changed, NoKey, Outcome, Why
from e2email_client.failure import LocalFault, NotThere
from e2email_client.key_judging import canonical, judge
from e2email_client.local.learned import Learned
from e2email_client.shared_state import SharedState
from e2email_client.state_document import CONTACTS
from e2email_crypto.gate import Recipient
from e2email_protocol.address import BadAddress

if TYPE_CHECKING:
    from e2email_client.stores import Stores
    from e2email_client.unlock import Unlocked

OWN: Final = "is an address of your own; its keys come from the account's key history alone"


def open_contacts(unlocked: Unlocked, stores: Stores) -> Contacts:
    """Those of an account."""
    addresses = {unlocked.settings.address, *unlocked.statement.addresses}
    shared = SharedState(unlocked, stores.state)
    return Contacts(shared, Learned(stores.state), frozenset(map(canonical, addresses)))


@dataclass(frozen=True, slots=True)
class Contacts:
    """Blocks; as safe for threads as the stores below. `own`: canonical addresses of the account.

    Addresses are given as people write them; LocalFault for what is none.
    """

    shared: SharedState
    learned: Learned
    own: Collection[str]

    def every(self) -> list[Contact]:
        found = self.learned.every() | self.shared.get(CONTACTS)
        return [contact_form.decode(address, value) for address, value in sorted(found.items())]

    def one(self, address: str) -> Contact | None:
        name = _name(address)
        value = self.shared.one(CONTACTS, name) or self.learned.one(name)
        return contact_form.decode(name, value) if value else None

    def must(self, address: str) -> Contact:
        """Raises NotThere."""
        found = self.one(address)
        if found is None:
            raise NotThere("No key is known for this address; see e2email contact add.")
        return found

    def kept(self, address: str) -> bool:
        """Whether somebody cared for it: it is more than learned from mail."""
        return self.shared.one(CONTACTS, _name(address)) is not None

    def usable_key(self, address: str, now: int) -> tuple[Recipient, ...] | NoKey:
        """What mail to this address is encrypted to, all of them; or why nothing is."""
        name = _name(address)
        if name in self.own:
            return NoKey(Why.OWN, f"{name} {OWN}.")
        found = self.one(name)
        if found is None:
            return NoKey(Why.UNKNOWN, f"No key is known for {name}.")
        return contact_rules.standing(found, now)

    def offer(
        self, address: str, certificate: bytes, source: Source, now: int, seen: int | None = None
    ) -> Outcome:
        """A binary certificate from outside. `seen`: the date of the mail it came in.

        LocalFault for an address of one's own, and where there is no room.
        """
        name = self.foreign(address)
        at = now if seen is None else min(seen, now)
        known = self.one(name) if source is Source.AUTOCRYPT else None
        if known and contact_rules.older(known, at):
            # a mailbox is opened from its newest mail on: all others come to here
            return contact_rules.OLD
        judged = judge(certificate, name, now)
        return self._change(
            name, lambda one: contact_rules.learn(one, judged, source, at), now, source
        )

    def follow(
        self, address: str, chain: Chain, certificates: Collection[bytes], now: int
    ) -> Outcome:
        """What the server's directory says of an account there, verified (directory.py)."""
        found = [judge(one, None, now) for one in certificates]
        return self._change(
            self.foreign(address), lambda one: contact_rules.follow(one, chain, found, now), now
        )

    def decide(self, address: str, change: Callable[[Contact], Changed], now: int) -> Contact:
        """`change` is one of contact_rules' accept, keep, distrust, verify. NotThere, LocalFault;
        then nothing changed."""
        self.must(address)
        self._change(self.foreign(address), change, now)
        return self.must(address)

    def foreign(self, address: str) -> str:
        """The canonical form. LocalFault for none, and for one of one's own."""
        name = _name(address)
        if name in self.own:
            raise LocalFault(f"{name} {OWN}.")
        return name

    def _change(
        self,
        name: str,
        change: Callable[[Contact], Changed],
        now: int,
        source: Source | None = None,
    ) -> Outcome:
        outcomes: list[Outcome] = []

        def changing(value: Any | None) -> Any | None:
            before = value or self.learned.one(name)
            contact, outcome = change(
                contact_form.decode(name, before) if before else Contact(name)
            )
            outcomes[:] = [outcome]
            return contact_form.encode(contact) if contact.known else None

        if source is Source.AUTOCRYPT and not self.kept(name):
            self.learned.update(name, changing)
        else:
            # that a key was seen again is no news for other devices
            self.shared.update(CONTACTS, name, changing, now, matters=lambda: outcomes[0].fresh)
        return outcomes[0]


def _name(address: str) -> str:
    try:
        return canonical(address)
    except BadAddress:
        raise LocalFault("This is not a mail address.") from None
