"""The key that signs what is made on this machine, and how the account comes to vouch for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from e2email_client.api import AccountApi, Login
from e2email_client.failure import Refused
from e2email_client.history import check_follows, fetch_statements
from e2email_client.judge import judged
from e2email_client.unlock import verify_history
from e2email_crypto import keyedit, statement
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.statement import DEVICES_MAX, Entry, Statement
from e2email_crypto.vault import Vault
from e2email_protocol import account as messages

# Each time another machine was faster. Nobody sets up more of them in the same second.
TRIES = 5
_OVERTAKEN = frozenset({"conflict", "statement-refused"})


def own_key(held: ArrivalKey | None, entries: Sequence[bytes]) -> ArrivalKey:
    """The one this machine holds, unless the account gave it up: such a key never comes back.

    Raises Refused (too-many) where the account has no room for one more.
    """
    newest = _newest(entries)
    if held is not None and held.public in newest.device_keys:
        return held
    _require_room(newest)
    if held is not None and not any(held.public in _newest([one]).device_keys for one in entries):
        return held  # made here, and its announcement got lost
    return ArrivalKey.generate()


def _newest(entries: Sequence[bytes]) -> Statement:
    return statement.decode(Entry.decode(entries[-1]).statement)


def _require_room(newest: Statement) -> None:
    if len(newest.device_keys) >= DEVICES_MAX:
        raise Refused(
            "too-many", f"{DEVICES_MAX} machines are set up for this account, and no more can be."
        )


def announce(
    api: AccountApi,
    login: Login,
    opened: Vault,
    entries: list[bytes],
    device: bytes,
    address: str,
    now: int,
) -> list[bytes]:
    """The history with this device's public key in its newest statement, published if need be.

    `entries` were verified. Raises Refused (too-many), Alarm, and what api.call does.
    """
    for _ in range(TRIES):
        newest = _newest(entries)
        if device in newest.device_keys:
            return entries
        _require_room(newest)
        entry = _next(entries[-1], newest, opened, device, now).encode()
        try:
            api.call(
                "POST", "/v1/statements", messages.Nothing, messages.NewStatement(entry), login
            )
            return [*entries, entry]
        except Refused as refused:
            found = fetch_statements(api, login)
            if refused.code not in _OVERTAKEN or len(found) <= len(entries):
                raise
            check_follows(found, len(entries), Entry.decode(entries[-1]).digest)
            verify_history(found, opened, address)
            entries = found
    raise Refused("conflict", "Other machines change this account all the time; try again.")


def _next(
    last: bytes, newest: Statement, opened: Vault, device: bytes, now: int
) -> statement.Entry:
    """The same account with one device more, signed by a key of the entry before."""
    following = replace(
        newest,
        sequence=newest.sequence + 1,
        previous=Entry.decode(last).digest,
        device_keys=(*newest.device_keys, device),
        time=now,
    )
    # verified: all keys of the newest statement are in the vault
    signer = next(one for one in opened.identities if one.fingerprint in newest.fingerprints)
    with judged("The account's own key"):
        return statement.sign_entry(
            following, signer.fingerprint, lambda data: keyedit.sign_detached(signer.tsk, data)
        )
