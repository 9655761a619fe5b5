"""Noting in the account's shared state that something was done."""

from __future__ import annotations

from contextlib import suppress

from e2email_client import care
from e2email_client.api import AccountApi
from e2email_client.failure import BadServer, Offline, Refused
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_client.unlock import Unlocked


def record(unlocked: Unlocked, kind: care.Kind, now: int) -> None:
    """Durable here; other devices hear of it now, or with the next sync."""
    with open_stores(unlocked) as stores:
        state = SharedState(unlocked, stores.state)
        care.record(state, kind, unlocked.vault, now)
        with suppress(Offline, Refused, BadServer):
            state.sync(AccountApi(unlocked.server), unlocked.login)
