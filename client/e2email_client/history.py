"""The account's key history in a program that runs: verified, kept, and asked after.

Another machine may join the account, or be removed from it, at any time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from e2email_client import config
from e2email_client.api import AccountApi, Login
from e2email_client.aside import aside
from e2email_client.failure import Alarm, BadServer, ClientError, Offline
from e2email_client.judge import judged
from e2email_client.lock import held
from e2email_client.opener import Device
from e2email_client.paths import AccountPaths
from e2email_client.unlock import Unlocked, read_statements, verify_history, write_statements
from e2email_crypto import statement
from e2email_crypto.arrival import key_id
from e2email_crypto.statement import Entry, Statement
from e2email_protocol import account as messages

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 3600.0  # how soon a program that runs on learns what nothing points to
# Names of signers that the server knows nothing of. Beyond these nothing is asked any more: who
# stores forged records could else have a request made for each.
VAIN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class _Known:
    entries: tuple[bytes, ...]
    statements: tuple[Statement, ...]
    devices: Mapping[str, Device]


def _unsaid(_: str) -> None:
    return None


class History:
    """One account's statements, oldest first. Blocks where it asks the server; thread-safe."""

    def __init__(self, unlocked: Unlocked, alarmed: Callable[[str], None] = _unsaid) -> None:
        """`alarmed` is told, in a thread, what the user has to be told."""
        self._unlocked = unlocked
        self._alarmed = alarmed
        self._known = _read(read_statements(unlocked.paths))
        self._vain: set[str] = set()
        self._asking = threading.Lock()

    def __repr__(self) -> str:
        return f"History({self._unlocked.settings.address}, {len(self._known.entries)} entries)"

    def statements(self) -> Sequence[Statement]:
        """All that are known, the newest last."""
        return self._known.statements

    def device(self, signer: str) -> Device | None:
        """Who signs under this key id. Raises Offline where only the server could know.

        A machine that joined lately signs before others heard of it, so its name is looked up
        once before it is called unknown.
        """
        found = self._known.devices.get(signer)
        if found is not None or signer in self._vain or len(self._vain) >= VAIN_MAX:
            return found
        try:
            self.refresh()
        except Offline:
            raise
        except ClientError as fault:
            log.warning("the key history was not renewed: %s", fault)
        found = self._known.devices.get(signer)
        if found is None:
            self._vain.add(signer)
        return found

    def refresh(self) -> None:
        """Learn what the server has of the history since. Raises Offline, Alarm and others.

        What does not continue the known history, or seals to a foreign key, is an Alarm and is
        not taken over.
        """
        try:
            self._refresh()
        except Alarm as fault:
            self._alarmed(str(fault))
            raise

    def _refresh(self) -> None:
        with self._asking:
            known, unlocked = self._known.entries, self._unlocked
            api = AccountApi(unlocked.server)
            # the newest known one again: a server that went back in time does not have it
            page = fetch_statements(api, unlocked.login, len(known))
            check_follows(page, 1, Entry.decode(known[-1]).digest)
            if len(page) == 1:
                return
            entries = [*known, *page[1:]]
            newest, digest = verify_history(entries, unlocked.vault, unlocked.settings.address)
            keep(unlocked.paths, entries, newest, digest)
            self._known = _read(entries)
            self._vain.clear()

    async def follow(self) -> None:
        """Refresh now and then, until cancelled."""
        while True:
            try:
                # where the server hangs, stopping the program does not wait for it
                await aside(self.refresh)
            except Offline as fault:
                log.info("the key history was not renewed: %s", fault)
            except ClientError as fault:
                log.warning("the key history was not renewed: %s", fault)
            await asyncio.sleep(REFRESH_SECONDS)


def _read(entries: Sequence[bytes]) -> _Known:
    statements = tuple(statement.decode(Entry.decode(one).statement) for one in entries)
    return _Known(tuple(entries), statements, _devices(statements))


def _devices(statements: Sequence[Statement]) -> Mapping[str, Device]:
    """Every key that any statement names; one given up stands for what it signed before."""
    found: dict[str, Device] = {}
    for one, after in zip(statements, (*statements[1:], None), strict=True):
        for public in one.device_keys:
            gone = after is not None and public not in after.device_keys
            found[key_id(public)] = Device(public, after.time if after and gone else None)
    return found


def fetch_statements(api: AccountApi, login: Login, first: int = 1) -> list[bytes]:
    """The key history from sequence `first` on, page by page."""
    entries: list[bytes] = []
    while first + len(entries) <= statement.ENTRIES_MAX + 1:
        path = f"/v1/statements?from={first + len(entries)}"
        page = api.call("GET", path, messages.Statements, login=login).statements
        entries.extend(page)
        if len(page) < messages.STATEMENTS_PAGE:
            return entries
    raise BadServer("The server gives more of a key history than there can be.")


def check_follows(entries: Sequence[bytes], count: int, digest: bytes) -> None:
    """Alarm, unless the entry at `count` (the first is 1) is the one that was seen there."""
    if len(entries) < count:
        raise Alarm("The server gives an older key history than this device has seen.")
    with judged("The key history"):
        found = Entry.decode(entries[count - 1])
    if found.digest != digest:
        raise Alarm("The server gives another key history than this device has seen.")


def keep(paths: AccountPaths, entries: Sequence[bytes], newest: Statement, digest: bytes) -> None:
    """Write down a verified history, unless another program of this machine knows as much."""
    with held(paths.history_lock):
        known = config.load(paths)
        if known.statement_sequence >= newest.sequence:
            return
        write_statements(paths, entries)
        seen = replace(known, statement_sequence=newest.sequence, statement_digest=digest.hex())
        config.save(paths, seen)
