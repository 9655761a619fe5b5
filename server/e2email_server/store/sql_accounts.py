"""The store on SQLite: accounts, their keys, credentials and boxes."""

from collections.abc import Sequence

from e2email_protocol.sealed.record import Policy
from e2email_server.store import account_rows, credential_rows
from e2email_server.store.sql_base import Sql
from e2email_server.store.types import (
    Account,
    Box,
    Certificate,
    Invite,
    Kdf,
    NewAccount,
    NewToken,
    Recipient,
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
        return await self._read(
            lambda c: account_rows.history(c, self._macs, account_id, first, count)
        )

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

    async def set_auth(self, account_id: int, auth_hash: str, kdf: Kdf, slots: Box) -> None:
        await self._change_account(
            lambda c: account_rows.set_auth(c, self._macs, account_id, auth_hash, kdf, slots)
        )

    # --- credentials ------------------------------------------------------------------------

    async def invite(self, invite: Invite, invite_hash: bytes) -> None:
        await self._change(lambda c: credential_rows.add_invite(c, self._macs, invite, invite_hash))

    async def find_invite(self, invite_hash: bytes) -> Invite:
        time = self._clock()
        return await self._read(
            lambda c: credential_rows.find_invite(c, self._macs, invite_hash, time)
        )

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

    async def remove_box(self, account_id: int, name: str) -> None:
        await self._change(lambda c: credential_rows.remove_box(c, account_id, name))
