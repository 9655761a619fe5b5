"""The account's state on two machines and a server that is slow, old, lying or not there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2email_client import shared_state
from e2email_client.api import AccountApi, Login
from e2email_client.failure import Alarm, LocalFault, Offline
from e2email_client.local.cache import open_state
from e2email_client.local.cipher import Database
from e2email_client.shared_state import SharedState
from e2email_client.unlock import Unlocked
from e2email_crypto import vault
from e2email_crypto.slot import AccountKey
from support.account_server import ALICE, Running, account_server, split

KEY = AccountKey.generate()


@dataclass
class Device:
    shared: SharedState
    state: Database
    api: AccountApi
    login: Login

    async def sync(self) -> None:
        await asyncio.to_thread(self.shared.sync, self.api, self.login)

    def put(self, key: str, value: object, now: int = 5) -> None:
        self.shared.put("settings", key, value, now)

    @property
    def settings(self) -> dict[str, object]:
        return self.shared.get("settings")


@dataclass(frozen=True)
class _Settings:
    address: str
    server_name: str


@dataclass(frozen=True)
class _Unlocked:
    settings: _Settings
    key: AccountKey


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        await started.register()
        yield started


@pytest.fixture
def devices(running: Running, tmp_path: Path):
    """Two machines of alice's."""
    unlocked: Unlocked = _Unlocked(_Settings(ALICE, running.server.name), KEY)  # type: ignore[assignment]
    made = []
    for name in ("one", "two"):
        state = open_state(tmp_path / f"{name}.db", bytes(32))
        login = Login.afresh(ALICE, split().auth)
        made.append(Device(SharedState(unlocked, state), state, running.api, login))
    yield made
    for one in made:
        one.state.close()


async def box(running: Running) -> tuple[int, bytes]:
    account = await running.store.account(ALICE)
    found = await running.accounts.box(account, "state")
    return found.version, found.octets


async def test_what_one_device_changes_the_other_has(devices):
    one, two = devices
    one.put("a", [1, {"b": None}])
    assert one.shared.dirty
    await one.sync()
    assert not one.shared.dirty
    await two.sync()
    assert two.settings == {"a": [1, {"b": None}]}
    assert not two.shared.dirty


async def test_a_change_is_here_before_it_is_anywhere_else(devices, tmp_path):
    one, _ = devices
    one.put("a", 1)
    again = open_state(tmp_path / "one.db", bytes(32))
    assert SharedState(one.shared._unlocked, again).get("settings") == {"a": 1}
    again.close()


async def test_two_devices_that_change_at_once_come_to_the_same(devices):
    one, two = devices
    one.put("a", "one", 5)
    two.put("a", "two", 6)
    two.put("b", "two", 4)
    await asyncio.gather(one.sync(), two.sync())
    await one.sync()
    await two.sync()
    assert one.settings == two.settings == {"a": "two", "b": "two"}
    assert one.shared.export() == two.shared.export()
    assert not one.shared.dirty
    assert not two.shared.dirty


async def test_removed_stays_removed(devices):
    one, two = devices
    one.put("a", 1)
    await one.sync()
    await two.sync()
    two.put("a", None, 6)
    await two.sync()
    await one.sync()
    assert one.settings == {} == two.settings


async def test_a_later_change_counts_whatever_the_clock_says(devices):
    one, _ = devices
    one.put("a", "by a clock that is fast", 1_000_000)
    one.put("a", "after it", 5)
    assert one.settings == {"a": "after it"}


async def test_an_update_reads_and_writes_in_one(devices):
    one, _ = devices

    def add(value):
        return [*(value or []), "x"]

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(asyncio.to_thread(one.shared.update, "care", "list", add, 5))
    assert one.shared.one("care", "list") == ["x"] * 10


async def test_what_says_nothing_new_is_not_sent(devices, running):
    one, two = devices
    one.put("a", 1)
    await one.sync()
    first = await box(running)
    one.put("a", 1, 9)
    one.shared.update("settings", "seen", lambda _: 7, 5, matters=lambda: False)
    assert not one.shared.dirty
    await one.sync()
    await two.sync()
    assert await box(running) == first
    one.put("b", 1)
    await one.sync()
    await two.sync()
    assert two.settings == {"a": 1, "b": 1, "seen": 7}


async def test_offline_it_waits(devices, running):
    one, two = devices
    one.put("a", 1)
    away = replace_api(running)
    with pytest.raises(Offline):
        one.shared.sync(away, one.login)
    assert one.shared.dirty
    await one.sync()
    await two.sync()
    assert two.settings == {"a": 1}


def replace_api(running: Running) -> AccountApi:
    return AccountApi(replace(running.server, port=1))


async def test_an_older_box_is_an_alarm_and_what_is_known_is_put_back(devices, running):
    one, two = devices
    one.put("a", 1)
    await one.sync()
    _, old = await box(running)
    one.put("b", 2, 6)
    await one.sync()
    version, _ = await box(running)
    account = await running.store.account(ALICE)
    await running.accounts.put_box(account, "state", version + 1, old)
    with pytest.raises(Alarm, match="older state"):
        await one.sync()
    assert one.settings == {"a": 1, "b": 2}
    await two.sync()
    assert two.settings == {"a": 1, "b": 2}
    await one.sync()


async def test_another_box_under_a_number_that_was_seen_is_an_alarm(devices, running):
    one, _ = devices
    one.put("a", 1)
    await one.sync()
    payload, counter = vault.open_state((await box(running))[1], KEY, ALICE, running.server.name)
    other = vault.seal_state(payload, counter, KEY, ALICE, running.server.name)
    account = await running.store.account(ALICE)
    await running.accounts.put_box(account, "state", 2, other)
    with pytest.raises(Alarm, match="older state"):
        await one.sync()


@pytest.mark.parametrize("cause", ["damaged", "other account", "other key", "no document"])
async def test_what_is_not_this_accounts_state_changes_nothing(devices, running, cause):
    one, _ = devices
    one.put("a", 1)
    server = running.server.name
    good = vault.seal_state(one.shared.export(), 1, KEY, ALICE, server)
    bad = {
        "damaged": good[:-20] + bytes([good[-20] ^ 1]) + good[-19:],
        "other account": vault.seal_state(b"{}", 1, KEY, "bob@example.test", server),
        "other key": vault.seal_state(b"{}", 1, AccountKey.generate(), ALICE, server),
        "no document": vault.seal_state(b"{}", 1, KEY, ALICE, server),
    }[cause]
    account = await running.store.account(ALICE)
    await running.accounts.put_box(account, "state", 1, bad)
    before = one.shared.export(), one.shared._seen()
    with pytest.raises(Alarm):
        await one.sync()
    assert (one.shared.export(), one.shared._seen()) == before


async def test_more_than_fits_is_refused_and_nothing_changes(devices, monkeypatch):
    one, _ = devices
    monkeypatch.setattr(shared_state, "PAYLOAD_MAX", 1000)
    one.put("a", 1)
    with pytest.raises(LocalFault, match="no room"):
        one.put("b", "x" * 1000)
    assert one.settings == {"a": 1}


async def test_a_backups_document_is_merged(devices):
    one, two = devices
    one.put("a", 1)
    two.put("b", 2)
    one.shared.adopt(two.shared.export())
    assert one.settings == {"a": 1, "b": 2}
    assert one.shared.dirty
    with pytest.raises(Alarm):
        one.shared.adopt(b"{}")


async def test_a_running_program_sends_what_another_one_changed(devices, monkeypatch):
    one, two = devices
    monkeypatch.setattr(shared_state, "POLL_SECONDS", 0.01)
    following = asyncio.create_task(one.shared.follow(one.api, one.login))
    one.put("a", 1)
    while one.shared.dirty:
        await asyncio.sleep(0.01)
    following.cancel()
    await two.sync()
    assert two.settings == {"a": 1}
