"""Contacts on one's own server are asked after once a day, and what changed is told."""

import time

import pytest

from e2email_client import contact_refresh, directory
from e2email_client.contact import Source
from e2email_client.contact_refresh import AT_ONCE, DAY, refresh
from e2email_client.contact_rules import Chain
from e2email_client.contacts import Contacts
from e2email_client.directory import Listed
from e2email_client.failure import Alarm, Offline
from e2email_client.finding import Finder
from e2email_client.local.cache import open_state
from e2email_client.local.learned import Learned
from e2email_client.shared_state import SharedState
from support.foreign_keys import BOB, foreign

NOW = int(time.time())


class World:
    """What the directory would say, and what was asked and told."""

    def __init__(self, state, monkeypatch):
        contacts = Contacts(SharedState(None, state), Learned(state), {"alice@example.test"})  # type: ignore[arg-type]
        self.finder = Finder(contacts, None, None, None)  # type: ignore[arg-type]
        self.asked, self.told = [], []
        self.numbers = (1,)
        self.forced = frozenset()
        self.fault = None
        monkeypatch.setattr(directory, "look_up", self.look_up)

    def look_up(self, _api, _login, address, _seen, *, first):
        assert first is (self.finder.contacts.one(address) is None)
        self.asked.append(address)
        if self.fault:
            raise self.fault
        names = tuple(frozenset({foreign(number=one).fingerprint}) for one in self.numbers)
        chain = Chain(address, tuple(map(str, self.numbers)), names, self.forced)
        return Listed(chain, (foreign(number=self.numbers[-1]).cert,))

    def refresh(self, now):
        refresh(self.finder, now, self.told.append)


@pytest.fixture
def world(tmp_path, monkeypatch):
    state = open_state(tmp_path / "state.db", bytes(32))
    yield World(state, monkeypatch)
    state.close()


def test_once_a_day_and_only_those_with_a_history(world):
    world.finder.contacts.offer(
        "carol@example.net", foreign("carol@example.net").cert, Source.FILE, NOW
    )
    world.finder.in_directory(BOB, NOW)
    world.refresh(NOW + DAY - 1)
    assert len(world.asked) == 1
    world.refresh(NOW + DAY)
    world.refresh(NOW + DAY + 1)
    assert world.asked == [BOB, BOB]
    assert world.told == []


def test_a_followed_change_is_told_once(world):
    world.finder.in_directory(BOB, NOW)
    world.numbers = (1, 2)
    world.refresh(NOW + DAY)
    world.refresh(NOW + 2 * DAY)
    assert len(world.told) == 1
    assert "vouches" in world.told[0]


def test_a_forced_one_is_told_with_its_cause(world):
    world.finder.in_directory(BOB, NOW)
    world.numbers, world.forced = (1, 2), frozenset({1})
    world.refresh(NOW + DAY)
    assert ["administrator" in one for one in world.told] == [True]


def test_what_does_not_verify_is_told_and_the_others_are_asked(world):
    world.finder.in_directory(BOB, NOW)
    world.finder.in_directory("carol@example.test", NOW)
    world.fault = Alarm("The key history is damaged.")
    world.refresh(NOW + DAY)
    assert world.told == ["The key history is damaged."] * 2


def test_a_server_that_is_not_there_ends_it(world):
    world.finder.in_directory(BOB, NOW)
    world.fault = Offline("gone")
    with pytest.raises(Offline):
        world.refresh(NOW + DAY)
    world.fault = None
    world.refresh(NOW + DAY)
    assert world.asked == [BOB] * 3


def test_not_all_at_once(world, monkeypatch):
    monkeypatch.setattr(contact_refresh, "AT_ONCE", 1)
    assert AT_ONCE <= 300  # what the server allows in a row
    world.finder.in_directory(BOB, NOW)
    world.finder.in_directory("carol@example.test", NOW - 1)
    world.asked.clear()
    world.refresh(NOW + DAY)
    assert world.asked == ["carol@example.test"]
