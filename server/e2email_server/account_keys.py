"""The rules of an account's published keys: what follows what, and what is shown of it."""

import asyncio
import logging
from collections.abc import Sequence

from e2email_crypto.statement import Entry
from e2email_protocol import account as messages
from e2email_server.account_base import AccountBase
from e2email_server.keycheck import KeysRefused, Published, check, check_revoked
from e2email_server.store.types import Account, Recipient

log = logging.getLogger(__name__)


class AccountKeys(AccountBase):
    """Statements, certificates, revocations. Store errors pass through."""

    async def statements(self, account: Account, first: int) -> messages.Statements:
        """A page of the history, with what it is verified with."""
        page = await self._store.statements(account.account_id, first, messages.STATEMENTS_PAGE)
        entries = tuple(one.octets for one in page)
        return messages.Statements(entries, await self._certificates(account, entries))

    async def _certificates(self, account: Account, entries: Sequence[bytes]) -> tuple[bytes, ...]:
        """Of the signers of these entries, and those in use."""
        wanted = {Entry.decode(entry).signer for entry in entries}
        in_use = (await self._store.recipient(account.address)).certificates
        wanted.update(one.fingerprint for one in in_use)
        ever = await self._store.certificates(account.account_id)
        return tuple(one.octets for one in ever if one.fingerprint in wanted)

    async def publish(
        self, account: Account, entry: bytes, certificates: tuple[bytes, ...] | None
    ) -> None:
        """Append to the key history; with certificates None, the present ones stay.

        Raises KeysRefused, Conflict.
        """
        async with self._changing:
            old = await self._store.recipient(account.address)
            if certificates is None:
                certificates = tuple(one.octets for one in old.certificates)
            published = await self._judged(account.address, entry, certificates, old)
            await self._store.publish(
                account.account_id, published.certificates, published.statement, published.policy
            )
        sequence = published.statement.sequence
        log.info("account %s published statement %d", account.address, sequence)

    async def _judged(
        self,
        address: str,
        entry: bytes,
        certificates: Sequence[bytes],
        old: Recipient | None,
        *,
        forced: bool = False,
    ) -> Published:
        """The keys if they may be published after `old`; raises KeysRefused."""
        ever = [] if old is None else await self._store.certificates(old.account.account_id)
        published = await asyncio.to_thread(
            check,
            entry,
            certificates,
            address,
            self._clock(),
            None if old is None else old.statement,
            ever,
            forced=forced,
        )
        for alias in published.aliases:
            await self._check_alias(alias, address)
        return published

    async def _check_alias(self, alias: str, address: str) -> None:
        owner = await self._owner(alias)
        if owner is None or owner.address != address:
            text = "The statement names an address whose mail does not come to this account alone."
            raise KeysRefused("statement-refused", text)

    async def revoke(self, account: Account, certificate: bytes) -> None:
        """Keep a certificate, in use or past, in its revoked form. Raises KeysRefused."""
        async with self._changing:
            ever = await self._store.certificates(account.account_id)
            revoked = await asyncio.to_thread(check_revoked, certificate, ever, self._clock())
            await self._store.revise(account.account_id, revoked)
        log.warning("account %s revoked %s", account.address, revoked.fingerprint)
