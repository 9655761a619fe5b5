"""Failed logins wait longer and longer, whoever guesses, and the owner is not locked out."""

import pytest

from e2email_server.throttle import ENTRIES, Throttle, network


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def guesses(throttle: Throttle, clock: Clock, account: str, peer: str, seconds: float) -> int:
    """How many attempts a guesser gets in who tries ten times a second."""
    got = 0
    for _ in range(int(seconds * 10)):
        got += throttle.enter(account, peer) == 0.0
        clock.now += 0.1
    return got


def test_at_most_ten_a_minute(clock: Clock) -> None:
    assert guesses(Throttle(clock), clock, "a@x", "192.0.2.1", 60) == 8


def test_an_hour_of_guessing_gets_few(clock: Clock) -> None:
    assert guesses(Throttle(clock), clock, "a@x", "192.0.2.1", 3600) <= 20


def test_attempts_at_once_count_before_any_has_failed(clock: Clock) -> None:
    throttle = Throttle(clock)
    assert [throttle.enter("a@x", "192.0.2.1") == 0.0 for _ in range(50)].count(True) == 3


def test_wait_grows_and_is_told(clock: Clock) -> None:
    throttle, waits = Throttle(clock), []
    for _ in range(3):
        assert throttle.enter("a@x", "192.0.2.1") == 0.0
    for _ in range(4):
        waits.append(throttle.enter("a@x", "192.0.2.1"))
        clock.now += waits[-1]
        assert throttle.enter("a@x", "192.0.2.1") == 0.0
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_many_accounts_from_one_address(clock: Clock) -> None:
    throttle = Throttle(clock)
    tried = sum(throttle.enter(f"user{n}@x", "192.0.2.1") == 0.0 for n in range(1000))
    assert tried == 3


def test_one_account_from_many_addresses(clock: Clock) -> None:
    throttle = Throttle(clock)
    tried = sum(throttle.enter("a@x", f"198.51.100.{n}") == 0.0 for n in range(250))
    assert tried == 3


def test_the_whole_64_counts_as_one_guesser(clock: Clock) -> None:
    throttle = Throttle(clock)
    tried = sum(throttle.enter(f"u{n}@x", f"2001:db8::{n:x}") == 0.0 for n in range(250))
    assert tried == 3


def test_a_known_address_is_not_slowed_by_strangers(clock: Clock) -> None:
    throttle = Throttle(clock)
    assert throttle.enter("a@x", "192.0.2.1") == 0.0
    throttle.succeeded("a@x", "192.0.2.1")
    for n in range(100):
        throttle.enter("a@x", f"198.51.100.{n}")
    assert throttle.enter("a@x", "192.0.2.1") == 0.0
    assert throttle.enter("a@x", "203.0.113.1") > 0.0


def test_a_known_address_is_slowed_by_its_own_failures(clock: Clock) -> None:
    throttle = Throttle(clock)
    throttle.enter("a@x", "192.0.2.1")
    throttle.succeeded("a@x", "192.0.2.1")
    assert guesses(throttle, clock, "a@x", "192.0.2.1", 60) == 8


def test_success_forgets_the_account_but_not_the_address(clock: Clock) -> None:
    throttle = Throttle(clock)
    for _ in range(3):
        throttle.enter("victim@x", "192.0.2.66")
    clock.now += 1
    assert throttle.enter("mallory@x", "192.0.2.66") == 0.0
    throttle.succeeded("mallory@x", "192.0.2.66")
    assert throttle.enter("third@x", "192.0.2.66") > 0.0


def test_logins_that_succeed_are_never_slowed(clock: Clock) -> None:
    throttle = Throttle(clock)
    for n in range(100):
        assert throttle.enter(f"user{n}@x", "192.0.2.1") == 0.0
        throttle.succeeded(f"user{n}@x", "192.0.2.1")


def test_an_hour_later_all_is_forgotten(clock: Clock) -> None:
    throttle = Throttle(clock)
    guesses(throttle, clock, "a@x", "192.0.2.1", 10)
    clock.now += 3600
    assert throttle.enter("a@x", "192.0.2.1") == 0.0


def test_the_wait_has_a_ceiling(clock: Clock) -> None:
    throttle = Throttle(clock)
    longest = 0.0
    for _ in range(2000):
        wait = throttle.enter("a@x", "192.0.2.1")
        longest = max(longest, wait)
        clock.now += wait
    assert longest == 900.0


def test_memory_is_bounded(clock: Clock) -> None:
    throttle = Throttle(clock)
    for n in range(ENTRIES + 50):
        throttle.enter(f"{n}@x", f"10.{n >> 16}.{(n >> 8) & 255}.{n & 255}")
        throttle.succeeded(f"{n}@x", f"10.{n >> 16}.{(n >> 8) & 255}.{n & 255}")
        throttle.enter(f"{n}@y", f"11.{n >> 16}.{(n >> 8) & 255}.{n & 255}")
    tables = (throttle._accounts, throttle._peers, throttle._pairs)
    assert max(len(table._rows) for table in tables) <= ENTRIES
    assert len(throttle._known) <= ENTRIES


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_network(peer: str, expected: str) -> None:
    assert network(peer) == expected
