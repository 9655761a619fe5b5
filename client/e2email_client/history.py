"""The account's key history in a program that runs: verified, kept, and asked after.

Another machine may join the account, be removed from it, or change its keys at any time; so may
another program of this machine, which is seen by its files.
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
from e2email_client.chain import (
    check_follows,
    check_forced,
    follow,
    listed_certificates,
    verify_history,
)
from e2email_client.failure import Alarm, BadServer, ClientError, Offline
from e2email_client.held_vault import HeldVault, opening_key_ids, replaced, subkey_ids
from e2email_client.judge import judged
from e2email_client.lock import held
from e2email_client.opener import Device
from e2email_client.paths import AccountPaths
from e2email_client.unlock import (
    Unlocked,
    read_statements,
    write_statements,
)
from e2email_crypto import statement
from e2email_crypto.arrival import key_id
from e2email_crypto.errors import StatementInvalid
from e2email_crypto.statement import Entry, Statement
from e2email_crypto.vault import Vault
from e2email_protocol import account as messages

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 3600.0  # how soon a program that runs on learns what nothing points to
# Names of signers and sets of key ids that the server knows nothing of. Beyond these nothing is
# asked any more: who stores forged records could else have a request made for each.
VAIN_MAX: Final = 100
LOOK_SECONDS: Final = 1.0  # how soon the keys of another program of this machine are used
BEHIND: Final = (
    "The keys of this account were changed on another machine, and this one does not have the new "
    "ones: run e2email account refresh. If it was not you who changed them, someone has your key."
)


@dataclass(frozen=True, slots=True)
class _Known:
    entries: tuple[bytes, ...]
    statements: tuple[Statement, ...]
    devices: Mapping[str, Device]


def _unsaid(_: str) -> None:
    return None


class History:
    """One account's statements, oldest first, and the vault that goes with them.

    Blocks where it asks the server; thread-safe.
    """

    def __init__(self, unlocked: Unlocked, alarmed: Callable[[str], None] = _unsaid) -> None:
        """`alarmed` is told, in a thread, what the user has to be told."""
        self._unlocked = unlocked
        self._alarmed = alarmed
        self._file = replaced(unlocked.paths.statements)
        self._known = _read(read_statements(unlocked.paths))
        self._held = HeldVault(unlocked)
        self._given: tuple[bytes, ...] = ()  # certificates from the server
        self._vain: set[str] = set()
        self._asking = threading.RLock()
        self._followers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"History({self._unlocked.settings.address}, {len(self._known.entries)} entries)"

    def on_change(self, act: Callable[[], None]) -> None:
        """`act` is called, in whatever thread, when there is another vault or statement."""
        self._followers.append(act)

    def statements(self) -> Sequence[Statement]:
        """All that are known, the newest last."""
        return self._known.statements

    def vault(self) -> Vault:
        """The newest that this machine has."""
        return self._held.now

    def certificates(self) -> Sequence[bytes]:
        """The account's own, in every form that is known: which of them count, the newest
        statement says."""
        vault = self._held.now
        own = (one.certificate for one in vault.identities)
        return (*own, *vault.recipients, *self._given)

    @property
    def behind(self) -> bool:
        """Whether mail is sealed to keys of the account that this machine does not have."""
        return is_behind(self._known.statements[-1], self._held.now)

    def device(self, signer: str) -> Device | None:
        """Who signs under this key id. Raises Offline where only the server could know.

        A machine that joined lately signs before others heard of it, so its name is looked up
        once before it is called unknown.
        """
        found = self._known.devices.get(signer)
        if found is None:
            self._ask_once(signer, lambda: signer in self._known.devices)
        return self._known.devices.get(signer)

    def unstated(self, named: frozenset[str]) -> None:
        """Mail was met that is sealed to these key ids, which no known statement names together:
        ask once before it is called foreign. Raises Offline."""

        def is_stated() -> bool:
            return any(one.key_ids == named for one in self._known.statements)

        if not is_stated():
            self._ask_once(" ".join(sorted(named)), is_stated)

    def _ask_once(self, name: str, answered: Callable[[], bool]) -> None:
        if name in self._vain or len(self._vain) >= VAIN_MAX:
            return
        self.look()
        if answered():
            return
        try:
            self.refresh()
        except Offline:
            raise
        except ClientError as fault:
            log.warning("the key history was not renewed: %s", fault)
        if not answered():
            self._vain.add(name)

    def look(self) -> None:
        """See what another program of this machine left: a new vault, a longer history."""
        with self._asking:
            other = self._held.look()
            if (file := replaced(self._unlocked.paths.statements)) != self._file:
                self._file = file
                other = self._reread() or other
            if other:
                self._tell()

    def _reread(self) -> bool:
        try:
            entries = read_statements(self._unlocked.paths)
            if len(entries) <= len(self._known.entries):
                return False
            known = self._known.entries
            check_follows(entries, len(known), Entry.decode(known[-1]).digest)
            self._verify(entries, ())
        except ClientError as fault:
            log.warning("the key history on this machine was not read: %s", fault)
            return False
        self._known = _read(entries)
        return True

    def refresh(self) -> None:
        """Learn what the server has of the history since. Raises Offline, Alarm and others.

        What does not continue the known history is an Alarm and is not taken over.
        """
        try:
            self._refresh()
        except Alarm as fault:
            self._alarmed(str(fault))
            raise

    def _refresh(self) -> None:
        with self._asking:
            self.look()
            known, unlocked = self._known.entries, self._unlocked
            api = AccountApi(unlocked.server)
            # the newest known one again: a server that went back in time does not have it
            page, given = fetch_history(api, unlocked.login, len(known))
            check_follows(page, 1, Entry.decode(known[-1]).digest)
            self._given = given
            if len(page) == 1:
                return
            entries = [*known, *page[1:]]
            newest, digest = self._verify(entries, given)
            if self._verifies_alone(entries):
                keep(unlocked.paths, entries, newest, digest)
                self._file = replaced(unlocked.paths.statements)
            self._known = _read(entries)
            self._vain.clear()
            self._tell()

    def _verify(self, entries: Sequence[bytes], given: Sequence[bytes]) -> tuple[Statement, bytes]:
        """The chain holds. Keys that are not in this vault were named by ones that are: they are
        the owner's, and this machine is behind."""
        vault, address = self._held.now, self._unlocked.settings.address
        own = tuple(listed_certificates(vault).values())
        check_forced(entries, vault)
        with judged("The key history"):
            # Of a fingerprint the last one counts. Our own is without the revocation that would
            # take the word of a key back; the server's has the expiry that another machine moved.
            try:
                known = (*given, *own)
                newest = follow(entries, known, vault, address)
            except StatementInvalid:
                known = (*own, *given)
                newest = follow(entries, known, vault, address)
        return newest, Entry.decode(entries[-1]).digest

    def _verifies_alone(self, entries: Sequence[bytes]) -> bool:
        """Whether the next program can verify them by what is in the vault alone."""
        try:
            verify_history(entries, self._held.now, self._unlocked.settings.address)
        except Alarm:
            return False
        return True

    def _tell(self) -> None:
        if self.behind:
            log.warning("%s", BEHIND)
        for act in self._followers:
            act()

    async def follow(self) -> None:
        """Refresh now and then, look at this machine's files often, until cancelled."""
        await asyncio.gather(self._follow_server(), self._follow_files())

    async def _follow_server(self) -> None:
        while True:
            try:
                # where the server hangs, stopping the program does not wait for it
                await aside(self.refresh)
            except Offline as fault:
                log.info("the key history was not renewed: %s", fault)
            except ClientError as fault:
                log.warning("the key history was not renewed: %s", fault)
            await asyncio.sleep(REFRESH_SECONDS)

    async def _follow_files(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)


def is_behind(newest: Statement, vault: Vault) -> bool:
    """Whether mail is sealed to keys that are neither in this vault nor known to it as those of
    another device."""
    others = frozenset(one for each in vault.recipients for one in subkey_ids(each))
    return not newest.key_ids <= opening_key_ids(vault.identities) | others


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
    """The key history from sequence `first` on."""
    return fetch_history(api, login, first)[0]


def fetch_history(
    api: AccountApi, login: Login, first: int
) -> tuple[list[bytes], tuple[bytes, ...]]:
    """Entries from sequence `first` on, page by page, and certificates: of those who signed them,
    and those in use."""
    entries: list[bytes] = []
    given: dict[bytes, None] = {}
    while first + len(entries) <= statement.ENTRIES_MAX + 1:
        path = f"/v1/statements?from={first + len(entries)}"
        page = api.call("GET", path, messages.Statements, login=login)
        entries.extend(page.statements)
        given |= dict.fromkeys(page.certificates)
        if len(page.statements) < messages.STATEMENTS_PAGE:
            return entries, tuple(given)
    raise BadServer("The server gives more of a key history than there can be.")


def keep(paths: AccountPaths, entries: Sequence[bytes], newest: Statement, digest: bytes) -> None:
    """Write down a verified history, unless another program of this machine knows as much."""
    with held(paths.history_lock):
        known = config.load(paths)
        if known.statement_sequence >= newest.sequence:
            return
        write_statements(paths, entries)
        seen = replace(known, statement_sequence=newest.sequence, statement_digest=digest.hex())
        config.save(paths, seen)
