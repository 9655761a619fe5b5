"""What anybody may have of an account's keys: certificates under one address, nothing beside.

Rows carry MACs, and what they hold was verified when it was published. So a revoked or expired
certificate, which vouches for nothing any more, is still given: that it is revoked is the news.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from e2email_crypto.cert import publishable, verify_signed_by
from e2email_crypto.errors import BadKey, KeyRefused, SignatureInvalid, StatementInvalid
from e2email_crypto.statement import Entry, decode, signed_octets
from e2email_crypto.statement import Statement as Stated
from e2email_protocol.account import STATEMENTS_PAGE
from e2email_server.recipients import Recipients
from e2email_server.store.api import Store
from e2email_server.store.errors import NotFound, RowTampered
from e2email_server.store.types import Account, Certificate, Recipient, Statement

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """An account that has a key for an address, and its rows."""

    account: Account
    certificates: tuple[Certificate, ...]
    statement: Stated


class Published:
    """Looks up who may be found under an address."""

    def __init__(self, store: Store, recipients: Recipients) -> None:
        self._store, self._recipients = store, recipients

    async def find(self, address: str) -> Listed | None:
        """The account that alone gets mail for `address` and names it in its newest statement.

        None, and a line in the log where it is a fault, for everything else. Raises Failure.
        """
        try:
            owner = await self._recipients.owner(address)
            if owner is None or not owner.enabled:
                return None
            return _listed(await self._store.recipient(owner.address), address)
        except NotFound:
            return None  # removed meanwhile
        except (RowTampered, StatementInvalid) as fault:
            log.error("the keys of %s are not given out: %s", address, fault)
            return None

    async def certificates(self, listed: Listed, address: str) -> list[bytes]:
        """Those in use, as the statement orders them, with the user ids of `address` alone."""
        return await asyncio.to_thread(_publishable, listed.certificates, address)

    async def history(self, listed: Listed, address: str, page: Sequence[Statement]) -> list[bytes]:
        """Those in use and the signers of these entries of the key history.

        With the user ids of this account alone, where the signatures can still be verified then:
        each is judged as of its own time, and a user id may be younger. Else whole.
        """
        number = listed.account.account_id
        wanted = {Entry.decode(one.octets).signer for one in page} | listed.statement.fingerprints
        every = await self._store.certificates(number)
        signed = await self._signed(number, listed.statement.sequence, wanted)
        shown = [one for one in every if one.fingerprint in wanted]
        names = (listed.account.address, address)
        return await asyncio.to_thread(
            lambda: [_shown(one, signed.get(one.fingerprint, ()), names) for one in shown]
        )

    async def _signed(
        self, account_id: int, last: int, signers: Collection[str]
    ) -> dict[str, tuple[Entry, ...]]:
        """The first and the last entry of each, of however many, a page in memory at a time."""
        found: dict[str, tuple[Entry, ...]] = {}
        for first in range(1, last + 1, STATEMENTS_PAGE):
            rows = await self._store.statements(account_id, first, STATEMENTS_PAGE)
            for row in rows:
                entry = Entry.decode(row.octets)
                if entry.signer in signers:
                    found[entry.signer] = (*found.get(entry.signer, ())[:1], entry)
        return found


def _listed(row: Recipient, address: str) -> Listed | None:
    """Raises StatementInvalid."""
    if row.statement is None:
        return None
    stated = decode(Entry.decode(row.statement.octets).statement)
    if address not in stated.addresses:
        return None
    by_name = {one.fingerprint: one for one in row.certificates}
    if by_name.keys() != stated.fingerprints:
        raise StatementInvalid("the certificates are not the statement's")
    ordered = tuple(by_name[one.fingerprint] for one in stated.certificates)
    return Listed(row.account, ordered, stated)


def _shown(certificate: Certificate, signed: Sequence[Entry], addresses: tuple[str, ...]) -> bytes:
    """`signed`: the first and the last entry, which stand for those in between."""
    for address in addresses:
        try:
            smaller = publishable(certificate.octets, address)
            for entry in signed:
                verify_signed_by(smaller, signed_octets(entry.statement), entry.signature)
        except (BadKey, KeyRefused, SignatureInvalid):
            continue
        return smaller
    return certificate.octets


def _publishable(certificates: tuple[Certificate, ...], address: str) -> list[bytes]:
    found = []
    for one in certificates:
        try:
            found.append(publishable(one.octets, address))
        except (BadKey, KeyRefused) as fault:
            log.info("certificate %s has nothing for %s: %s", one.fingerprint, address, fault)
    return found
