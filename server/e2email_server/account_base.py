"""What the rules of accounts stand on: the store, the logins, who gets mail for an address."""

import asyncio
from collections.abc import Awaitable, Callable

from e2email_server.clock import Clock
from e2email_server.logins import Logins
from e2email_server.store.api import Store
from e2email_server.store.types import Account
from e2email_server.throttle import Throttle

Owner = Callable[[str], Awaitable[Account | None]]
"""The account that alone gets the mail for an address; Recipients.owner."""


class AccountBase:
    """See accounts.Accounts."""

    def __init__(
        self, store: Store, logins: Logins, throttle: Throttle, clock: Clock, owner: Owner
    ) -> None:
        self._store = store
        self._logins = logins
        self._throttle = throttle
        self._clock = clock
        self._owner = owner
        # One change of keys after another: what was looked at is what is replaced. All writes are
        # in this process, and a change takes milliseconds.
        self._changing = asyncio.Lock()
