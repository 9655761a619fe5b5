"""What all sessions share: memory for clear mail, and the number of connections."""

import ipaddress
from collections import Counter

from .limits import COPIES, Limits


class MemoryBudget:
    """Counts mail that is being taken, over all sessions of SMTP and of the sealed face.

    The last part of it (`memory_reserve`) is for small mail only, so that a few senders who
    announce fifty megabytes each cannot keep ordinary mail out.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.used = 0

    @property
    def total(self) -> int:
        return self._limits.memory

    def is_small(self, size: int) -> bool:
        return size <= self._limits.small

    def fits(self, size: int, held: int = 0) -> bool:
        """Whether a mail of `size` octets may be held by somebody who already holds `held`."""
        limits = self._limits
        room = limits.memory if self.is_small(size) else limits.memory - limits.memory_reserve
        return self.used + (size - held) * COPIES <= room

    def take(self, size: int, held: int = 0) -> bool:
        """Raise a holding from `held` to `size` octets if it fits."""
        if size <= held:
            return True
        if not self.fits(size, held):
            return False
        self.used += (size - held) * COPIES
        return True

    def give_back(self, held: int) -> None:
        self.used -= held * COPIES


class Share:
    """Half of the budget, for what programs append over IMAP (see the engine's Budget).

    Whoever has a password cannot keep arriving mail out. The `largest` message always fits, where
    nobody else is sending one; small ones are not bounded by the half.
    """

    def __init__(self, memory: MemoryBudget, largest: int) -> None:
        self._memory = memory
        self._room = max(memory.total // 2, largest * COPIES)
        self.used = 0

    def reserve(self, octets: int) -> bool:
        full = self.used + octets * COPIES > self._room and not self._memory.is_small(octets)
        if full or not self._memory.take(octets):
            return False
        self.used += octets * COPIES
        return True

    def release(self, octets: int) -> None:
        self.used -= octets * COPIES
        self._memory.give_back(octets)


class Connections:
    """How many connections there are, in all and from each address (of IPv6: from each /64)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_source: Counter[str] = Counter()
        self.total = 0

    def enter(self, address: str) -> bool:
        limits = self._limits
        if self.total >= limits.connections:
            return False
        source = _source(address)
        if self._by_source[source] >= limits.connections_per_address:
            return False
        self.total += 1
        self._by_source[source] += 1
        return True

    def leave(self, address: str) -> None:
        self.total -= 1
        source = _source(address)
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]

    @property
    def patience(self) -> float:
        """Factor on the time that peers get: short while half of all connections are taken."""
        return self._limits.impatience if self.total * 2 > self._limits.connections else 1.0


def _source(address: str) -> str:
    """Whoever has one IPv6 address has the 2^64 around it."""
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address.partition("%")[0])
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8].hex()
