"""Argon2id never blocks the loop, runs twice at once at most, and does not queue without end."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from e2email_server import logins as module
from e2email_server.logins import LoginRefused, Logins, TryLater
from e2email_server.store.memory import MemoryStore
from e2email_server.throttle import Throttle


@pytest.fixture
async def logins() -> AsyncIterator[Logins]:
    made = Logins(MemoryStore(), b"k" * 32, Throttle(), lambda: 1_700_000_000)
    yield made
    made.close()


class Slow:
    """Stands for Argon2id; counts how often it runs at the same time."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.now = self.most = self.all = 0
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, _auth: bytes, _stored: bytes = b"") -> bool:
        with self._lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        with self._lock:
            self.now -= 1
        return False


async def attempt(logins: Logins, number: int) -> type[Exception]:
    """One wrong login, each from a place of its own."""
    peer = f"10.0.{number >> 8}.{number & 255}"
    try:
        await logins.by_auth(f"user{number}@x", bytes(32), peer)
    except (LoginRefused, TryLater) as fault:
        return type(fault)
    raise AssertionError("logged in")


async def test_at_most_two_at_once(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(module.auth_hash, "check_auth", slow)
    answers = await asyncio.gather(*(attempt(logins, n) for n in range(50)))
    assert set(answers) == {LoginRefused}
    assert (slow.most, slow.all) == (2, 50)


async def test_a_flood_is_sent_away(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(module.auth_hash, "check_auth", slow)
    answers = await asyncio.gather(*(attempt(logins, n) for n in range(300)))
    assert answers.count(TryLater) == 300 - module.HASHES_WAITING
    assert slow.all <= module.HASHES_WAITING


async def test_the_loop_goes_on(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    started, over = threading.Event(), threading.Event()

    def block(_auth: bytes, _stored: bytes) -> bool:
        started.set()
        assert over.wait(20)
        return False

    monkeypatch.setattr(module.auth_hash, "check_auth", block)
    task = asyncio.create_task(attempt(logins, 1))
    while not started.is_set():
        await asyncio.sleep(0.01)  # runs only if the loop is free
    assert not task.done()
    over.set()
    assert await task is LoginRefused


async def test_a_peer_that_goes_away_gives_its_place_back(
    logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.auth_hash, "check_auth", Slow(0.05))
    tasks = [asyncio.create_task(attempt(logins, n)) for n in range(50)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert logins._waiting == 0
    assert await attempt(logins, 99) is LoginRefused


async def test_tokens_never_meet_argon2(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(module.auth_hash, "check_auth", slow)
    monkeypatch.setattr(module.auth_hash, "hash_auth", slow)
    for n in range(3):
        with pytest.raises(LoginRefused):
            await logins.check_login(f"user{n}@x", "e2a_wrong", f"192.0.2.{n}")
        with pytest.raises(LoginRefused):
            await logins.by_device("e2d_wrong", f"198.51.100.{n}")
    assert slow.all == 0


async def test_a_wrong_device_token_slows_only_its_own_address(logins: Logins) -> None:
    for expected in (LoginRefused, LoginRefused, LoginRefused, TryLater):
        with pytest.raises(expected):
            await logins.by_device("e2d_wrong", "192.0.2.1")
    with pytest.raises(LoginRefused):
        await logins.by_device("e2d_wrong", "198.51.100.1")


async def test_nothing_is_shown(logins: Logins) -> None:
    assert repr(logins) == "<Logins>"
