"""`e2email-backup restore` against a real account API: also cut off, refused, on a full disk."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from e2email_client import account_files
from e2email_client.account_key import new_key
from e2email_client.devices import DEVICES
from e2email_client.failure import Alarm, LocalFault, Offline, Refused, WrongSecret
from e2email_client.paths import Home
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_crypto import kdf
from e2email_crypto.arrival import key_id
from e2email_crypto.vault import Custody
from support.account_server import ALICE, PASSPHRASE, Running, account_server
from support.owner import Crash, Machine, Steps
from support.restoring import NEW, back_up, paranoid, restore

STEPS = 10  # on a clean machine: slot, token, history, six files, their folder


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


def by_words(running: Running, folder: Path) -> list[object]:
    """Where the account is, when no file says it."""
    assert running.server.ca is not None
    (folder / "ca").write_bytes(running.server.ca)
    known = running.server
    return ["--address", ALICE.upper(), "--server", known.url, "--server-name", known.name,
            "--ca", folder / "ca"]  # fmt: skip


def at_server(running: Running) -> Any:
    person = running.store._people[1]
    return dict(person.boxes), person.row


@pytest.mark.parametrize("kept", Custody)
async def test_a_file_brings_keys_and_state(
    first: Machine, clean: Machine, tmp_path: Path, kept: Custody
) -> None:
    if kept is Custody.PARANOID:
        await first.change(paranoid)
    secret = back_up(first, tmp_path / "file")
    said = json.loads((await restore(clean, secret, tmp_path / "file")).stdout)
    assert said["fingerprint"] == first.unlocked.vault.identities[0].fingerprint
    there = clean.unlocked
    assert (there.vault, there.key) == (first.unlocked.vault, first.unlocked.key)
    with open_stores(there) as stores:
        state = SharedState(there, stores.state)
        assert state.get("settings") == {"backup_days": 7}
        # `device list` has a name for this machine
        assert there.device_key is not None
        assert key_id(there.device_key.public) in state.get(DEVICES)


async def test_the_words_alone(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    secret = first.unlocked.vault.recovery
    assert secret is not None
    await restore(clean, secret, *by_words(running, tmp_path))
    assert clean.unlocked.vault == first.unlocked.vault
    with pytest.raises(WrongSecret):  # the old passphrase ended
        await first.change(lambda _: None)


async def test_how_many_steps(
    first: Machine, clean: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = back_up(first, tmp_path / "file")
    with monkeypatch.context() as patch:
        steps = Steps(patch, 1000)
        await restore(clean, secret, tmp_path / "file")
    assert steps.count == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("step", range(STEPS))
async def test_cut_off_at_each_step_it_can_be_said_again(
    first: Machine, clean: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    secret = back_up(first, tmp_path / "file")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        Steps(patch, step)
        await restore(clean, secret, tmp_path / "file")
    whole = Home(clean.home).account(ALICE).settings.exists()
    assert list((clean.home / "accounts").glob("*")) == ([clean.paths.folder] if whole else [])
    await restore(clean, secret, tmp_path / "file")
    assert clean.unlocked.vault == first.unlocked.vault  # both open what they have
    await clean.change(lambda _: None)


async def test_a_full_disk_leaves_nothing(
    first: Machine, clean: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = back_up(first, tmp_path / "file")

    def full(*_: object) -> None:
        raise LocalFault("The file cannot be written: No space left on device.")

    with monkeypatch.context() as patch, pytest.raises(LocalFault, match="No space"):
        patch.setattr(account_files, "write_private", full)
        await restore(clean, secret, tmp_path / "file")
    assert list((clean.home / "accounts").iterdir()) == []
    await restore(clean, secret, tmp_path / "file")
    assert clean.unlocked.vault == first.unlocked.vault


async def test_what_a_killed_program_left_is_swept(
    first: Machine, clean: Machine, tmp_path: Path
) -> None:
    secret = back_up(first, tmp_path / "file")
    left = clean.home / "accounts" / ".new-0123456789abcdef"
    left.mkdir(parents=True)
    (left / "vault.box").write_bytes(b"half")
    await restore(clean, secret, tmp_path / "file")
    assert [one.name for one in (clean.home / "accounts").iterdir()] == [clean.paths.folder.name]


async def test_what_does_not_fit_changes_nothing(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    secret, before = back_up(first, file), at_server(running)
    with pytest.raises(WrongSecret, match="not those of this backup"):
        await restore(clean, bytes(16), file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Alarm, match="damaged"):
        await restore(clean, secret, file)
    assert at_server(running) == before
    assert not clean.home.exists()
    assert first.unlocked.key


async def test_a_file_from_before_the_keys_changed(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    """In cautious custody the server's newer vault is taken, under its newer key."""
    secret = back_up(first, tmp_path / "file")
    await first.change(lambda change: new_key(change, PASSPHRASE, kdf.Params.generate()))
    await restore(clean, secret, tmp_path / "file")
    assert clean.unlocked.key == first.unlocked.key


async def test_a_server_that_has_less_than_the_file(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    second = await Machine(running, tmp_path / "two").join()
    secret = back_up(second, tmp_path / "file")
    person = running.store._people[1]
    assert len(person.statements) == 2
    del person.statements[1:]
    with pytest.raises(Alarm):
        await restore(clean, secret, tmp_path / "file")
    assert not Home(clean.home).account(ALICE).folder.exists()


async def test_a_server_that_is_gone(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    secret = back_up(first, tmp_path / "file")
    await running.listener.stop(1)
    with pytest.raises(Offline, match="e2email-backup extract"):
        await restore(clean, secret, tmp_path / "file")


async def test_words_alone_are_not_enough_in_paranoid_custody(
    running: Running, first: Machine, clean: Machine, tmp_path: Path
) -> None:
    secret = first.unlocked.vault.recovery
    assert secret is not None
    await first.change(paranoid)
    with pytest.raises(Refused, match="paranoid"):
        await restore(clean, secret, *by_words(running, tmp_path))
