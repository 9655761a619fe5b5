"""Accounts in memory: their keys, their statements."""

from collections.abc import Sequence
from dataclasses import replace

from e2email_protocol.sealed.record import Policy
from e2email_server.store.errors import AlreadyExists, Conflict, NotFound
from e2email_server.store.memory_base import MemoryAccount
from e2email_server.store.memory_credentials import Credentials
from e2email_server.store.types import (
    DEFAULT_MAILBOXES,
    Account,
    Certificate,
    NewAccount,
    Recipient,
    Rewrap,
    Statement,
)


class Accounts(Credentials):
    """See api.Store."""

    async def register(self, account: NewAccount, invite_hash: bytes | None) -> Account:
        invite = None if invite_hash is None else await self.find_invite(invite_hash)
        if invite is not None and invite.address != account.address:
            raise NotFound("the invite is for another address")
        if invite is not None and invite.replaces is not None:
            person = self._begun_anew(self._person(invite.replaces), account)
        else:
            person = self._made(account)
        self._invites.pop(invite_hash or b"", None)
        self._epoch += 1
        return person.row

    def _made(self, account: NewAccount) -> MemoryAccount:
        if any(person.row.address == account.address for person in self._people.values()):
            raise AlreadyExists("an account with that address exists")
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
        _equip(person, account)
        self._people[person.row.account_id] = person
        made = [self._make(person, name, use) for name, use in DEFAULT_MAILBOXES]
        person.row = replace(person.row, inbox=made[0].mailbox_id)
        return person

    def _begun_anew(self, person: MemoryAccount, account: NewAccount) -> MemoryAccount:
        person.boxes, held = {}, person.boxes
        try:
            _equip(person, account)
        except Conflict:
            person.boxes = held
            raise
        person.use(account.certificates)
        person.row = replace(
            person.row, policy=account.policy, kdf=account.kdf, auth_hash=account.auth_hash
        )
        mine = person.row.account_id
        self._tokens = {k: v for k, v in self._tokens.items() if v.account_id != mine}
        self._pairings = {k: v for k, v in self._pairings.items() if v.account_id != mine}
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
        person.use(certificates)
        person.row = replace(person.row, policy=policy)
        self._epoch += 1

    async def set_enabled(self, account_id: int, enabled: bool) -> None:
        person = self._person(account_id)
        person.row = replace(person.row, enabled=enabled)
        self._epoch += 1

    async def certificates(self, account_id: int) -> list[Certificate]:
        person = self._people.get(account_id)
        return [*person.certificates, *person.past.values()] if person else []

    async def revise(self, account_id: int, certificate: Certificate) -> None:
        person, name = self._person(account_id), certificate.fingerprint
        if name in person.past:
            person.past[name] = certificate
        elif name in {one.fingerprint for one in person.certificates}:
            person.certificates = tuple(
                certificate if one.fingerprint == name else one for one in person.certificates
            )
        else:
            raise NotFound("no such certificate")
        self._epoch += 1

    async def rewrap(self, account_id: int, change: Rewrap) -> None:
        person = self._person(account_id)
        if change.absent.intersection(person.boxes):
            raise Conflict("something is stored that is not named")
        for box in change.boxes:  # all or nothing
            person.fits(box)
        for box in change.boxes:
            person.put(box)
        if change.login is not None:
            login = change.login
            person.row = replace(person.row, auth_hash=login.auth_hash, kdf=login.kdf)
        person.recovery_hash = change.recovery_hash or person.recovery_hash
        self._epoch += 1


def _equip(person: MemoryAccount, account: NewAccount) -> None:
    """What registration brings beside the row. Raises Conflict, before anything is changed."""
    for box in account.boxes:
        person.fits(box)
    if account.statement is not None:
        person.append(account.statement)
    for box in account.boxes:
        person.put(box)
    person.recovery_hash = account.recovery_hash
