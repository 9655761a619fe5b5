"""The account's own keys: every change, what it leaves, and what is left when it is cut off."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from e2email_client import key_facts, key_files, own_keys
from e2email_client.changing import Change
from e2email_client.failure import LocalFault, NoSecret, Refused, WrongSecret
from e2email_client.history import History
from e2email_client.key_facts import Role
from e2email_crypto import gate, keyedit
from e2email_crypto.cert import SubkeyState
from e2email_crypto.errors import KeyRefused, Refusal
from e2email_crypto.keyedit import Reason
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from e2email_crypto.vault import Identity
from support.account_server import ALICE, Running, account_server
from support.owner import Crash, Machine, Steps

DAY = 86_400
SALES = "sales@example.test"


def now() -> int:
    return int(time.time())


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one").create()


@pytest.fixture(scope="module")
def other() -> Identity:
    made = keyedit.new_identity(ALICE, "Alice", now())
    return Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


@pytest.fixture(scope="module")
def phone() -> Identity:
    made = keyedit.new_identity(ALICE, "Alice's phone", now())
    return Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


def facts(machine: Machine) -> list[key_facts.KeyFacts]:
    here = machine.unlocked
    return key_facts.every(here.vault, here.statement, now())


def opens(machine: Machine, message: bytes) -> bool:
    with OpenWorker(*(one.tsk for one in machine.unlocked.vault.identities)) as worker:
        return worker.open(message).plaintext == b"mail"


def sealed(machine: Machine) -> bytes:
    """Mail as the server seals it now."""
    keys = [one.octets for one in machine.running.store._people[1].certificates]
    recipients = [gate.recipient(one, now()) for one in keys]
    ids = frozenset().union(*(one.key_ids for one in recipients))
    assert ids == machine.unlocked.statement.key_ids
    return seal(b"mail", recipients)


async def test_rotate_seals_to_another_subkey_and_opens_what_came_before(first: Machine) -> None:
    before, old = first.unlocked, sealed(first)
    await first.change(lambda change: own_keys.rotate(change, now()))
    here = first.unlocked
    assert here.statement.fingerprints == before.statement.fingerprints
    assert not here.statement.key_ids & before.statement.key_ids
    assert opens(first, old)
    assert opens(first, sealed(first))
    (only,) = facts(first)
    assert [one.state for one in only.subkeys] == [SubkeyState.REVOKED, SubkeyState.USABLE]
    assert only.role is Role.IN_USE


async def test_a_modern_key_gets_a_successor(first: Machine) -> None:
    await first.change(lambda change: own_keys.new(change, "Alice", "modern", now()))
    old = sealed(first)
    await first.change(lambda change: own_keys.rotate(change, now()))
    found = facts(first)
    assert [one.role for one in found] == [Role.IN_USE, Role.READING, Role.READING]
    assert [one.profile for one in found] == ["modern", "modern", "compat"]
    assert opens(first, old)
    assert opens(first, sealed(first))


async def test_extend_sets_and_lifts_an_expiry(first: Machine) -> None:
    until = now() + 40 * DAY
    await first.change(lambda change: own_keys.extend(change, until, now()))
    assert facts(first)[0].expires == until
    assert key_facts.days_left(first.unlocked.vault, now()) in (39, 40)
    assert "39 days" in (key_facts.warning(first.unlocked.vault, now() + 10) or "")
    assert opens(first, sealed(first))
    await asyncio.sleep(1.1)  # of two signatures of one second programs differ which decides
    await first.change(lambda change: own_keys.extend(change, None, now()))
    assert facts(first)[0].expires is None
    assert key_facts.warning(first.unlocked.vault, now()) is None


async def test_a_key_that_has_expired_is_extended(first: Machine) -> None:
    old = sealed(first)
    await first.change(lambda change: own_keys.extend(change, now() + 2, now()))
    while (
        key_facts.days_left(first.unlocked.vault, now()) is None or now() <= facts(first)[0].expires
    ):
        await asyncio.sleep(0.5)
    assert "expired" in (key_facts.warning(first.unlocked.vault, now()) or "")
    assert opens(first, old)
    await first.change(lambda change: own_keys.extend(change, None, now()))
    assert facts(first)[0].expires is None
    assert opens(first, sealed(first))
    known = History(first.unlocked)
    await asyncio.to_thread(known.refresh)
    assert not known.behind


async def test_an_expiry_in_the_past_is_refused_and_changes_nothing(first: Machine) -> None:
    before = first.unlocked
    with pytest.raises(LocalFault, match="not a time to come"):
        await first.change(lambda change: own_keys.extend(change, now() - DAY, now()))
    assert first.unlocked.vault == before.vault


async def test_a_new_key_replaces_the_one_in_use(first: Machine) -> None:
    old_key, old = facts(first)[0].fingerprint, sealed(first)
    await first.change(lambda change: own_keys.new(change, "Alice", "compat", now()))
    new, kept = facts(first)
    assert (new.role, kept.role) == (Role.IN_USE, Role.READING)
    assert kept.fingerprint == old_key
    assert first.unlocked.statement.fingerprints == {new.fingerprint}
    assert opens(first, old)
    assert opens(first, sealed(first))


async def test_an_imported_key_becomes_the_accounts(first: Machine, other: Identity) -> None:
    old = sealed(first)
    await first.change(lambda change: own_keys.take(change, other, now()))
    assert facts(first)[0].fingerprint == other.fingerprint
    assert opens(first, old)
    assert opens(first, sealed(first))
    # taken again it is no other
    await first.change(lambda change: own_keys.take(change, other, now()))
    assert len(facts(first)) == 2


async def test_an_imported_key_for_reading_opens_and_is_sealed_to_by_nobody(
    first: Machine, other: Identity
) -> None:
    message = seal(b"mail", [gate.recipient(other.certificate, now())])
    before = first.unlocked.statement
    await first.change(lambda change: own_keys.keep_for_reading(change, other, now()))
    assert opens(first, message)
    assert first.unlocked.statement == before
    assert [one.role for one in facts(first)] == [Role.IN_USE, Role.READING]
    with pytest.raises(LocalFault, match="already"):
        await first.change(lambda change: own_keys.keep_for_reading(change, other, now()))


async def test_a_key_of_another_address_is_not_taken(first: Machine) -> None:
    made = keyedit.new_identity("mallory@example.test", "", now())
    foreign = Identity(made.fingerprint, made.tsk, made.cert, made.revocation)
    with pytest.raises(LocalFault, match="no user id"):
        await first.change(lambda change: own_keys.take(change, foreign, now()))
    assert len(facts(first)) == 1


async def test_another_device_with_a_key_of_its_own(first: Machine, phone: Identity) -> None:
    add = phone.certificate
    await first.change(lambda change: own_keys.add_recipient(change, add, now()))
    message = sealed(first)
    assert opens(first, message)
    with OpenWorker(phone.tsk) as worker:
        assert worker.open(message).plaintext == b"mail"
    assert [one.role for one in facts(first)] == [Role.IN_USE, Role.DEVICE]
    known = History(first.unlocked)
    await asyncio.to_thread(known.refresh)
    assert not known.behind
    # a rotation leaves it
    await first.change(lambda change: own_keys.rotate(change, now()))
    with OpenWorker(phone.tsk) as worker:
        assert worker.open(sealed(first)).plaintext == b"mail"
    fingerprint = phone.fingerprint
    await first.change(lambda change: own_keys.remove_recipient(change, fingerprint, now()))
    assert [one.role for one in facts(first)] == [Role.IN_USE]
    assert phone.fingerprint not in first.unlocked.statement.fingerprints
    assert opens(first, message)
    with pytest.raises(LocalFault, match="not sealed"):
        await first.change(lambda change: own_keys.remove_recipient(change, fingerprint, now()))


async def test_a_further_address(tmp_path: Path) -> None:
    async with account_server(aliases={SALES: (ALICE,)}) as running:
        machine = await Machine(running, tmp_path / "one").create()
        await machine.change(lambda change: own_keys.add_address(change, SALES, "Sales", now()))
        here = machine.unlocked
        assert here.statement.addresses == (ALICE, SALES)
        (only,) = facts(machine)
        assert f"Sales <{SALES}>" in only.user_ids
        # said again it is the same
        await machine.change(lambda change: own_keys.add_address(change, SALES, "Sales", now()))
        assert machine.unlocked.statement.addresses == (ALICE, SALES)
        assert facts(machine)[0].user_ids == only.user_ids
        assert opens(machine, sealed(machine))


async def test_an_address_that_does_not_lead_here_is_refused(first: Machine) -> None:
    old = sealed(first)
    with pytest.raises(Refused, match="address"):
        await first.change(lambda change: own_keys.add_address(change, SALES, "Sales", now()))
    assert first.unlocked.statement.addresses == (ALICE,)
    assert opens(first, old)
    assert opens(first, sealed(first))
    # nothing is in the way of the next change
    await first.change(lambda change: own_keys.rotate(change, now()))
    assert first.unlocked.statement.addresses == (ALICE,)
    assert opens(first, sealed(first))


async def test_an_unusable_certificate_is_no_recipient(first: Machine, phone: Identity) -> None:
    revoked = keyedit.apply_revocation(phone.certificate, phone.revocation)
    with pytest.raises(LocalFault, match="revoked"):
        await first.change(lambda change: own_keys.add_recipient(change, revoked, now()))
    own = first.unlocked.vault.identities[0].certificate
    with pytest.raises(LocalFault, match="in the vault"):
        await first.change(lambda change: own_keys.add_recipient(change, own, now()))
    assert len(facts(first)) == 1


@pytest.mark.parametrize("reason", [Reason.COMPROMISED, Reason.RETIRED])
async def test_a_revoked_key_takes_no_mail_reads_what_came_and_is_replaced(
    running: Running, first: Machine, reason: Reason
) -> None:
    old = sealed(first)
    await first.change(lambda change: own_keys.revoke(change, reason, now()))
    (stored,) = running.store._people[1].certificates
    with pytest.raises(KeyRefused) as caught:
        gate.recipient(stored.octets, now())
    assert caught.value.reason is Refusal.REVOKED
    assert facts(first)[0].revoked
    assert opens(first, old)
    # said again it is the same
    await first.change(lambda change: own_keys.revoke(change, reason, now()))
    await first.change(lambda change: own_keys.new(change, "Alice", "compat", now()))
    assert [one.revoked for one in facts(first)] == [False, True]
    assert opens(first, old)
    assert opens(first, sealed(first))
    known = History(first.unlocked)
    await asyncio.to_thread(known.refresh)
    assert not known.behind


# --- cut off ----------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[Change, Identity, Identity], Change]] = {
    "rotate": lambda change, _, __: own_keys.rotate(change, now()),
    "take": lambda change, other, _: own_keys.take(change, other, now()),
    "recipient": lambda change, _, phone: own_keys.add_recipient(change, phone.certificate, now()),
}


@pytest.mark.parametrize(
    "what",
    ["rotate", *(pytest.param(one, marks=pytest.mark.slow) for one in ("take", "recipient"))],
)
async def test_cut_off_at_every_step(
    first: Machine,
    other: Identity,
    phone: Identity,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mail of before opens always; that of meanwhile once the next change took the keys over."""
    act, step = CHANGES[what], 0
    while True:
        old = sealed_by_server(first)
        with monkeypatch.context() as patch:
            Steps(patch, step)
            try:
                await first.change(lambda change: act(change, other, phone))
            except Crash:
                ended = False
            else:
                ended = True
        assert opens(first, old)
        meanwhile = sealed_by_server(first)
        if ended:
            break
        await first.change(finished)
        assert opens(first, old)
        assert opens(first, meanwhile)
        assert opens(first, sealed(first))
        step += 1
    assert opens(first, meanwhile)
    assert step >= 3


async def test_removing_a_key_of_another_device_cut_off_at_every_step(
    first: Machine, phone: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail must never be sealed to a key that is not in the vault: nobody could change anything."""

    def add(change: Change) -> Change:
        return own_keys.add_recipient(change, phone.certificate, now())

    def remove(change: Change) -> Change:
        return own_keys.remove_recipient(change, phone.fingerprint, now())

    await first.change(add)
    step, ended = 0, False
    while not ended:
        with monkeypatch.context() as patch:
            Steps(patch, step)
            try:
                await first.change(remove)
            except Crash:
                step += 1
            except LocalFault:  # it is not there any more: cut off behind all that matters
                ended = True
        assert opens(first, sealed_by_server(first))
    assert step >= 5
    assert [one.role for one in facts(first)] == [Role.IN_USE]
    assert phone.fingerprint not in first.unlocked.statement.fingerprints


def finished(change: Change) -> Change:
    unfinished = own_keys.is_unfinished(change, now())
    return own_keys.finish(change, now()) if unfinished else change


def sealed_by_server(machine: Machine) -> bytes:
    """Whatever it has: this machine may not have heard of it."""
    keys = [one.octets for one in machine.running.store._people[1].certificates]
    return seal(b"mail", [gate.recipient(one, now()) for one in keys])


async def test_a_rotation_that_was_cut_off_is_finished_and_not_made_twice(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Steps(patch, 4)  # the vault is the server's, the statement not
        with pytest.raises(Crash):
            await first.change(lambda change: own_keys.rotate(change, now()))
    await first.change(lambda change: own_keys.rotate(change, now()))
    (only,) = facts(first)
    assert len(only.subkeys) == 2
    assert opens(first, sealed(first))


# --- files ------------------------------------------------------------------------------------


def test_an_export_comes_back(other: Identity) -> None:
    vault: Any = type("Vault", (), {"identities": (other,)})
    locked = key_files.secret(vault, other.fingerprint, "its own passphrase", now())
    armored = key_files.armored(locked, key_files.Kind.SECRET)
    again = key_files.identity(armored, "its own passphrase", now())
    assert again.tsk == other.tsk
    with pytest.raises(NoSecret):
        key_files.identity(armored, None, now())
    with pytest.raises(WrongSecret):
        key_files.identity(armored, "another one", now())
    public = key_files.armored(other.certificate, key_files.Kind.PUBLIC)
    assert key_files.certificate(public) == key_files.certificate(other.certificate)
    for wrong in (public, b"", b"no key at all", armored[:200]):
        with pytest.raises(LocalFault):
            key_files.identity(wrong, None, now())
    for wrong in (armored, locked, b"", b"no key at all"):
        with pytest.raises(LocalFault):
            key_files.certificate(wrong)


def test_a_key_is_found_by_the_end_of_its_fingerprint(other: Identity, phone: Identity) -> None:
    keys = [key_facts.facts(one.certificate, Role.READING, now()) for one in (other, phone)]
    spaced = key_facts.grouped(phone.fingerprint)
    for text in (spaced, phone.fingerprint[-8:].lower(), "0x" + phone.fingerprint[-16:]):
        assert key_facts.find(keys, text) == keys[1]
    assert key_facts.find(keys, None) == keys[0]
    for text in ("", phone.fingerprint[-7:], "0123456789ABCDEF"):
        with pytest.raises(LocalFault):
            key_facts.find(keys, text)
