"""Requests that hold megabytes: of one account one after another.

Who has a login could else have the server hold as many as there are connections.
"""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """A lock for each account that has such a request going."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def of(self, account_id: int) -> asyncio.Lock:
        """Held from before the large thing is there until it is let go."""
        lock = self._locks.get(account_id)
        if lock is None:
            lock = self._locks[account_id] = asyncio.Lock()
        return lock
