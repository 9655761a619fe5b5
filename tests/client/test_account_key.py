"""Passphrase, recovery words and account key made anew: who opens what, and what a cut leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from e2email_client import custody
from e2email_client.account_key import new_key, new_passphrase, new_recovery, recovery_in_force
from e2email_client.api import AccountApi
from e2email_client.changing import Change
from e2email_client.failure import Alarm, LocalFault, NoSecret, Offline, Refused, WrongSecret
from e2email_client.joining import recover, restore_account
from e2email_client.owner import Saved
from e2email_client.passphrase import Source
from e2email_client.unlock import read_statements, unlock
from e2email_crypto import kdf, recovery, slot, vault
from e2email_crypto.vault import Custody
from e2email_server.store.types import Box
from support.account_server import ALICE, NAME, PASSPHRASE, Running, account_server
from support.owner import NOW, Crash, Machine, Steps

OTHER = "seven umbrellas on Thursday"


def cheap() -> kdf.Params:
    """The floor, with a salt of its own each time."""
    return kdf.Params.generate(kdf.T_MIN, kdf.M_KIB_MIN)


class Keyring:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def load(self, address: str, server_name: str) -> bytes | None:
        return self.kept.get((address, server_name))

    def save(self, address: str, server_name: str, secret: bytes) -> None:
        self.kept[(address, server_name)] = secret


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one", Keyring()).create()


@pytest.fixture
async def second(first: Machine, tmp_path: Path) -> Machine:
    return await Machine(first.running, tmp_path / "two").join()


def boxes(running: Running) -> dict[str, Box]:
    return dict(running.store._people[1].boxes)


def passphrase(change: Change) -> None:
    new_passphrase(change, OTHER, cheap())


def rekey(change: Change) -> None:
    new_key(change, PASSPHRASE, cheap())


def paranoid(change: Change) -> None:
    custody.move(change, Custody.PARANOID, PASSPHRASE, cheap())


def cautious(change: Change) -> None:
    custody.move(change, Custody.CAUTIOUS, PASSPHRASE, cheap())


def words(change: Change) -> None:
    new_recovery(change, b"R" * 16, NOW + 50)


# --- passphrase -------------------------------------------------------------------------------


async def test_another_passphrase_rewrites_one_slot(running: Running, first: Machine) -> None:
    before, here = boxes(running), first.unlocked
    await first.change(passphrase)
    after = boxes(running)
    assert [name for name in after if after[name] != before[name]] == ["slot:passphrase"]
    with pytest.raises(WrongSecret):
        assert first.unlocked
    first.passphrase = OTHER
    there = first.unlocked
    assert (there.key, there.vault, there.settings.passphrase_generation) == (
        here.key, here.vault, 2,
    )  # fmt: skip
    assert not first.paths.pending.exists()


async def test_the_keyring_goes_on_opening(first: Machine) -> None:
    before = first.unlocked.key
    await first.change(passphrase)
    assert unlock(first.paths, first.nobody, first.keyring).key == before


async def test_another_machine_opens_with_the_old_one_until_it_is_online(
    first: Machine, second: Machine
) -> None:
    await first.change(passphrase)
    assert second.unlocked.key == first_key(first)
    with pytest.raises(WrongSecret, match="does not know"):
        await second.change(lambda _: None)
    second.passphrase = OTHER
    await second.change(lambda _: None)
    assert second.unlocked.settings.passphrase_generation == 2


def first_key(first: Machine) -> Any:
    first.passphrase = OTHER
    return first.unlocked.key


async def test_an_old_slot_is_refused_where_a_newer_one_was_seen(
    running: Running, first: Machine
) -> None:
    local = first.paths.slot("passphrase")
    old, stored = local.read_bytes(), running.store._people[1]
    row, box = stored.row, stored.boxes["slot:passphrase"]
    await first.change(passphrase)
    kept = local.read_bytes()
    local.write_bytes(old)
    with pytest.raises(Alarm, match="older"):
        assert first.unlocked
    local.write_bytes(kept)
    # and where the server puts the old login back with it
    stored.row, stored.boxes["slot:passphrase"] = row, box
    with pytest.raises(Alarm, match="older"):
        await first.change(lambda _: None)


async def test_a_refusal_and_a_full_disk_change_nothing(
    running: Running, first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = boxes(running)

    def full(path: Path, _: bytes) -> None:
        raise LocalFault(f"The file {path} cannot be written: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr("e2email_client.staging.write_private", full)
        with pytest.raises(LocalFault, match="No space"):
            await first.change(passphrase)
    with monkeypatch.context() as patch:
        failing(patch, "/v1/slots", Refused("conflict", "no"))
        with pytest.raises(Refused, match="try again"):
            await first.change(passphrase)
    assert boxes(running) == before
    assert not first.paths.pending.exists()
    assert first.unlocked.settings.passphrase_generation == 1


def failing(patch: pytest.MonkeyPatch, path: str, fault: Exception, *, after: bool = False) -> None:
    """A PUT of `path` fails; with `after` the server has done it, and its answer is lost."""
    real = AccountApi.call

    def call(api: AccountApi, method: str, at: str, *rest: Any, **named: Any) -> Any:
        if (method, at) != ("PUT", path):
            return real(api, method, at, *rest, **named)
        if after:
            real(api, method, at, *rest, **named)
        raise fault

    patch.setattr(AccountApi, "call", call)


@pytest.mark.parametrize("done", [False, True])
async def test_where_the_answer_is_lost_either_one_opens(
    first: Machine, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, "/v1/slots", Offline("gone"), after=done)
        with pytest.raises(Offline):
            await first.change(passphrase)
    for text in (PASSPHRASE, OTHER):
        first.passphrase = text
        assert first.unlocked
    first.passphrase = OTHER if done else PASSPHRASE
    await first.change(lambda _: None)
    first.passphrase = PASSPHRASE if done else OTHER
    with pytest.raises(WrongSecret):
        assert first.unlocked


# --- recovery ---------------------------------------------------------------------------------


async def test_the_words_stand_in_for_a_forgotten_passphrase(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    here = first.unlocked
    secret = here.vault.recovery
    clean = Machine(running, tmp_path / "clean")
    clean.passphrase = OTHER
    await asyncio.to_thread(recover, clean.wish, secret, NOW, cheap())
    there = clean.unlocked
    assert (there.key, there.vault) == (here.key, here.vault)
    assert there.device_key is not None
    assert there.device_key.public in there.statement.device_keys
    # the passphrase is another one everywhere
    first.passphrase = OTHER
    await first.change(lambda _: None)
    assert first.unlocked.statement == there.statement


async def test_on_a_machine_that_has_the_account(first: Machine) -> None:
    secret, token = first.unlocked.vault.recovery, first.unlocked.device_token
    first.passphrase = OTHER
    await asyncio.to_thread(recover, first.wish, secret, NOW, cheap())
    assert first.unlocked.device_token == token
    assert first.unlocked.settings.passphrase_generation == 2


async def test_other_words_are_not_those(running: Running, first: Machine, tmp_path: Path) -> None:
    clean = Machine(running, tmp_path / "clean")
    with pytest.raises(WrongSecret, match="recovery words"):
        await asyncio.to_thread(recover, clean.wish, b"x" * 16, NOW, cheap())
    assert not clean.home.exists()


async def test_a_recovery_slot_of_other_words(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    here = first.unlocked
    wrap = recovery.split(b"x" * 16, ALICE, NAME).wrap
    foreign = slot.wrap(here.key, slot.SlotKind.RECOVERY, wrap, ALICE, NAME, generation=1)
    running.store._people[1].boxes["slot:recovery"] = Box("slot:recovery", 1, foreign)
    clean = Machine(running, tmp_path / "clean")
    with pytest.raises(Alarm, match="not made with these recovery words"):
        await asyncio.to_thread(recover, clean.wish, here.vault.recovery, NOW, cheap())
    assert not clean.home.exists()


async def test_new_words_end_the_old_ones(running: Running, first: Machine, tmp_path: Path) -> None:
    old = first.unlocked.vault.recovery
    await first.change(words)
    here = first.unlocked
    assert here.vault.recovery == b"R" * 16
    assert here.statement.recovery_key == recovery.split(b"R" * 16, ALICE, NAME).public
    clean = Machine(running, tmp_path / "clean")
    clean.passphrase = OTHER
    with pytest.raises(WrongSecret):
        await asyncio.to_thread(recover, clean.wish, old, NOW, cheap())
    await asyncio.to_thread(recover, clean.wish, b"R" * 16, NOW, cheap())
    assert clean.unlocked.key == here.key


async def test_words_that_are_not_in_force_are_not_shown(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await first.change(recovery_in_force) == first.unlocked.vault.recovery
    with monkeypatch.context() as patch:
        failing(patch, "/v1/slots", Offline("gone"))
        with pytest.raises(Offline):
            await first.change(words)
    with pytest.raises(LocalFault, match="recovery new"):
        await first.change(recovery_in_force)
    await first.change(words)
    assert await first.change(recovery_in_force) == b"R" * 16


def says(wrapped: bytes, generation: int) -> bytes:
    """The slot with another generation written over its own, as anybody can who has it."""
    body = wrapped[:11] + generation.to_bytes(8) + wrapped[19:-8]
    return body + sha256(body).digest()[:8]


@pytest.mark.parametrize("generation", [1, 2**63 - 1])
async def test_a_generation_that_the_server_made_up_neither_ends_nor_turns_back_the_count(
    running: Running, first: Machine, generation: int
) -> None:
    for text in (OTHER, PASSPHRASE, OTHER):
        await first.change(lambda change, text=text: new_passphrase(change, text, cheap()))
        first.passphrase = text
    assert first.unlocked.settings.passphrase_generation == 4
    make_up(running, "slot:passphrase", generation)
    await asyncio.to_thread(recover, first.wish, first.unlocked.vault.recovery, NOW, cheap())
    assert 4 < first.unlocked.settings.passphrase_generation <= 2**62 + 1
    make_up(running, "slot:recovery", generation)
    for _ in range(2):
        await first.change(passphrase)
        await first.change(words)


def make_up(running: Running, name: str, generation: int) -> None:
    stored = running.store._people[1].boxes
    stored[name] = replace(stored[name], octets=says(stored[name].octets, generation))


# --- the account key --------------------------------------------------------------------------


async def put_state(running: Running, machine: Machine) -> None:
    box = vault.seal_state(b"contacts", 1, machine.unlocked.key, ALICE, NAME)
    running.store._people[1].boxes["state"] = Box("state", 1, box)


async def test_a_new_account_key(running: Running, first: Machine, second: Machine) -> None:
    await put_state(running, first)
    before = first.unlocked
    await first.change(rekey)
    here = first.unlocked
    assert here.key != before.key
    assert replace(here.vault, counter=1) == before.vault
    assert (here.device_token, here.device_key) == (before.device_token, before.device_key)
    assert unlock(first.paths, first.nobody, first.keyring).key == here.key
    box = boxes(running)["state"]
    assert vault.open_state(box.octets, here.key, ALICE, NAME) == (b"contacts", 2)
    for name in ("vault", "slot:passphrase", "slot:recovery"):
        assert boxes(running)[name].version == 2
    # the words stay; another machine keeps its login
    assert await first.change(recovery_in_force) == before.vault.recovery
    token = second.unlocked.device_token
    await second.change(lambda _: None)
    assert second.unlocked.key == here.key
    assert second.unlocked.device_token == token


@pytest.mark.parametrize("kept", Custody)
async def test_one_change_after_another(first: Machine, kept: Custody) -> None:
    def all_of_them(change: Change) -> None:
        if kept is Custody.PARANOID:
            change = custody.move(change, kept, PASSPHRASE, cheap())
        change = new_key(change, PASSPHRASE, cheap())
        change = new_passphrase(change, OTHER, cheap())
        new_recovery(new_key(change, OTHER, cheap()), b"R" * 16, NOW + 50)

    await first.change(all_of_them)
    first.passphrase = OTHER
    assert await first.change(recovery_in_force) == b"R" * 16


async def test_replaced_where_the_keyring_was_not_at_hand(first: Machine, tmp_path: Path) -> None:
    """As over SSH. The keyring opens nothing then, and the passphrase does."""
    keyring, first.keyring = first.keyring, None
    await first.change(lambda change: new_key(change, PASSPHRASE, cheap()))
    with pytest.raises(NoSecret):
        unlock(first.paths, first.nobody, keyring)
    secret = tmp_path / "secret"
    secret.write_text(PASSPHRASE)
    assert unlock(first.paths, Source(file=secret), keyring).key == first.unlocked.key
    # until a change is begun where it is
    first.keyring = keyring
    await first.change(lambda _: None)
    assert unlock(first.paths, first.nobody, keyring).key == first.unlocked.key


# --- custody ----------------------------------------------------------------------------------


async def test_paranoid_and_back(running: Running, first: Machine, tmp_path: Path) -> None:
    await first.change(paranoid)
    assert not {"vault", "slot:passphrase", "slot:recovery"} & boxes(running).keys()
    here = first.unlocked
    assert (here.vault.custody, here.vault.counter) == (Custody.PARANOID, 3)
    # changes go on, on this machine alone
    await first.change(passphrase)
    first.passphrase = OTHER
    await first.change(words)
    assert first.unlocked.vault.counter == 4
    assert "vault" not in boxes(running)
    first.passphrase = OTHER
    await first.change(lambda change: custody.move(change, Custody.CAUTIOUS, OTHER, cheap()))
    assert {"vault", "slot:passphrase", "slot:recovery"} <= boxes(running).keys()
    again = Machine(running, tmp_path / "two")
    again.passphrase = OTHER
    await again.join()
    assert again.unlocked.vault == first.unlocked.vault
    assert again.unlocked.vault.custody is Custody.CAUTIOUS


async def test_in_paranoid_custody_nothing_sets_up_a_machine_but_what_is_named(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    secret = first.unlocked.vault.recovery
    await first.change(paranoid)
    clean = Machine(running, tmp_path / "clean")
    exactly = "this account is in paranoid custody: use pairing, the backup file or the sheet"
    with pytest.raises(Refused, match=exactly):
        await clean.join()
    with pytest.raises(Refused, match=exactly):
        await asyncio.to_thread(recover, clean.wish, secret, NOW, cheap())
    assert not clean.home.exists()


async def saved(machine: Machine) -> Saved:
    here = machine.unlocked
    return Saved(here.key, machine.paths.vault.read_bytes(), tuple(read_statements(here.paths)))


@pytest.mark.parametrize("kept", [Custody.PARANOID, Custody.CAUTIOUS])
async def test_a_backup_brings_it_to_a_clean_machine(
    running: Running, first: Machine, tmp_path: Path, kept: Custody
) -> None:
    if kept is Custody.PARANOID:
        await first.change(paranoid)
    backup, here = await saved(first), first.unlocked
    clean = Machine(running, tmp_path / "clean")
    clean.passphrase = OTHER
    secret = here.vault.recovery
    await asyncio.to_thread(restore_account, clean.wish, backup, secret, NOW, cheap())
    assert clean.unlocked.vault == here.vault
    await clean.change(lambda _: None)


async def test_a_server_that_lost_the_vault(running: Running, first: Machine) -> None:
    for name in ("vault", "slot:passphrase", "slot:recovery"):
        del running.store._people[1].boxes[name]
    with pytest.raises(Alarm, match="lost it"):
        await first.change(lambda _: None)


# --- cut off at any step ----------------------------------------------------------------------

CUT: dict[str, tuple[Callable[[Change], None], int]] = {
    "passphrase": (passphrase, 6),
    "recovery": (words, 10),
    "account key": (rekey, 12),
    "paranoid": (paranoid, 19),
}
CASES = [(name, step) for name, (_, steps) in CUT.items() for step in range(steps)]


async def cut(machine: Machine, work: Any, monkeypatch: pytest.MonkeyPatch, end: int) -> int:
    def run(change: Change) -> int:
        with monkeypatch.context() as patch:
            steps = Steps(patch, end)
            try:
                work(change)
            except Crash:
                assert steps.count == end + 1
            return steps.count

    return await machine.change(run)


@pytest.mark.parametrize("name", CUT)
async def test_how_many_steps(first: Machine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    work, steps = CUT[name]
    assert await cut(first, work, monkeypatch, 1000) == steps


@pytest.mark.slow
@pytest.mark.parametrize(("name", "step"), CASES)
async def test_cut_off_at_each_step(
    running: Running, first: Machine, monkeypatch: pytest.MonkeyPatch, name: str, step: int
) -> None:
    work, _ = CUT[name]
    before = first.unlocked
    await cut(first, work, monkeypatch, step)
    opens = [text for text in (PASSPHRASE, OTHER) if await begins(first, text)]
    assert len(opens) == 1  # what the server takes, and it is all in order afterwards
    first.passphrase = opens[0]
    after = first.unlocked
    assert after.vault.identities == before.vault.identities
    assert after.device_token == before.device_token
    assert not first.paths.pending.exists()
    assert not first.paths.ready.exists()
    if name != "passphrase" or opens[0] == PASSPHRASE:
        await first.change(work)
        first.passphrase = OTHER if name == "passphrase" else PASSPHRASE
    assert first.unlocked.vault.identities == before.vault.identities
    await first.change(lambda _: None)


async def begins(machine: Machine, text: str) -> bool:
    machine.passphrase = text
    try:
        await machine.change(lambda _: None)
    except WrongSecret:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("step", range(12))
async def test_cut_off_on_the_way_back_to_cautious(
    first: Machine, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    await first.change(paranoid)
    before = first.unlocked
    await cut(first, cautious, monkeypatch, step)
    await first.change(lambda _: None)
    assert first.unlocked.vault.identities == before.vault.identities
    await first.change(cautious)
    assert first.unlocked.vault.custody is Custody.CAUTIOUS


@pytest.mark.slow
async def test_a_recovery_that_is_cut_off_can_be_said_again(
    running: Running, first: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = first.unlocked
    assert here.vault.recovery is not None

    async def until(machine: Machine, end: int) -> bool:
        """Whether it came to its end."""
        with monkeypatch.context() as patch:
            steps = Steps(patch, end)
            try:
                await asyncio.to_thread(recover, machine.wish, here.vault.recovery, NOW, cheap())
            except Crash:
                assert steps.count == end + 1
                return False
        return True

    for step in range(40):
        clean = Machine(running, tmp_path / f"clean-{step}")
        clean.passphrase = OTHER
        done = await until(clean, step)
        assert clean.paths.folder.exists() is done or clean.unlocked  # whole or not at all
        if not clean.paths.folder.exists():
            assert await until(clean, 1000)
        assert clean.unlocked.vault == here.vault
        if done:
            break
    assert step > 5
