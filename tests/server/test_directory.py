"""The directory of keys of one server: what it gives, to whom, how often, and what it hides."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from e2email_client.api import Login
from e2email_client.directory import look_up
from e2email_client.failure import Alarm, Refused
from e2email_crypto import keyedit
from e2email_crypto.cert import inspect_cert
from e2email_crypto.packets import USER_ID, split
from e2email_protocol import account as m
from e2email_server.api import directory
from support.account_server import (
    ALICE,
    BOB,
    Running,
    account_server,
    entry,
    identity,
    stated,
)
from support.account_server import (
    split as split_of,
)

ALICES = Login.afresh(ALICE, split_of().auth)
BOBS = Login.afresh(BOB, split_of(BOB).auth)
SALES = "sales@example.test"


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server(aliases={SALES: (ALICE,)}) as made:
        await made.register()
        await made.register(BOB)
        yield made


async def ask(
    running: Running, address: str, login: Login | None = BOBS, first: int = 1
) -> m.Directory:
    path = f"/v1/directory/{address}?from={first}"
    return await asyncio.to_thread(running.api.call, "GET", path, m.Directory, login=login)


async def refused(running: Running, address: str, login: Login | None = BOBS) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        await ask(running, address, login)
    return caught.value.code, str(caught.value)


async def history(running: Running) -> list[bytes]:
    account = await running.store.account(ALICE)
    return [one.octets for one in await running.store.statements(account.account_id, 1, 99)]


async def publish(running: Running, certificate: bytes, **changes: object) -> None:
    made = entry(before=(await history(running))[-1], **changes)
    await running.accounts.publish(await running.store.account(ALICE), made, (certificate,))


async def test_the_history_and_its_signers(running: Running) -> None:
    first = await ask(running, ALICE)
    assert first.statements == tuple(await history(running))
    assert first.in_use == (identity(ALICE).fingerprint,)
    later = identity(number=2)
    await publish(running, later.cert, certificates=(stated(later),))
    found = await ask(running, ALICE.upper())
    assert found.statements == tuple(await history(running))
    assert found.in_use == (later.fingerprint,)
    names = [inspect_cert(one, int(time.time())).fingerprint for one in found.certificates]
    assert names == [later.fingerprint, identity(ALICE).fingerprint]
    assert (await ask(running, ALICE, first=2)).statements == found.statements[1:]


async def test_our_client_verifies_it(running: Running) -> None:
    later = identity(number=2)
    await publish(running, later.cert, certificates=(stated(later),))
    listed = await asyncio.to_thread(look_up, running.api, BOBS, ALICE)
    assert listed is not None
    assert [inspect_cert(one, 0).fingerprint for one in listed.certificates] == [later.fingerprint]
    assert await asyncio.to_thread(look_up, running.api, BOBS, "nobody@example.test") is None


async def test_as_many_keys_as_somebody_had_in_a_lifetime(running: Running) -> None:
    """More than one answer holds: a page brings its own signers."""
    keys = [identity(number=number) for number in range(1, m.HISTORY_CERTIFICATES_CAP + 4)]
    for before, key in pairwise(keys):
        await publish(running, key.cert, signer=before, certificates=(stated(key),))
    listed = await asyncio.to_thread(look_up, running.api, BOBS, ALICE)
    assert listed is not None
    assert len(listed.chain.digests) == len(keys)
    (newest,) = listed.certificates
    assert inspect_cert(newest, 0).fingerprint == keys[-1].fingerprint


async def test_an_alias_is_found_once_a_statement_names_it(running: Running) -> None:
    unnamed = await refused(running, SALES)
    key = keyedit.add_address(identity(ALICE).tsk, "home@example.org", "Home", int(time.time()))
    key = keyedit.add_address(key.tsk, SALES, "Sales", int(time.time()))
    await publish(running, key.cert, addresses=(ALICE, SALES))
    assert unnamed[0] == "not-found"
    for address in (ALICE, SALES):
        found = await ask(running, address)
        texts = [p.body.decode() for p in split(found.certificates[0], 99) if p.tag == USER_ID]
        assert len(texts) == 1
        assert ALICE in texts[0]
        assert await asyncio.to_thread(look_up, running.api, BOBS, address) is not None


async def test_whoever_is_not_there_gets_one_answer(running: Running) -> None:
    account = await running.store.account(ALICE)
    answers = {
        await refused(running, address)
        for address in ("nobody@example.test", SALES, "alice@example.net", "a" * 300, "alice")
    }
    await running.store.set_enabled(account.account_id, enabled=False)
    answers.add(await refused(running, ALICE))
    assert len(answers) == 1
    assert answers.pop()[0] == "not-found"


async def test_strangers_ask_in_vain(running: Running) -> None:
    assert (await refused(running, ALICE, None))[0] == "login-refused"
    assert (await refused(running, ALICE, Login.device("e2d_" + "0" * 32)))[0] == "login-refused"


async def test_an_account_may_ask_so_often(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "LOOKUPS", 3)
    for address in (ALICE, "nobody@example.test", BOB):
        if address == "nobody@example.test":
            await refused(running, address)
        else:
            await ask(running, address)
    assert (await refused(running, ALICE))[0] == "try-later"
    await ask(running, BOB, ALICES)  # each its own
    running.ticks.now += directory.SECONDS_EACH
    await ask(running, ALICE)
    assert (await refused(running, ALICE))[0] == "try-later"
    running.ticks.now += 1000 * directory.SECONDS_EACH
    for _ in range(3):
        await ask(running, ALICE)
    assert (await refused(running, ALICE))[0] == "try-later"


async def test_a_server_that_leaves_a_signer_out_is_an_alarm(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = identity(number=2)
    await publish(running, later.cert, certificates=(stated(later),))
    account = await running.store.account(ALICE)
    every = await running.store.certificates(account.account_id)

    async def some(_account_id: int) -> list[object]:
        return [one for one in every if one.fingerprint != identity(ALICE).fingerprint]

    monkeypatch.setattr(running.store, "certificates", some)
    with pytest.raises(Alarm):
        await asyncio.to_thread(look_up, running.api, BOBS, ALICE)


async def test_user_ids_are_left_out_only_where_the_history_verifies_without_them(
    running: Running,
) -> None:
    """A key that came with a name of elsewhere, and got the account's own only later."""
    home, now = "home@example.org", int(time.time())
    came = keyedit.new_identity(home, "Home", now - 1000)
    made = entry(before=(await history(running))[-1], certificates=(stated(came),))
    account = await running.store.account(ALICE)
    await running.accounts.publish(account, made, (came.cert,))
    third = entry(before=made, signer=came, certificates=(stated(came),))
    signed = int(time.time())
    while (now := int(time.time())) <= signed:  # OpenPGP counts whole seconds
        await asyncio.sleep(0.05)
    later = keyedit.add_address(came.tsk, ALICE, "Alice", now)
    await running.accounts.publish(account, third, (later.cert,))
    found = await ask(running, ALICE)
    names = [p.body for one in found.certificates for p in split(one, 99) if p.tag == USER_ID]
    assert sum(ALICE.encode() in name for name in names) == 2
    assert any(home.encode() in name for name in names)
    listed = await asyncio.to_thread(look_up, running.api, BOBS, ALICE)
    assert listed is not None
