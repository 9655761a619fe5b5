"""The store on SQLite: accounts, their keys, credentials and boxes."""

from collections.abc import Collection, Sequence

from e2email_protocol.sealed.record import Policy
from e2email_server.store import account_rows, credential_rows, key_rows, pairing_rows
from e2email_server.store.sql_base import Sql
from e2email_server.store.types import (
    Account,
    Box,
    Certificate,
    Invite,
    NewAccount,
    NewToken,
    Pairing,
    Recipient,
    Rewrap,
    Statement,
    Token,
)


class SqlAccounts(Sql):
    """See api.Store."""

    # --- accounts ---------------------------------------------------------------------------

    async def register(self, account: NewAccount, invite_hash: bytes | None) -> Account:
        time = self._clock()
        return await self._change_account(
            lambda c: account_rows.register(c, self._macs, account, invite_hash, time)
        )

    async def account(self, address: str) -> Account:
        return await self._read(lambda c: account_rows.find(c, self._macs, address))

    async def account_by_id(self, account_id: int) -> Account:
        return await self._read(lambda c: account_rows.find_by_id(c, self._macs, account_id))

    async def accounts(self) -> list[Account]:
        return await self._read(lambda c: account_rows.everyone(c, self._macs))

    async def recipient(self, address: str) -> Recipient:
        return await self._read(lambda c: account_rows.recipient(c, self._macs, address))

    async def statements(self, account_id: int, first: int, count: int) -> list[Statement]:
        return await self._read(lambda c: key_rows.history(c, self._macs, account_id, first, count))

    async def publish(
        self,
        account_id: int,
        certificates: Sequence[Certificate],
        statement: Statement,
        policy: Policy,
    ) -> None:
        await self._change_account(
            lambda c: account_rows.publish(
                c, self._macs, account_id, certificates, statement, policy
            )
        )

    async def set_enabled(self, account_id: int, enabled: bool) -> None:
        await self._change_account(
            lambda c: account_rows.set_enabled(c, self._macs, account_id, enabled)
        )

    async def rewrap(self, account_id: int, change: Rewrap) -> None:
        await self._change_account(lambda c: account_rows.rewrap(c, self._macs, account_id, change))

    async def certificates(self, account_id: int) -> list[Certificate]:
        return await self._read(lambda c: key_rows.ever(c, self._macs, account_id))

    async def revise(self, account_id: int, certificate: Certificate) -> None:
        await self._change_account(
            lambda c: key_rows.revise(c, self._macs, account_id, certificate)
        )

    # --- credentials ------------------------------------------------------------------------

    async def invite(self, invite: Invite, invite_hash: bytes) -> None:
        await self._change(lambda c: credential_rows.add_invite(c, self._macs, invite, invite_hash))

    async def find_invite(self, invite_hash: bytes) -> Invite:
        time = self._clock()
        return await self._read(
            lambda c: credential_rows.find_invite(c, self._macs, invite_hash, time)
        )

    async def find_recovery(self, recovery_hash: bytes) -> int:
        return await self._read(
            lambda c: credential_rows.find_recovery(c, self._macs, recovery_hash)
        )

    async def has_recovery(self, account_id: int) -> bool:
        return await self._read(lambda c: credential_rows.has_recovery(c, self._macs, account_id))

    async def add_pairing(self, pairing: Pairing) -> None:
        time = self._clock()
        await self._change(lambda c: pairing_rows.add(c, self._macs, pairing, time))

    async def take_pairing(self, pairing_hash: bytes) -> Pairing:
        time = self._clock()
        return await self._change(lambda c: pairing_rows.take(c, self._macs, pairing_hash, time))

    async def sweep_pairings(self) -> int:
        time = self._clock()
        return await self._change(lambda c: pairing_rows.sweep(c, time))

    async def add_token(self, token: NewToken) -> Token:
        time = self._clock()
        return await self._change(lambda c: credential_rows.add_token(c, self._macs, token, time))

    async def find_token(self, token_hash: bytes) -> Token:
        return await self._read(lambda c: credential_rows.find_token(c, self._macs, token_hash))

    async def tokens(self, account_id: int) -> list[Token]:
        return await self._read(lambda c: credential_rows.list_tokens(c, self._macs, account_id))

    async def remove_token(self, account_id: int, token_id: int) -> None:
        await self._change_account(lambda c: credential_rows.remove_token(c, account_id, token_id))

    async def token_used(self, token_id: int, day: int) -> None:
        await self._change(lambda c: credential_rows.token_used(c, token_id, day))

    async def boxes(self, account_id: int) -> list[Box]:
        return await self._read(lambda c: credential_rows.list_boxes(c, account_id))

    async def box(self, account_id: int, name: str) -> Box:
        return await self._read(lambda c: credential_rows.find_box(c, account_id, name))

    async def put_box(self, account_id: int, box: Box) -> None:
        await self._change(lambda c: credential_rows.put_box(c, account_id, box))

    async def remove_boxes(self, account_id: int, names: Collection[str]) -> None:
        await self._change(lambda c: credential_rows.remove_boxes(c, account_id, names))
