"""Other people's keys for tests, made once a run."""

import time
from functools import cache

from e2email_crypto.keyedit import Identity, new_identity

BOB = "bob@example.net"
# of when tests are collected, as their own NOW is: not from the future for any of them
BORN = int(time.time()) - 60


def foreign(address: str = BOB, number: int = 1) -> Identity:
    """Somebody's `number`th key."""
    return _made(address, number)


@cache
def _made(address: str, number: int) -> Identity:
    return new_identity(address, f"Key {number}", BORN)
