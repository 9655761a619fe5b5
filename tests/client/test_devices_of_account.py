"""The machines of an account: paired by twelve words, listed, given up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2email_client import config, custody, devices, pairing
from e2email_client.api import AccountApi
from e2email_client.changing import Change
from e2email_client.failure import Alarm, NotThere, Offline, Refused, WrongSecret
from e2email_client.joining import accept
from e2email_client.pairing import Offer
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_crypto import kdf
from e2email_crypto import pairing as message
from e2email_crypto.vault import Custody
from e2email_protocol import account as messages
from support.account_server import PASSPHRASE, Running, account_server
from support.owner import Crash, Machine, Steps

# the server judges by its own clock what is over
LATER = message.LIFETIME + 1


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one").create()


def clock(running: Running) -> int:
    return running.store._clock()


async def offered(first: Machine) -> Offer:
    now = clock(first.running)
    return (await first.change(lambda change: pairing.offer(change, "one", "two", now)))[1]


async def taken(machine: Machine, code: bytes, now: int | None = None) -> Machine:
    await asyncio.to_thread(accept, machine.wish, code, now or clock(machine.running))
    return machine


async def test_a_machine_by_pairing(first: Machine, tmp_path: Path) -> None:
    offer = await offered(first)
    second = await taken(Machine(first.running, tmp_path / "two"), offer.code)
    here, there = first.unlocked, second.unlocked  # by the same passphrase
    assert (there.key, there.vault, there.statement) == (here.key, here.vault, here.statement)
    assert there.device_token != here.device_token
    assert second.key.public == offer.public
    assert offer.public in there.statement.device_keys
    await second.change(lambda _: None)


async def test_it_is_given_out_once(first: Machine, tmp_path: Path) -> None:
    offer = await offered(first)
    await taken(Machine(first.running, tmp_path / "two"), offer.code)
    with pytest.raises(WrongSecret, match="used already"):
        await taken(Machine(first.running, tmp_path / "three"), offer.code)
    assert not (tmp_path / "three").exists()


async def test_other_words_get_nothing(first: Machine, tmp_path: Path) -> None:
    await offered(first)
    with pytest.raises(WrongSecret, match="other"):
        await taken(Machine(first.running, tmp_path / "two"), message.new_code())


async def test_its_time_is_over(first: Machine, tmp_path: Path) -> None:
    offer = await offered(first)
    with pytest.raises(WrongSecret, match="over"):
        await taken(Machine(first.running, tmp_path / "two"), offer.code, offer.expires)
    assert not (tmp_path / "two").exists()


async def test_a_machine_that_has_the_account_gets_what_changed(
    first: Machine, tmp_path: Path
) -> None:
    """In paranoid custody there is no other way."""
    second = await Machine(first.running, tmp_path / "two").join()
    secret = PASSPHRASE, kdf.Params.generate(kdf.T_MIN, kdf.M_KIB_MIN)
    await first.change(lambda change: custody.move(change, Custody.PARANOID, *secret))
    with pytest.raises(WrongSecret, match="setup --pair"):
        await second.change(lambda _: None)
    await taken(second, (await offered(first)).code)
    assert second.unlocked.vault == first.unlocked.vault
    await second.change(lambda _: None)


async def test_a_server_that_has_an_authority_of_its_own_by_now(first: Machine) -> None:
    paths = first.paths
    config.save(paths, replace(config.load(paths), own_ca=False))
    paths.ca.unlink()
    assert first.unlocked.server.ca is None
    await first.join()
    assert first.unlocked.server.ca == first.running.server.ca


def tampered(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    real = AccountApi.call

    def call(api: AccountApi, method: str, path: str, *rest: Any, **named: Any) -> Any:
        found = real(api, method, path, *rest, **named)
        if isinstance(found, messages.PairingMessage):
            octets = bytearray(found.message)
            octets[at] ^= 1
            return messages.PairingMessage(bytes(octets))
        return found

    monkeypatch.setattr(AccountApi, "call", call)


@pytest.mark.parametrize("at", [8, 20, 200, -1])
async def test_a_message_that_was_changed(
    first: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    offer = await offered(first)
    tampered(monkeypatch, at)
    with pytest.raises(Alarm):
        await taken(Machine(first.running, tmp_path / "two"), offer.code)
    assert not (tmp_path / "two").exists()


async def test_the_history_must_go_on_from_where_it_was(first: Machine, tmp_path: Path) -> None:
    offer = await offered(first)
    del first.running.store._people[1].statements[1:]
    with pytest.raises(Alarm, match="older key history"):
        await taken(Machine(first.running, tmp_path / "two"), offer.code)


async def test_an_offer_that_was_cut_off_can_be_made_again(
    first: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AccountApi.call

    def call(api: AccountApi, method: str, path: str, *rest: Any, **named: Any) -> Any:
        if path.startswith(("/v1/pairings", cut)):
            raise Offline("gone")
        return real(api, method, path, *rest, **named)

    for cut in ("/v1/statements", "/v1/tokens", "/v1/pairings"):
        if cut == "/v1/statements":
            continue  # begin reads them
        with monkeypatch.context() as patch:
            patch.setattr(AccountApi, "call", call)
            with pytest.raises(Offline):
                await offered(first)
    await taken(Machine(first.running, tmp_path / "two"), (await offered(first)).code)


@pytest.mark.slow
async def test_a_pairing_that_is_cut_off_leaves_nothing_or_all(
    first: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(40):
        offer = await offered(first)
        new = Machine(first.running, tmp_path / f"new-{step}")
        done = True
        with monkeypatch.context() as patch:
            Steps(patch, step)
            try:
                await taken(new, offer.code)
            except Crash:
                done = False
        if not new.paths.folder.exists():
            # what was fetched is gone: another offer
            await taken(new, (await offered(first)).code)
        assert new.unlocked.vault == first.unlocked.vault
        if done:
            break
    assert step > 5


# --- list and revoke --------------------------------------------------------------------------


def listed(change: Change) -> list[devices.Device]:
    tokens = devices.fetch_tokens(change.api, change.login)
    with open_stores(change.unlocked) as stores:
        noted = SharedState(change.unlocked, stores.state).get(devices.DEVICES)
    own = change.unlocked.device_key
    assert own is not None
    return devices.every(tokens, change.statement, noted, own.key_id)


async def noted(first: Machine, offer: Offer) -> None:
    def note(change: Change) -> None:
        with open_stores(change.unlocked) as stores:
            state = SharedState(change.unlocked, stores.state)
            devices.note(state, offer.public, "two", offer.token_id, clock(first.running))

    await first.change(note)


async def test_a_login_and_its_key_are_one_machine(first: Machine, tmp_path: Path) -> None:
    offer = await offered(first)
    # as long as nobody noted what belongs together, each stands alone
    rows = await first.change(listed)
    assert [(one.key is not None, one.token_id is not None, one.this) for one in rows] == [
        (True, False, True), (True, False, False), (False, True, False), (False, True, False),
    ]  # fmt: skip
    await noted(first, offer)
    two = next(one for one in await first.change(listed) if one.name == "two")
    assert (two.token_id, two.this) == (offer.token_id, False)
    assert two.key is not None


async def test_a_machine_that_is_given_up(first: Machine, tmp_path: Path) -> None:
    offer = await offered(first)
    await noted(first, offer)
    second = await taken(Machine(first.running, tmp_path / "two"), offer.code)

    def revoke(change: Change) -> Change:
        gone = devices.choose(listed(change), "two")
        return devices.give_up(change, gone, clock(first.running))

    changed = await first.change(revoke)
    assert offer.public not in changed.statement.device_keys
    api = AccountApi(first.running.server)
    with pytest.raises(Refused) as caught:
        await asyncio.to_thread(
            api.call, "GET", "/v1/account", messages.AccountInfo, login=second.unlocked.login
        )
    assert caught.value.code == "login-refused"
    # its owner has it again: another login, another key
    old = second.key
    await second.join(clock(first.running))
    assert second.key != old
    assert second.key.public in second.unlocked.statement.device_keys


def test_which_machine_is_meant() -> None:
    def device(name: str, key: str | None, token: str | None = "7") -> devices.Device:
        return devices.Device(name, key, token, 0, None, False)

    every = [device("a", "0123456789abcdef"), device("b", "1" * 16), device("b", "2" * 16)]
    assert devices.choose(every, "a") == every[:1]
    assert devices.choose(every, "2" * 16) == every[2:]
    with pytest.raises(Refused, match=r"1{16}, 2{16}"):
        devices.choose(every, "b")
    with pytest.raises(NotThere, match="device list"):
        devices.choose(every, "c")


@pytest.mark.parametrize("value", [None, 7, "x", {"name": 1, "token": [], "since": True}])
async def test_notes_of_another_version_name_nothing(first: Machine, value: Any) -> None:
    change = await first.change(lambda change: change)
    assert change.device is not None
    assert change.device.key is not None
    key = change.device.key.key_id
    (row,) = devices.every((), change.statement, {key: value}, key)
    assert (row.token_id, row.since, row.used, row.this) == (None, None, None, True)


async def test_a_code_is_in_no_repr(first: Machine) -> None:
    offer = await offered(first)
    assert repr(offer.code)[2:-1] not in repr(offer)
