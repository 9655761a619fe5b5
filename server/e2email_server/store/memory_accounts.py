"""Accounts in memory: their keys, their statements."""

from collections.abc import Sequence
from dataclasses import replace

from e2email_protocol.sealed.record import Policy
from e2email_server.store.errors import AlreadyExists, NotFound
from e2email_server.store.memory_base import MemoryAccount
from e2email_server.store.memory_credentials import Credentials
from e2email_server.store.types import (
    DEFAULT_MAILBOXES,
    Account,
    Box,
    Certificate,
    Kdf,
    NewAccount,
    Recipient,
    Statement,
)


class Accounts(Credentials):
    """See api.Store."""

    async def register(self, account: NewAccount, invite_hash: bytes | None) -> Account:
        if invite_hash is not None and (
            (await self.find_invite(invite_hash)).address != account.address
        ):
            raise NotFound("the invite is for another address")
        if any(person.row.address == account.address for person in self._people.values()):
            raise AlreadyExists("an account with that address exists")
        person = self._person_of(account)
        self._invites.pop(invite_hash or b"", None)
        self._people[person.row.account_id] = person
        self._epoch += 1
        made = [self._make(person, name, use) for name, use in DEFAULT_MAILBOXES]
        person.row = replace(person.row, inbox=made[0].mailbox_id)
        return person.row

    def _person_of(self, account: NewAccount) -> MemoryAccount:
        row = Account(
            self._next(),
            account.address,
            account.policy,
            True,
            self._clock(),
            0,
            account.kdf,
            account.auth_hash,
        )
        person = MemoryAccount(row, account.certificates)
        if account.statement is not None:
            person.append(account.statement)
        for box in account.boxes:
            person.put(box)
        return person

    def _by_address(self, address: str) -> MemoryAccount:
        for person in self._people.values():
            if person.row.address == address:
                return person
        raise NotFound("no such account")

    async def account(self, address: str) -> Account:
        return self._by_address(address).row

    async def account_by_id(self, account_id: int) -> Account:
        return self._person(account_id).row

    async def accounts(self) -> list[Account]:
        return [person.row for person in self._people.values()]

    async def recipient(self, address: str) -> Recipient:
        person = self._by_address(address)
        newest = person.statements[-1] if person.statements else None
        return Recipient(person.row, person.certificates, newest)

    async def statements(self, account_id: int, first: int, count: int) -> list[Statement]:
        statements = self._people[account_id].statements if account_id in self._people else []
        return [entry for entry in statements if entry.sequence >= first][:count]

    async def publish(
        self,
        account_id: int,
        certificates: Sequence[Certificate],
        statement: Statement,
        policy: Policy,
    ) -> None:
        person = self._person(account_id)
        person.append(statement)
        person.certificates = tuple(certificates)
        person.row = replace(person.row, policy=policy)
        self._epoch += 1

    async def set_enabled(self, account_id: int, enabled: bool) -> None:
        person = self._person(account_id)
        person.row = replace(person.row, enabled=enabled)
        self._epoch += 1

    async def set_auth(self, account_id: int, auth_hash: str, kdf: Kdf, slots: Box) -> None:
        person = self._person(account_id)
        person.put(slots)
        person.row = replace(person.row, auth_hash=auth_hash, kdf=kdf)
        self._epoch += 1
