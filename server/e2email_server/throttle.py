"""Growing delays after failed logins, per account and per network address. Holds no secret.

One object for HTTPS, IMAP, POP3 and submission, so that a guesser gains nothing by changing doors.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# Typing errors cost nothing; then 1, 2, 4, ... seconds: eight attempts in the first minute.
FREE_ATTEMPTS = 3
# An address that keeps failing waits a quarter of an hour.
PEER_LONGEST = 900.0
# The whole world shares this one, so it must not lock the owner out for long.
ACCOUNT_LONGEST = 60.0
# After an hour without a failure all is forgotten.
MEMORY_SECONDS = 3600.0
# Some 4 MB at most; beyond it the oldest entry goes, so a flood of names cannot fill the memory.
ENTRIES = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class _Table:
    """Failures by key, the least recently touched thrown away first."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._rows: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        row = self._rows.get(key)
        if row is None or now - row.last >= MEMORY_SECONDS:
            return 0.0
        excess = row.count - FREE_ATTEMPTS
        # the exponent is bounded before it is used: counts have no bound
        pause = 0.0 if excess < 0 else min(2.0 ** min(excess, 30), self._longest)
        return max(0.0, row.last + pause - now)

    def failed(self, key: str, now: float) -> None:
        row = self._rows.get(key)
        fresh = row is None or now - row.last >= MEMORY_SECONDS
        self._rows[key] = _Failures(1 if fresh or row is None else row.count + 1, now)
        self._rows.move_to_end(key)
        if len(self._rows) > ENTRIES:
            self._rows.popitem(last=False)

    def take_back(self, key: str) -> None:
        """The attempt that `failed` counted was none."""
        row = self._rows.get(key)
        if row is not None:
            row.count -= 1

    def clear(self, key: str) -> None:
        self._rows.pop(key, None)


class Throttle:
    """`enter` before a password is looked at, `succeeded` after it was right.

    Between the two an attempt counts as failed, so fifty guesses at once are not fifty guesses.
    An address from which the account was opened before has a table of its own: a stranger's
    guesses do not slow the owner down.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts = _Table(ACCOUNT_LONGEST)
        self._peers = _Table(PEER_LONGEST)
        self._pairs = _Table(PEER_LONGEST)
        self._known: OrderedDict[str, None] = OrderedDict()

    def enter(self, account: str, peer: str) -> float:
        """Seconds to wait; 0.0: go on, the attempt is counted. The account need not exist."""
        wait = self.wait(account, peer)
        if wait == 0.0:
            self.failed(account, peer)
        return wait

    def wait(self, account: str, peer: str) -> float:
        """As `enter`, without counting: for secrets too long to guess, which `failed` counts."""
        now = self._clock()
        return max(table.wait(key, now) for table, key in self._tables(account, peer))

    def failed(self, account: str, peer: str) -> None:
        now = self._clock()
        for table, key in self._tables(account, peer):
            table.failed(key, now)

    def succeeded(self, account: str, peer: str) -> None:
        """After `enter`: the attempt that it counted was none."""
        where = network(peer)
        if f"{account} {where}" not in self._known:
            self._peers.take_back(where)
        self.welcome(account, peer)

    def welcome(self, account: str, peer: str) -> None:
        """Forget the account's failures, and know the pair from now on.

        The address keeps its own: else a guesser with an account here would wipe them away.
        """
        pair = f"{account} {network(peer)}"
        if pair not in self._known:
            self._accounts.clear(account)
        self._pairs.clear(pair)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > ENTRIES:
            self._known.popitem(last=False)

    def _tables(self, account: str, peer: str) -> list[tuple[_Table, str]]:
        where = network(peer)
        pair = f"{account} {where}"
        if pair in self._known:
            return [(self._pairs, pair)]
        return [(self._accounts, account), (self._peers, where)]


def network(peer: str) -> str:
    """What one guesser holds: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)
