"""A backup that is older than the account's keys, and a server that lost what it kept of them."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2email_client import account_key, own_keys
from e2email_client.changing import Change, publish
from e2email_client.continuing import unfinished
from e2email_client.device_key import with_device
from e2email_client.directory import look_up
from e2email_client.failure import Alarm, LocalFault, Refused, WrongSecret
from e2email_client.history import History
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_crypto import kdf, recovery
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.statement import Authority, Entry
from e2email_crypto.vault import Custody
from e2email_server.store.types import Box
from support.account_server import ALICE, PASSPHRASE, Running, account_server
from support.owner import NOW, Crash, Machine, Steps
from support.restoring import NEW, back_up, paranoid, restore

MORE = "--continue"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor."""
    made = classmethod(lambda _, *__: kdf.Params(kdf.T_MIN, kdf.M_KIB_MIN, os.urandom(16)))
    monkeypatch.setattr(kdf.Params, "generate", made)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one").create()


@pytest.fixture
def clean(running: Running, tmp_path: Path) -> Machine:
    machine = Machine(running, tmp_path / "clean")
    machine.passphrase = NEW
    return machine


def new_subkey(change: Change) -> Change:
    return own_keys.rotate(change, int(time.time()))


def new_identity(change: Change) -> Change:
    """And an entry that only the new key vouches for."""
    change = own_keys.new(change, "", "modern", int(time.time()))
    other = with_device(ArrivalKey.generate().public)
    return publish(change, None, other, int(time.time()))


def person(running: Running) -> Any:
    return running.store._people[1]


def at_server(running: Running) -> Any:
    one = person(running)
    return dict(one.boxes), one.row, list(one.statements)


def newest(running: Running) -> Entry:
    return Entry.decode(person(running).statements[-1].octets)


async def continued(clean: Machine, secret: bytes, file: Path) -> Any:
    return json.loads((await restore(clean, secret, file, MORE)).stdout)


@pytest.mark.parametrize("change", [new_subkey, new_identity])
@pytest.mark.parametrize("kept", Custody)
async def test_the_account_goes_on_with_a_fresh_key(
    running: Running, first: Machine, clean: Machine, tmp_path: Path, kept: Custody, change: Any
) -> None:
    if kept is Custody.PARANOID:
        await first.change(paranoid)
    secret, before = back_up(first, tmp_path / "file"), first.unlocked.vault
    box = person(running).boxes.get("vault")
    at = (await first.change(change)).statement.time
    if box is not None:  # an old vault with the newest history
        person(running).boxes["vault"] = box
    seen = at_server(running)
    with pytest.raises(Refused, match=r"changed on 20\d\d-\d\d.* --continue") as caught:
        await restore(clean, secret, tmp_path / "file")
    assert caught.value.code == "outdated"
    assert at_server(running) == seen
    assert not clean.home.exists()

    said = await continued(clean, secret, tmp_path / "file")
    assert abs(said["continued_since"] - at) < 60
    here = clean.unlocked
    fresh, *old = here.vault.identities
    assert said["fingerprint"] == fresh.fingerprint
    assert tuple(old) == before.identities
    assert here.vault.custody is kept
    entries = [Entry.decode(one.octets) for one in person(running).statements]
    assert [one.authority for one in entries][-2:] == [Authority.RECOVERY, Authority.KEY]
    assert here.statement.fingerprints == {fresh.fingerprint}
    # the same words go on being the words; a machine that runs follows what comes next
    history = History(here)
    await clean.change(new_subkey)
    await asyncio.to_thread(history.refresh)
    assert not history.behind
    assert not unfinished(clean.wish.home, ALICE).exists()


async def test_a_contact_sees_one_unbroken_chain(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    await first.change(new_identity)
    await continued(clean, secret, tmp_path / "file")
    found = await asyncio.to_thread(look_up, running.api, clean.unlocked.login, ALICE)
    assert found is not None
    assert not found.chain.forced
    assert found.chain.named[-1] == clean.unlocked.statement.fingerprints


async def test_contacts_noted_since_are_not_lost(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    here = first.unlocked
    with open_stores(here) as stores:
        state = SharedState(here, stores.state)
        state.put("settings", "backup_days", 30, NOW + 5)
        await asyncio.to_thread(state.sync, running.api, here.login)
    await first.change(new_subkey)
    await continued(clean, secret, tmp_path / "file")
    there = clean.unlocked
    with open_stores(there) as stores:
        state = SharedState(there, stores.state)
        assert state.get("settings") == {"backup_days": 30}
        await asyncio.to_thread(state.sync, running.api, there.login)


async def test_the_account_key_was_changed_since(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    """The state at the server is under a key that is lost: the backup's takes its place."""
    await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    await first.change(lambda it: account_key.new_key(it, PASSPHRASE, kdf.Params.generate()))
    here = first.unlocked
    with open_stores(here) as stores:
        state = SharedState(here, stores.state)
        state.put("settings", "backup_days", 30, NOW + 5)
        await asyncio.to_thread(state.sync, running.api, here.login)
    await restore(clean, secret, tmp_path / "file")
    there = clean.unlocked
    with open_stores(there) as stores:
        state = SharedState(there, stores.state)
        await asyncio.to_thread(state.sync, running.api, there.login)
        assert state.get("settings") == {"backup_days": 7}


@pytest.mark.parametrize("lost", ["gone", "damaged", "older"])
async def test_a_cautious_server_that_lost_the_vault(
    running: Running, first: Machine, clean: Machine, tmp_path: Path, lost: str
) -> None:
    boxes = person(running).boxes
    old = boxes["vault"]
    await first.change(new_subkey)
    secret = back_up(first, tmp_path / "file")
    if lost == "gone":
        del boxes["vault"]
    else:
        octets = old.octets if lost == "older" else bytes(len(old.octets))
        boxes["vault"] = Box("vault", 7, octets)
    await restore(clean, secret, tmp_path / "file")
    there = clean.unlocked
    assert there.vault.custody is Custody.CAUTIOUS
    assert there.vault.identities == first.unlocked.vault.identities
    assert there.vault.counter > first.unlocked.vault.counter
    assert boxes["vault"].version == (1 if lost == "gone" else 8)
    # the server has all again: the words alone, the passphrase alone, the machine that was there
    other = Machine(running, tmp_path / "other")
    other.passphrase = NEW
    await other.join()
    assert other.unlocked.vault == there.vault
    first.passphrase = NEW
    await first.change(lambda _: None)
    assert first.unlocked.vault == there.vault


async def test_a_server_without_slots_is_not_given_any(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    """The account was moved to paranoid custody after the backup: its owner's wish counts."""
    secret = back_up(first, tmp_path / "file")
    await first.change(paranoid)
    await restore(clean, secret, tmp_path / "file")
    assert clean.unlocked.vault.custody is Custody.PARANOID
    assert not person(running).boxes.keys() & {"vault", "slot:passphrase", "slot:recovery"}
    await clean.change(lambda _: None)


async def test_other_words_are_in_force(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    await first.change(lambda it: account_key.new_recovery(it, bytes(16), NOW + 20))
    seen = at_server(running)
    with pytest.raises(WrongSecret, match="newer words are in force"):
        await restore(clean, secret, tmp_path / "file", MORE)
    assert at_server(running) == seen
    assert not clean.home.exists()


async def test_other_words_are_named_already(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    """Making them was cut off: they log in no more, and no entry is theirs."""
    await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    await first.change(new_subkey)
    other = recovery.split(bytes(16), ALICE, running.server.name).public

    def name(change: Change) -> None:
        publish(change, None, lambda it: replace(it, recovery_key=other), NOW + 30)

    await first.change(name)
    seen = at_server(running)
    with pytest.raises(Refused, match="other recovery words") as caught:
        await restore(clean, secret, tmp_path / "file", MORE)
    assert caught.value.code == "other-words"
    assert at_server(running) == seen


async def test_a_past_that_the_backup_knows_is_missing(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    await first.change(paranoid)
    await first.change(new_subkey)
    secret = back_up(first, tmp_path / "file")
    await first.change(new_identity)
    statements = person(running).statements
    statements[1] = replace(statements[1], octets=statements[0].octets)
    seen = at_server(running)
    with pytest.raises(Alarm):
        await restore(clean, secret, tmp_path / "file", MORE)
    assert at_server(running) == seen


@pytest.mark.slow
@pytest.mark.parametrize("kept", Custody)
async def test_cut_off_at_each_step_of_going_on(
    first: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Custody
) -> None:
    """Said again, it goes on with the key that the history names, if it names one."""
    running = first.running
    if kept is Custody.PARANOID:
        await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    box = person(running).boxes.get("vault")
    await first.change(new_identity)
    if box is not None:
        person(running).boxes["vault"] = box
    start = at_server(running)
    step, whole = 0, False
    while not whole:
        one = person(running)
        one.boxes.clear()
        one.boxes.update(start[0])
        one.row, one.statements[:] = start[1], start[2]
        clean = Machine(running, tmp_path / f"clean{step}")
        clean.passphrase = NEW
        with monkeypatch.context() as patch:
            Steps(patch, step)
            try:
                await restore(clean, secret, tmp_path / "file", MORE)
                whole = True
            except Crash:
                pass
        named = newest(running)
        took = len(one.statements) > len(start[2])
        if not whole:
            await restore(clean, secret, tmp_path / "file", MORE)
        here = clean.unlocked
        if took:
            entries = [Entry.decode(each.octets) for each in one.statements]
            assert named.digest in [each.digest for each in entries]
            assert sum(each.authority is Authority.RECOVERY for each in entries) == 1
        assert here.statement.fingerprints == {here.vault.identities[0].fingerprint}
        await clean.change(new_subkey)
        assert not unfinished(clean.wish.home, ALICE).exists()
        step += 1
    assert step > 10


async def test_a_full_disk_publishes_nothing(
    running: Running,
    first: Machine,
    clean: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    await first.change(new_subkey)
    seen = at_server(running)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(LocalFault, match="No space"):
        patch.setattr("e2email_client.backup_file._fill", full)
        await restore(clean, secret, tmp_path / "file", MORE)
    assert at_server(running) == seen
    await continued(clean, secret, tmp_path / "file")
