"""The clock that is handed in, so that no part of the server reads time behind a test's back."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Whole seconds of Unix time."""


def now() -> int:
    """The clock of a running server."""
    return int(time.time())
