"""The machines of an account: which there are, and giving one up.

The server knows logins by name, the key history knows signing keys and no names. What belongs
together is noted in the account's shared state, which only the owner's machines can read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from e2email_client.account import Done
from e2email_client.api import AccountApi, Login
from e2email_client.changing import Change, publish
from e2email_client.failure import NotThere, Refused
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_crypto.arrival import key_id
from e2email_crypto.statement import Statement
from e2email_protocol import account as messages

DEVICES: Final = "devices"
NAME_MAX: Final = messages.NAME_CAP


@dataclass(frozen=True, slots=True)
class Device:
    """One machine. `key`: key id of what it signs with, None where it was never noted; `token_id`:
    of its login, None where that is gone; `since`: seconds, `used` (the login): days since 1970."""

    name: str
    key: str | None
    token_id: str | None
    since: int | None
    used: int | None  # None: never, or the login is gone
    this: bool


def note(state: SharedState, public: bytes, name: str, token_id: str, now: int) -> None:
    """What a machine is called, whose login and key were just made."""
    state.put(DEVICES, key_id(public), {"name": name, "since": now, "token": token_id}, now)


def introduce(done: Done, now: int) -> None:
    """Note the machine that was just set up, for `device list` on all; the next sync tells them."""
    unlocked = done.unlocked
    if done.token_id is None or unlocked.device_key is None:
        return
    with open_stores(unlocked) as stores:
        state = SharedState(unlocked, stores.state)
        note(state, unlocked.device_key.public, done.device, done.token_id, now)


def every(
    tokens: Sequence[messages.TokenInfo], last: Statement, noted: dict[str, Any], own: str | None
) -> list[Device]:
    """Each login and each signing key once; what belongs together in one."""
    logins = {one.id: one for one in tokens if one.kind == messages.DEVICE}
    found = []
    for public in last.device_keys:
        key = key_id(public)
        name, token, since = _noted(noted.get(key))
        login = logins.pop(token, None) if token else None
        name = login.name if login else name or "(a machine without a login)"
        found.append(
            _with_login(login, name, key, key == own)
            if login
            else Device(name, key, None, since, None, key == own)
        )
    found += [_with_login(one, one.name, None, False) for one in logins.values()]
    return found


def _with_login(login: messages.TokenInfo, name: str, key: str | None, this: bool) -> Device:
    return Device(name, key, login.id, login.created, login.used or None, this)


def _noted(value: Any) -> tuple[str | None, str | None, int | None]:
    """From another device, perhaps of another version."""
    if not isinstance(value, dict):
        return None, None, None
    name, token, since = (value.get(one) for one in ("name", "token", "since"))
    return (
        name if isinstance(name, str) else None,
        token if isinstance(token, str) else None,
        since if type(since) is int else None,
    )


def fetch_tokens(api: AccountApi, login: Login) -> Sequence[messages.TokenInfo]:
    return api.call("GET", "/v1/tokens", messages.Tokens, login=login).tokens


def choose(devices: Sequence[Device], wanted: str) -> list[Device]:
    """Those meant by a name or a key id. NotThere; Refused where a name is not of one alone."""
    by_key = [one for one in devices if one.key is not None and one.key == wanted.lower()]
    if by_key:
        return by_key
    found = [one for one in devices if one.name == wanted]
    if not found:
        raise NotThere(f"There is no machine called {wanted}; see e2email device list.")
    whole = [one for one in found if one.key]
    if len(whole) > 1:
        known = ", ".join(str(one.key) for one in whole)
        raise Refused(
            "ambiguous",
            f"Several machines are called {wanted}: give the key that e2email device list shows "
            f"in place of the name ({known}).",
        )
    return found


def give_up(change: Change, gone: Sequence[Device], now: int) -> Change:
    """Login first: from then on it stores and fetches nothing. Then the account stops vouching for
    what its key signs from now on."""
    for one in gone:
        if one.token_id is not None:
            path = f"/v1/tokens/{one.token_id}"
            change.api.call("DELETE", path, messages.Nothing, login=change.login)
    keys = {one.key for one in gone}

    def edit(before: Statement) -> Statement:
        left = tuple(one for one in before.device_keys if key_id(one) not in keys)
        return replace(before, device_keys=left)

    return publish(change, None, edit, now)
