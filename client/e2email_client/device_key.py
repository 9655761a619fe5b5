"""The key that signs what is made on this machine, and how the account comes to vouch for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from e2email_client.failure import Refused
from e2email_client.next_entry import Edit, newest
from e2email_crypto import statement
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.statement import DEVICES_MAX, Entry, Statement


def own_key(held: ArrivalKey | None, entries: Sequence[bytes]) -> ArrivalKey:
    """The one this machine holds, unless the account gave it up: such a key never comes back.

    Raises Refused (too-many) where the account has no room for one more.
    """
    last = newest(entries)
    if held is not None and held.public in last.device_keys:
        return held
    _require_room(last)
    if held is not None and not any(_names(one, held.public) for one in entries):
        return held  # made here, and its announcement got lost
    return ArrivalKey.generate()


def _names(entry: bytes, device: bytes) -> bool:
    return device in statement.decode(Entry.decode(entry).statement).device_keys


def _require_room(last: Statement) -> None:
    if len(last.device_keys) >= DEVICES_MAX:
        raise Refused(
            "too-many", f"{DEVICES_MAX} machines are set up for this account, and no more can be."
        )


def with_device(device: bytes) -> Edit:
    """The statement that names this machine, too."""

    def edit(last: Statement) -> Statement:
        if device in last.device_keys:
            return last
        _require_room(last)
        return replace(last, device_keys=(*last.device_keys, device))

    return edit
