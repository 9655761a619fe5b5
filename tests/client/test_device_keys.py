"""A machine's signing key: made at set-up, vouched for by the account, heard of elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2email_client import config, history
from e2email_client.api import AccountApi
from e2email_client.failure import Alarm, ClientError, Offline, Refused
from e2email_client.history import History
from e2email_client.paths import Home
from e2email_client.unlock import ThisDevice, Unlocked, read_statements, write_device
from e2email_crypto import keyedit, statement
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.statement import Entry, Statement
from e2email_server.store.types import Statement as StoredStatement
from support.account_server import ALICE, Running, account_server
from support.machine import Done
from support.machine import Machine as Shown
from support.owner import NOW, Machine


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one").create()


@pytest.fixture
def second(running: Running, tmp_path: Path) -> Machine:
    return Machine(running, tmp_path / "two")


async def stated(running: Running) -> list[Statement]:
    found = await running.store.statements(1, 1, 200)
    return [statement.decode(Entry.decode(one.octets).statement) for one in found]


def following(last: bytes, alice: Unlocked, **changes: Any) -> bytes:
    """The next entry of the history, by alice's own key."""
    before = Entry.decode(last)
    old = statement.decode(before.statement)
    values: dict[str, Any] = {"sequence": old.sequence + 1, "previous": before.digest}
    made = replace(old, **(values | changes))
    identity = alice.vault.identities[0]
    return statement.sign_entry(
        made, identity.fingerprint, lambda data: keyedit.sign_detached(identity.tsk, data)
    ).encode()


async def publish(running: Running, alice: Unlocked, **changes: Any) -> bytes:
    """As if another machine of alice's had done it."""
    last = (await running.store.statements(1, 1, 200))[-1].octets
    entry = following(last, alice, **changes)
    await running.accounts.publish(await running.store.account(ALICE), entry, None)
    return entry


# --- set-up -----------------------------------------------------------------------------------


async def test_the_first_statement_names_the_first_machine(running: Running, first: Machine):
    (only,) = await stated(running)
    assert only.device_keys == (first.key.public,)
    assert first.unlocked.statement == only


async def test_a_second_machine_is_named_beside_it(
    running: Running, first: Machine, second: Machine
) -> None:
    await second.join()
    one, two = await stated(running)
    assert two.device_keys == (first.key.public, second.key.public)
    assert (two.time, two.sequence) == (NOW + 10, 2)
    same = replace(two, sequence=1, previous=None, time=one.time, device_keys=one.device_keys)
    assert same == one
    assert second.unlocked.settings.statement_sequence == 2
    assert second.unlocked.statement == two


async def test_the_secret_stays_on_its_machine(running: Running, first: Machine) -> None:
    seed = first.key.seed
    held = repr(vars(running.store)).encode()
    paths = Home(first.home).account(ALICE)
    held += b"".join(path.read_bytes() for path in paths.folder.iterdir())
    for shape in (seed, seed.hex().encode(), repr(seed).encode()[2:-1]):
        assert shape not in held
    assert seed.hex() not in repr(first.unlocked)
    assert seed.hex() not in repr(ThisDevice("e2d_", first.key))


async def test_set_up_again_keeps_key_and_history(running: Running, first: Machine) -> None:
    before = first.key
    await first.join()
    assert first.key == before
    assert len(await stated(running)) == 1


async def test_a_machine_of_an_earlier_version_gets_its_key(
    running: Running, first: Machine
) -> None:
    """Its device.box holds the token and nothing else."""
    alice = first.unlocked
    write_device(alice.paths, alice.key, ThisDevice(alice.device_token))
    await publish(running, alice, device_keys=())
    old = first.unlocked
    assert (old.device_token, old.device_key) == (alice.device_token, None)
    await first.join()
    assert first.unlocked.device_token == alice.device_token
    assert (await stated(running))[-1].device_keys == (first.key.public,)
    assert first.key != alice.device_key


async def test_a_key_that_was_given_up_never_comes_back(running: Running, first: Machine) -> None:
    given_up = first.key
    await publish(running, first.unlocked, device_keys=())
    await first.join()
    assert first.key != given_up
    assert (await stated(running))[-1].device_keys == (first.key.public,)


async def test_the_answer_that_got_lost(
    running: Running, first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has the statement; the machine tries again with the same key."""
    alice = first.unlocked
    write_device(alice.paths, alice.key, ThisDevice(alice.device_token))
    real = AccountApi.call

    def lost(self: AccountApi, method: str, path: str, *rest: Any, **named: Any) -> Any:
        answer = real(self, method, path, *rest, **named)
        if (method, path) == ("POST", "/v1/statements"):
            raise Offline("the line went dead")
        return answer

    monkeypatch.setattr(AccountApi, "call", lost)
    with pytest.raises(Offline):
        await first.join()
    monkeypatch.undo()
    await first.join()
    assert [len(one.device_keys) for one in await stated(running)] == [1, 2]
    assert (await stated(running))[-1].device_keys[1] == first.key.public


def overtaking(
    running: Running, alice: Unlocked, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Another machine is faster, so many times: each with a key of its own."""
    real, loop, left = AccountApi.call, asyncio.get_running_loop(), [times]

    def call(self: AccountApi, method: str, path: str, *rest: Any, **named: Any) -> Any:
        if (method, path) == ("POST", "/v1/statements") and left[0]:
            left[0] -= 1
            asyncio.run_coroutine_threadsafe(another(running, alice), loop).result(30)
        return real(self, method, path, *rest, **named)

    monkeypatch.setattr(AccountApi, "call", call)


async def another(running: Running, alice: Unlocked) -> None:
    keys = (await stated(running))[-1].device_keys
    await publish(running, alice, device_keys=(*keys, ArrivalKey.generate().public))


@pytest.mark.parametrize("times", [1, 4])
async def test_another_machine_was_faster(
    running: Running, first: Machine, second: Machine, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    overtaking(running, first.unlocked, monkeypatch, times)
    await second.join()
    newest = (await stated(running))[-1]
    assert len(newest.device_keys) == times + 2
    assert newest.device_keys[-1] == second.key.public
    assert second.unlocked.statement == newest


async def test_it_does_not_try_for_ever(
    running: Running, first: Machine, second: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaking(running, first.unlocked, monkeypatch, 1000)
    with pytest.raises(Refused) as caught:
        await second.join()
    assert caught.value.code == "conflict"
    assert not second.home.exists()


async def test_a_refusal_is_not_taken_for_a_race(
    first: Machine, second: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, posted = AccountApi.call, []

    def call(self: AccountApi, method: str, path: str, *rest: Any, **named: Any) -> Any:
        if (method, path) == ("POST", "/v1/statements"):
            posted.append(path)
            raise Refused("statement-refused", "The server refused: no.")
        return real(self, method, path, *rest, **named)

    monkeypatch.setattr(AccountApi, "call", call)
    with pytest.raises(Refused, match="no"):
        await second.join()
    assert len(posted) == 1


async def test_a_hundred_machines_are_all(
    running: Running, first: Machine, second: Machine
) -> None:
    many = tuple(bytes([n]) * 32 for n in range(statement.DEVICES_MAX))
    await publish(running, first.unlocked, device_keys=many)
    tokens = len(await running.store.tokens(1))
    with pytest.raises(Refused, match="100 machines") as caught:
        await second.join()
    assert caught.value.code == "too-many"
    assert len(await running.store.tokens(1)) == tokens
    assert not second.home.exists()


# --- a program that runs ----------------------------------------------------------------------


async def ask(known: History, signer: str) -> Any:
    return await asyncio.to_thread(known.device, signer)


async def test_a_machine_that_joined_meanwhile_is_looked_up(
    first: Machine, second: Machine
) -> None:
    known = History(first.unlocked)
    await second.join()
    device = await ask(known, second.key.key_id)
    assert (device.public, device.until) == (second.key.public, None)
    # and it is kept, for the programs that come after
    assert first.unlocked.settings.statement_sequence == 2
    assert first.unlocked.statement == known.statements()[-1]


async def test_refresh_alone_brings_it_too(first: Machine, second: Machine) -> None:
    known = History(first.unlocked)
    await asyncio.to_thread(known.refresh)
    assert len(known.statements()) == 1
    await second.join()
    await asyncio.to_thread(known.refresh)
    assert len(known.statements()) == 2


async def test_a_key_given_up_stands_for_what_it_signed_before(
    running: Running, first: Machine, second: Machine
) -> None:
    await second.join()
    gone = second.key
    keys = (first.key.public,)
    await publish(running, first.unlocked, device_keys=keys, time=NOW + 500)
    known = History(first.unlocked)
    await asyncio.to_thread(known.refresh)
    device = await ask(known, gone.key_id)
    assert (device.public, device.until) == (gone.public, NOW + 500)
    assert (await ask(known, first.key.key_id)).until is None


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Requests for the history."""
    real, asked = AccountApi.call, []

    def call(self: AccountApi, method: str, path: str, *rest: Any, **named: Any) -> Any:
        asked.append(path)
        return real(self, method, path, *rest, **named)

    monkeypatch.setattr(AccountApi, "call", call)
    return asked


async def test_a_stranger_is_looked_up_once(
    first: Machine, second: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, asked = History(first.unlocked), counted(monkeypatch)
    assert await ask(known, first.key.key_id)
    assert asked == []
    for _ in range(3):
        assert await ask(known, "0123456789abcdef") is None
    assert len(asked) == 1
    await second.join()
    assert await ask(known, second.key.key_id)


async def test_a_thousand_strangers_do_not_make_a_thousand_requests(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, asked = History(first.unlocked), counted(monkeypatch)
    monkeypatch.setattr(history, "VAIN_MAX", 3)
    for number in range(50):
        assert await ask(known, f"{number:016x}") is None
    assert len(asked) == 3


async def test_offline_nobody_is_called_a_stranger(first: Machine, running: Running) -> None:
    known = History(first.unlocked)
    await running.listener.stop(1)
    with pytest.raises(Offline):
        await ask(known, "0123456789abcdef")


async def test_a_login_that_was_revoked_leaves_a_stranger_unknown(
    running: Running, first: Machine
) -> None:
    known = History(first.unlocked)
    for token in await running.store.tokens(1):
        await running.store.remove_token(1, token.token_id)
    assert await ask(known, "0123456789abcdef") is None
    with pytest.raises(ClientError):
        await asyncio.to_thread(known.refresh)


async def alarmed(known: History) -> str:
    before = known.statements()
    with pytest.raises(Alarm) as caught:
        await asyncio.to_thread(known.refresh)
    assert known.statements() == before
    assert await ask(known, "0123456789abcdef") is None
    return str(caught.value)


async def test_a_server_that_went_back_in_time(
    running: Running, first: Machine, second: Machine
) -> None:
    await second.join()
    known = History(second.unlocked)
    del running.store._people[1].statements[1:]
    assert "older key history" in await alarmed(known)


async def test_a_server_with_another_history(running: Running, first: Machine) -> None:
    alice = first.unlocked
    known = History(alice)
    other = replace(alice.statement, time=NOW + 1)
    identity = alice.vault.identities[0]
    entry = statement.sign_entry(
        other, identity.fingerprint, lambda data: keyedit.sign_detached(identity.tsk, data)
    )
    running.store._people[1].statements[:] = [StoredStatement(1, entry.encode())]
    assert "another key history" in await alarmed(known)


async def test_a_device_that_the_account_did_not_vouch_for(
    running: Running, first: Machine
) -> None:
    """The server adds one by itself: it has no key of the account to sign with."""
    alice = first.unlocked
    known = History(alice)
    mallory = keyedit.new_identity("mallory@example.test", "", NOW)
    before = Entry.decode(read_statements(alice.paths)[-1])
    forged = replace(alice.statement, sequence=2, previous=before.digest, device_keys=(bytes(32),))
    entry = statement.sign_entry(
        forged,
        alice.vault.identities[0].fingerprint,
        lambda data: keyedit.sign_detached(mallory.tsk, data),
    )
    running.store._people[1].statements.append(StoredStatement(2, entry.encode()))
    assert "does not verify" in await alarmed(known)


async def test_two_programs_of_one_machine_keep_the_newest(
    running: Running, first: Machine, second: Machine
) -> None:
    slow, fast = History(first.unlocked), History(first.unlocked)
    await second.join()
    await asyncio.to_thread(slow.refresh)
    await publish(running, second.unlocked, device_keys=(first.key.public,))
    await asyncio.to_thread(fast.refresh)
    # the slow one writes what it read long ago
    entries = read_statements(first.unlocked.paths)[:2]
    newest = statement.decode(Entry.decode(entries[1]).statement)
    history.keep(first.unlocked.paths, entries, newest, Entry.decode(entries[1]).digest)
    assert first.unlocked.settings.statement_sequence == 3
    assert len(read_statements(first.unlocked.paths)) == 3
    assert config.load(first.unlocked.paths).statement_sequence == 3


async def test_following_renews_and_survives(
    running: Running, first: Machine, second: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "REFRESH_SECONDS", 0.05)
    known = History(first.unlocked)
    task = asyncio.create_task(known.follow())
    try:
        await second.join()
        async with asyncio.timeout(20):
            while len(known.statements()) < 2:
                await asyncio.sleep(0.02)
        await running.listener.stop(1)
        await asyncio.sleep(0.3)
        assert not task.done()
    finally:
        task.cancel()


# --- a sync -----------------------------------------------------------------------------------


async def synced(running: Running, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Done:
    """`e2email sync`, with mail of a server in memory and the history of the running one."""
    arrival = running.arrival
    shown = await asyncio.to_thread(Shown, machine.home, arrival)
    shown.patch(monkeypatch)
    return await asyncio.to_thread(shown.run, "sync")


async def test_a_sync_brings_the_history(
    running: Running, first: Machine, second: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await second.join()
    assert (await synced(running, first, monkeypatch)).code == 0
    assert first.unlocked.settings.statement_sequence == 2


async def test_a_sync_gives_the_alarm(
    running: Running, first: Machine, second: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await second.join()
    del running.store._people[1].statements[1:]
    done = await synced(running, second, monkeypatch)
    assert done.code == 5
    assert "older key history" in done.err
    assert b"INBOX" in done.out  # the mail was fetched all the same


async def test_a_sync_without_an_answer_is_no_alarm(
    running: Running, first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.listener.stop(1)
    assert (await synced(running, first, monkeypatch)).code == 0
