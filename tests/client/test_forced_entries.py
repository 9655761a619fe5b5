"""An administrator's override: an alarm that names it, and the one way to accept it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_client import config
from e2email_client.account import create
from e2email_client.failure import Alarm
from e2email_client.history import History
from e2email_client.joining import accept_override
from e2email_crypto.statement import Authority, Entry, Policy
from support.account_server import ALICE, PARAMS, Running, account_server
from support.owner import NOW, Machine

OTHER = "seven umbrellas on Thursday"


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one").create()


async def anew(running: Running, home: Path) -> Machine:
    """Everything was lost; the administrator lets the owner begin again."""
    made = Machine(running, home)
    made.passphrase = OTHER
    invite = await running.accounts.invite(ALICE, replace=True)
    args = made.wish, invite, "Alice", Policy.SEALED, NOW + 90, PARAMS
    await asyncio.to_thread(create, *args)
    return made


async def newest(running: Running) -> Entry:
    return Entry.decode((await running.store.statements(1, 1, 99))[-1].octets)


async def test_an_account_begun_anew_goes_on_from_the_old_history(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    old = first.unlocked
    made = await anew(running, tmp_path / "two")
    entry = await newest(running)
    assert entry.authority is Authority.FORCED
    here = made.unlocked
    assert here.vault.accepted == (entry.digest,)
    assert here.statement.sequence == 2
    assert here.statement.fingerprints.isdisjoint(old.statement.fingerprints)
    await made.change(lambda _: None)
    await asyncio.to_thread(History(here).refresh)
    third = Machine(running, tmp_path / "three")
    third.passphrase = OTHER
    await third.join()
    assert third.unlocked.statement.sequence == 3


async def test_a_program_that_runs_hears_what_follows_an_override(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    made = await anew(running, tmp_path / "two")
    asking, looking = History(made.unlocked), History(made.unlocked)
    third = Machine(running, tmp_path / "three")
    third.passphrase = OTHER
    await third.join()
    await asyncio.to_thread(asking.refresh)
    assert asking.statements()[-1].sequence == 3
    assert made.unlocked.statement.sequence == 3
    looking.look()
    assert looking.statements()[-1].sequence == 3


async def test_the_old_machine_gives_an_alarm_that_names_it(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    known = History(first.unlocked)
    await anew(running, tmp_path / "two")
    digest = (await newest(running)).digest.hex()
    with pytest.raises(Alarm, match=f"by force.*entry 2.*2025-06-15.*{digest}"):
        # its login is gone with the account: what another device's token shows
        entries = [one.octets for one in await running.store.statements(1, 1, 99)]
        known._verify(entries, ())


async def test_accepted_where_the_owner_did_it(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    await anew(running, tmp_path / "two")
    digest = (await newest(running)).digest
    first.passphrase = OTHER
    done, old = await asyncio.to_thread(accept_override, first.wish, digest, NOW + 95)
    assert first.unlocked.statement.sequence == 3
    assert done.settings.statement_sequence == 3
    assert (old / "vault.box").exists()
    assert config.addresses(first.wish.home) == [ALICE]


async def test_the_old_account_is_there_again_where_accepting_was_stopped(
    running: Running, first: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await anew(running, tmp_path / "two")
    digest, before = (await newest(running)).digest, first.paths.vault.read_bytes()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    def accept() -> None:
        with pytest.raises(KeyboardInterrupt):
            accept_override(first.wish, digest, NOW + 95)

    with monkeypatch.context() as patch:
        patch.setattr("e2email_client.joining.establish", stopped)
        first.passphrase = OTHER
        await asyncio.to_thread(accept)
    assert first.paths.vault.read_bytes() == before
    done, _ = await asyncio.to_thread(accept_override, first.wish, digest, NOW + 95)
    assert done.settings.statement_sequence > 2


async def test_not_accepted_where_it_is_another_entry(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    await anew(running, tmp_path / "two")
    before = first.paths.vault.read_bytes()
    first.passphrase = OTHER
    with pytest.raises(Alarm, match="do not accept it"):
        await asyncio.to_thread(accept_override, first.wish, bytes(32), NOW + 95)
    assert first.paths.vault.read_bytes() == before


async def test_a_history_that_was_cut_before_the_override(
    running: Running, first: Machine, tmp_path: Path
) -> None:
    made = await anew(running, tmp_path / "two")
    entries = running.store._people[1].statements
    forged = replace(entries[0], octets=entries[1].octets)
    entries[0] = forged
    with pytest.raises(Alarm):
        await made.change(lambda _: None)
