"""The API over the real store: rows that survive, races, and no secret on disk or in a log."""

import asyncio
from pathlib import Path

import pytest

from e2email_client.api import Login
from e2email_client.failure import Refused
from e2email_protocol import account as m
from support.account_server import ALICE, account_server, registration, split
from support.store_data import TestClock, sql_store

LOGIN = Login.afresh(ALICE, split().auth)


async def test_two_registrations_with_one_invite(tmp_path: Path) -> None:
    store = await sql_store(tmp_path, TestClock())
    async with account_server(store=store) as running:
        wish, login = registration(), Login.invite(await running.accounts.invite(ALICE))

        async def attempt() -> str:
            try:
                await asyncio.to_thread(
                    running.api.call, "POST", "/v1/accounts", m.AccountInfo, wish, login
                )
            except Refused as refused:
                return refused.code
            return "registered"

        codes = sorted(await asyncio.gather(*(attempt() for _ in range(3))))
        assert codes == ["invite-refused", "invite-refused", "registered"]
        assert len(await store.accounts()) == 1
    await store.close()


async def test_secrets_are_not_on_disk_nor_in_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    store = await sql_store(tmp_path, TestClock())
    async with account_server(store=store) as running:
        call = running.api.call
        invite = await running.accounts.invite(ALICE)
        login = Login.invite(invite)
        wish = registration()
        await asyncio.to_thread(call, "POST", "/v1/accounts", m.AccountInfo, wish, login)
        tokens = []
        for kind in ("device", "app"):
            asked = m.TokenRequest(kind, "laptop", ("read",))
            made = await asyncio.to_thread(call, "POST", "/v1/tokens", m.NewToken, asked, LOGIN)
            tokens.append(made.token)
            await running.logins.check_login(ALICE, made.token, "192.0.2.1")
        with pytest.raises(Refused):
            wrong = Login.afresh("CANARY in the name field", bytes(32))
            await asyncio.to_thread(call, "GET", "/v1/vault", m.VaultBox, login=wrong)
    await store.close()
    disk = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    secrets = [invite, *tokens, split().auth.hex(), LOGIN.header]
    for secret in secrets:
        assert secret.encode() not in disk
        assert secret not in caplog.text
    assert split().auth not in disk
    assert "CANARY" not in caplog.text
    assert b"laptop" in disk  # the search would find what is there


async def test_an_account_survives_a_restart(tmp_path: Path) -> None:
    for first in (True, False):
        store = await sql_store(tmp_path, TestClock())
        async with account_server(store=store) as running:
            if first:
                await running.register()
            vault = await asyncio.to_thread(
                running.api.call, "GET", "/v1/vault", m.VaultBox, login=LOGIN
            )
            assert vault.vault == registration().vault
        await store.close()
