"""What is due, and that it is said once a day."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from e2email_client import care, key_facts
from e2email_client.care import DAY, Kind
from e2email_client.failure import LocalFault
from e2email_client.local.cache import open_state
from e2email_client.shared_state import SharedState
from e2email_crypto.statement import Policy
from e2email_crypto.vault import Custody, Identity, StoreKeys, Vault
from support.machine import Machine

NOW = 1_795_334_400
VAULT = Vault(
    counter=3,
    identities=(),
    store_keys=StoreKeys(bytes(32), bytes(32), bytes(32)),
    arrival_key=bytes(32),
    policy=Policy.SEALED,
    custody=Custody.CAUTIOUS,
    recovery=b"sixteen octets!!",
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SharedState]:
    database = open_state(tmp_path / "state.db", bytes(32))
    unlocked: Any = SimpleNamespace()
    yield SharedState(unlocked, database)
    database.close()


def due(state: SharedState, now: int = NOW, vault: Vault = VAULT) -> list[Kind]:
    return [one.kind for one in care.due(state, vault, now)]


def all_done(state: SharedState, vault: Vault = VAULT) -> None:
    for kind in (Kind.BACKUP, Kind.DRILL, Kind.PAPER):
        care.record(state, kind, vault, NOW)


def test_a_new_account_is_told_all(state: SharedState) -> None:
    assert due(state) == [Kind.BACKUP, Kind.PAPER, Kind.DRILL]
    lines = [one.line for one in care.due(state, VAULT, NOW)]
    assert lines[0].endswith("e2email-backup create FILE")
    assert not any("\n" in one for one in lines)


def test_what_was_done_is_not_due(state: SharedState) -> None:
    all_done(state)
    assert due(state) == []
    assert care.done(state, Kind.DRILL) == care.Done(
        NOW, 3, care.recovery_name(b"sixteen octets!!")
    )


@pytest.mark.parametrize(
    ("days", "wanted"),
    [(89, []), (90, [Kind.BACKUP]), (180, [Kind.BACKUP, Kind.DRILL]),
     (1095, [Kind.BACKUP, Kind.PAPER, Kind.DRILL])],
)  # fmt: skip
def test_it_is_due_again(state: SharedState, days: int, wanted: list[Kind]) -> None:
    all_done(state)
    assert due(state, NOW + days * DAY) == wanted


def test_changed_keys_make_a_backup_due_at_once(state: SharedState) -> None:
    all_done(state)
    assert due(state, vault=replace(VAULT, counter=4)) == [Kind.BACKUP]
    paranoid = replace(VAULT, counter=4, custody=Custody.PARANOID)
    assert due(state, vault=paranoid) == [Kind.BACKUP, Kind.PAPER]


def test_new_words_make_paper_and_drill_due(state: SharedState) -> None:
    all_done(state)
    assert due(state, vault=replace(VAULT, recovery=bytes(16))) == [Kind.PAPER, Kind.DRILL]


def test_without_a_recovery_secret_there_is_nothing_to_print(state: SharedState) -> None:
    assert Kind.PAPER not in due(state, vault=replace(VAULT, recovery=None))


def test_how_often_is_the_users_choice(state: SharedState) -> None:
    all_done(state)
    care.set_often(state, {"backup_days": 7, "drill_days": 0}, NOW)
    assert care.often(state) == care.Often(7, 0, 1095)
    assert due(state, NOW + 400 * DAY) == [Kind.BACKUP]
    with pytest.raises(LocalFault, match="number of days"):
        care.set_often(state, {"paper_days": -1}, NOW)


def test_what_another_version_wrote_is_as_if_not_there(state: SharedState) -> None:
    state.put("care", "backup", {"time": "yesterday"}, NOW)
    state.put("care", "drill", 7, NOW)
    state.put("settings", "backup_days", "often", NOW)
    assert Kind.BACKUP in due(state)
    assert care.often(state) == care.Often()


def test_a_key_that_ends_comes_first(state: SharedState, monkeypatch) -> None:
    identity = Identity("AB" * 20, b"", b"", b"")
    monkeypatch.setattr(key_facts, "warning", lambda vault, now: f"It ends in {now - NOW} days:")
    (first, *_) = care.due(state, replace(VAULT, identities=(identity,)), NOW + 7)
    assert (first.kind, first.line) == (Kind.KEY, "It ends in 7 days: e2email key extend")


def test_one_line_a_day(state: SharedState) -> None:
    found = care.due(state, VAULT, NOW)
    assert care.once_a_day(state, found, NOW) == found[0]
    assert care.once_a_day(state, found, NOW + 60) is None
    assert care.once_a_day(state, found, NOW + DAY) == found[0]
    assert care.once_a_day(state, [], NOW + 2 * DAY) is None


def test_the_secret_is_not_in_the_state(state: SharedState) -> None:
    all_done(state)
    assert b"sixteen octets" not in state.export()


def test_sync_says_it_once_a_day_and_status_always(machine: Machine) -> None:
    first, second = (json.loads(machine.run("sync", "--json").out) for _ in range(2))
    assert first["reminder"].endswith("e2email-backup create FILE")
    assert second["reminder"] is None
    status = machine.run("status", "--offline").text
    assert "REMINDER: There is no backup of this account yet: e2email-backup create FILE" in status
    said = json.loads(machine.run("status", "--offline", "--json").out)["reminders"]
    assert [one["kind"] for one in said] == ["backup", "paper", "drill"]
