"""Other people's keys for tests, made once a run."""

import time
from functools import cache

from e2email_crypto.keyedit import Identity, new_identity

BOB = "bob@example.net"


def foreign(address: str = BOB, number: int = 1) -> Identity:
    """Somebody's `number`th key."""
    return _made(address, number)


@cache
def _made(address: str, number: int) -> Identity:
    return new_identity(address, f"Key {number}", int(time.time()) - 60)
