"""The store in memory: the twin that tests of other parts run on. Passes the same contract test.

Everything happens in the loop's thread without an await in between, so each method is a
transaction. What may fail is checked first.
"""

from e2email_server.store.memory_accounts import Accounts
from e2email_server.store.memory_mailboxes import Mailboxes


class MemoryStore(Accounts, Mailboxes):
    """See api.Store."""

    @property
    def epoch(self) -> int:
        return self._epoch

    def has_room(self) -> bool:
        return self._room()

    async def close(self) -> None:
        """Nothing to let go of."""
