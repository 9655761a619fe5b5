"""Changes to an account: in what order they are made known, and what is left when they are cut."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2email_client import next_entry, own_keys
from e2email_client.chain import verify_history
from e2email_client.changing import Change, publish
from e2email_client.failure import Alarm, Behind, LocalFault, Offline, Refused, WrongSecret
from e2email_client.history import History
from e2email_client.next_entry import in_statement
from e2email_client.unlock import open_vault, read_statements
from e2email_crypto import keyedit, statement, vault
from e2email_crypto.statement import Entry, Statement
from support.account_server import ALICE, Running, account_server, identity
from support.owner import NOW, Crash, Machine, Steps


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one").create()


@pytest.fixture
async def second(first: Machine, tmp_path: Path) -> Machine:
    return await Machine(first.running, tmp_path / "two").join()


@pytest.fixture(scope="module")
def other() -> vault.Identity:
    made = keyedit.new_identity(ALICE, "Alice", NOW + 20)
    return vault.Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


def rotate(change: Change, other: vault.Identity) -> Change:
    """To another key: as big as a change gets."""
    kept = tuple(one for one in change.vault.identities if one != other)
    edited = replace(change.vault, identities=(other, *kept))
    listed = in_statement(other.certificate, NOW + 30)

    def edit(before: Statement) -> Statement:
        return replace(before, certificates=(listed,))

    return publish(change, edited, edit, NOW + 30, certificates=True)


async def test_a_change_is_everywhere(running: Running, first: Machine, other: Any) -> None:
    changed = await first.change(lambda change: rotate(change, other))
    here = first.unlocked
    assert here.statement == changed.statement
    assert here.statement.fingerprints == {other.fingerprint}
    assert (here.vault.counter, here.settings.vault_version) == (2, 2)
    assert here.vault == changed.vault
    person = running.store._people[1]
    assert [one.octets for one in person.certificates] == [other.certificate]
    box = person.boxes["vault"].octets
    assert box == first.paths.vault.read_bytes()
    assert not first.paths.pending.exists()


async def test_another_machine_is_behind_and_says_how_it_is_mended(
    first: Machine, second: Machine, other: Any
) -> None:
    await first.change(lambda change: rotate(change, other))
    known = History(second.unlocked)
    await asyncio.to_thread(known.refresh)
    assert known.behind
    here = second.unlocked
    entries = [one.octets for one in await first.running.store.statements(1, 1, 9)]
    with pytest.raises(Behind, match="e2email account refresh") as caught:
        verify_history(entries, here.vault, ALICE)
    assert other.fingerprint in str(caught.value)
    assert "omeone else" not in str(caught.value)
    await second.change(lambda _: None)
    assert second.unlocked.statement == first.unlocked.statement
    assert second.unlocked.vault == first.unlocked.vault


async def test_it_is_behind_also_where_the_new_key_signed_since(
    first: Machine, second: Machine, other: Any
) -> None:
    """The entries of a key that is not here cannot be verified here."""
    await first.change(lambda change: rotate(change, other))
    await first.change(lambda change: publish(change, None, added_device, NOW + 40))
    entries = [one.octets for one in await first.running.store.statements(1, 1, 9)]
    with pytest.raises(Behind):
        verify_history(entries, second.unlocked.vault, ALICE)


async def test_a_machine_is_opened_while_another_program_of_it_makes_a_change(
    first: Machine, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {one: one.read_bytes() for one in first.paths.folder.iterdir() if one.is_file()}
    await first.change(lambda change: rotate(change, other))
    after = {one: one.read_bytes() for one in before}
    for one, octets in before.items():
        one.write_bytes(octets)

    def changed_meanwhile(*args: Any) -> vault.Vault:
        opened = open_vault(*args)
        for one, octets in after.items():
            one.write_bytes(octets)
        return opened

    monkeypatch.setattr("e2email_client.unlock.open_vault", changed_meanwhile)
    assert first.unlocked.vault.counter == 1
    assert first.unlocked.vault.counter == 2


async def test_a_forged_entry_is_no_news_from_another_machine(first: Machine, other: Any) -> None:
    """Though a key was listed once that is not in the vault any more."""
    add = other.certificate
    await first.change(lambda change: own_keys.add_recipient(change, add, NOW + 25))
    removed = other.fingerprint
    await first.change(lambda change: own_keys.remove_recipient(change, removed, NOW + 30))
    here = first.unlocked
    entries = read_statements(here.paths)
    last = here.statement
    following = replace(last, sequence=last.sequence + 1, previous=Entry.decode(entries[-1]).digest)
    thief = identity(ALICE, 7)
    forged = statement.sign_entry(
        following,
        here.vault.identities[0].fingerprint,
        lambda data: keyedit.sign_detached(thief.tsk, data),
    )
    with pytest.raises(Alarm, match="damaged or was tampered") as caught:
        verify_history([*entries, forged.encode()], here.vault, ALICE)
    assert not isinstance(caught.value, Behind)


def added_device(before: Statement) -> Statement:
    return replace(before, device_keys=(*before.device_keys, b"d" * 32))


async def test_a_server_that_withholds_the_newer_vault(
    running: Running, first: Machine, second: Machine, other: Any
) -> None:
    old = running.store._people[1].boxes["vault"]
    await first.change(lambda change: rotate(change, other))
    running.store._people[1].boxes["vault"] = old
    with pytest.raises(Alarm, match="Someone else can read new mail"):
        await second.change(lambda _: None)


async def test_the_newest_is_taken_before_anything_is_changed(
    first: Machine, second: Machine, other: Any
) -> None:
    await first.change(lambda change: rotate(change, other))
    named = await second.change(lambda change: publish(change, None, added_device, NOW + 40))
    assert named.statement.sequence == 4
    assert named.statement.fingerprints == {other.fingerprint}


async def test_an_edit_that_changes_nothing_makes_no_entry(first: Machine) -> None:
    changed = await first.change(lambda change: publish(change, None, lambda one: one, NOW))
    assert len(changed.entries) == 1


async def test_a_wrong_passphrase_changes_nothing(first: Machine) -> None:
    first.passphrase = "another one"
    with pytest.raises(WrongSecret):
        await first.change(lambda _: None)


async def test_another_machine_was_faster_with_the_vault(first: Machine, second: Machine) -> None:
    def both(change: Change) -> Change:
        asyncio.run_coroutine_threadsafe(second.change(renamed), loop).result()
        return renamed(change)

    def renamed(change: Change) -> Change:
        return publish(change, replace(change.vault), None, NOW)

    loop = asyncio.get_running_loop()
    with pytest.raises(Refused, match="try again") as caught:
        await first.change(both)
    assert caught.value.code == "conflict"
    assert first.unlocked.vault.counter == 1
    assert not first.paths.pending.exists()
    assert (await first.change(renamed)).vault.counter == 3


async def test_another_machine_was_faster_with_the_history(
    first: Machine, second: Machine, other: Any
) -> None:
    def both(change: Change) -> Change:
        theirs = second.change(lambda one: publish(one, None, added_device, NOW + 40))
        asyncio.run_coroutine_threadsafe(theirs, loop).result()
        return rotate(change, other)

    loop = asyncio.get_running_loop()
    changed = await first.change(both)
    assert b"d" * 32 in changed.statement.device_keys
    assert changed.statement.fingerprints == {other.fingerprint}


async def test_a_refused_entry_loses_no_key(
    first: Machine, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise Refused("certificate-refused", "The server refused: expired.")

    monkeypatch.setattr(next_entry, "_post", refuse)
    with pytest.raises(Refused, match="expired"):
        await first.change(lambda change: rotate(change, other))
    here = first.unlocked
    assert other in here.vault.identities
    assert other.fingerprint not in here.statement.fingerprints


async def test_offline(first: Machine, running: Running) -> None:
    await running.listener.stop(1)
    with pytest.raises(Offline):
        await first.change(lambda _: None)


async def test_a_full_disk_comes_before_the_server_hears_of_it(
    running: Running, first: Machine, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = running.store._people[1].boxes["vault"]

    def full(path: Path, _: bytes) -> None:
        raise LocalFault(f"The file {path} cannot be written: No space left on device.")

    monkeypatch.setattr("e2email_client.staging.write_private", full)
    with pytest.raises(LocalFault, match="No space"):
        await first.change(lambda change: rotate(change, other))
    assert running.store._people[1].boxes["vault"] == before
    assert [one for one in first.paths.folder.iterdir() if "change" in one.name] == [
        first.paths.change_lock
    ]
    assert first.unlocked.vault.counter == 1


# vault staged, folder named, PUT, PUT, folder named, vault in place, settings, history, settings
STEPS = 9


async def test_how_many_steps_there_are(
    first: Machine, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await first.change(lambda _: None)
    steps = await counted(first, other, monkeypatch, 1000)
    assert steps == STEPS


async def counted(machine: Machine, other: Any, monkeypatch: pytest.MonkeyPatch, end: int) -> int:
    def work(change: Change) -> int:
        with monkeypatch.context() as patch:
            steps = Steps(patch, end)
            try:
                rotate(change, other)
            except Crash:
                assert steps.count == end + 1
            return steps.count

    return await machine.change(work)


@pytest.mark.parametrize("step", range(STEPS))
async def test_cut_off_at_each_step(
    first: Machine, other: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before each; that is after the one before."""
    old = first.unlocked.statement.fingerprints
    await counted(first, other, monkeypatch, step)
    assert old <= {one.fingerprint for one in first.unlocked.vault.identities}
    resumed = await first.change(lambda change: change)
    named = resumed.statement.fingerprints
    assert named in (old, {other.fingerprint})
    assert first.unlocked.statement == resumed.statement
    assert named <= {one.fingerprint for one in first.unlocked.vault.identities}
    # and what was asked for can be asked for again
    if named == old:
        await first.change(lambda change: rotate(change, other))
    assert first.unlocked.statement.fingerprints == {other.fingerprint}


async def test_secrets_are_in_no_repr(first: Machine) -> None:
    change = await first.change(lambda change: change)
    said = repr(change)
    for secret in (change.key.raw, change.vault.identities[0].tsk, change.vault.recovery):
        assert repr(secret)[2:-1] not in said
    assert change.login.header not in said


async def test_what_a_kill_left_lying_about_is_in_nobodys_way(first: Machine, other: Any) -> None:
    for folder in (first.paths.folder / ".change", first.paths.pending):
        folder.mkdir()
        (folder / "vault.box").write_bytes(b"half")
    (first.paths.folder / ".vault.box.0123").write_bytes(b"half")
    await first.change(lambda change: rotate(change, other))
    assert first.unlocked.statement.fingerprints == {other.fingerprint}
    assert not first.paths.pending.exists()
