"""Machines of one owner at an account server: set up, opened, and with a change begun."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from e2email_client import changing
from e2email_client.account import Wish, create
from e2email_client.api import AccountApi
from e2email_client.changing import Change
from e2email_client.joining import join
from e2email_client.owner import Passphrase
from e2email_client.passphrase import Source
from e2email_client.paths import AccountPaths, Home
from e2email_client.unlock import Unlocked, unlock
from e2email_crypto import kdf
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.statement import Policy
from support.account_server import ALICE, PARAMS, PASSPHRASE, Running

NOW = 1_750_000_000
Given = TypeVar("Given")


class Machine:
    """One of alice's, by its home."""

    def __init__(self, running: Running, home: Path, keyring: Any = None) -> None:
        self.running = running
        self.home = home
        self.passphrase = PASSPHRASE
        self.keyring = keyring

    @property
    def wish(self) -> Wish:
        # accounts here are made with the floor's parameters
        least = kdf.M_KIB_MIN
        name, server = self.home.name, self.running.server
        return Wish(Home(self.home), ALICE, server, name, self.passphrase, self.keyring, least)

    @property
    def paths(self) -> AccountPaths:
        return Home(self.home).account(ALICE)

    async def create(self) -> "Machine":
        invite = await self.running.accounts.invite(ALICE)
        args = self.wish, invite, "Alice", Policy.SEALED, NOW, PARAMS
        await asyncio.to_thread(create, *args)
        return self

    async def join(self, now: int = NOW + 10) -> "Machine":
        await asyncio.to_thread(join, self.wish, now)
        return self

    async def change(self, work: Callable[[Change], Given]) -> Given:
        """What `work` makes of a change that was begun with the passphrase."""

        def run() -> Given:
            secret = Passphrase(self.passphrase, kdf.M_KIB_MIN)
            with changing.begin(self.paths, secret, self.keyring) as change:
                return work(change)

        return await asyncio.to_thread(run)

    @property
    def unlocked(self) -> Unlocked:
        secret = self.home.parent / f"{self.home.name}.passphrase"
        secret.write_text(self.passphrase + "\n")
        return unlock(self.paths, Source(file=secret), None)

    @property
    def nobody(self) -> Source:
        """A person is asked, and there is none."""
        return Source()

    @property
    def key(self) -> ArrivalKey:
        found = self.unlocked.device_key
        assert found is not None
        return found


class Crash(BaseException):
    """The power failed."""


class Steps:
    """What a change does to server and disk, in order; at one of them it ends.

    Requests that change something, and every rename: of a file that was written whole, or of a
    folder of staged ones. Nothing is done from the one at `end` on, cleaning up included.
    """

    def __init__(self, monkeypatch: Any, end: int) -> None:
        self.count = 0
        self._end = end
        real = AccountApi.call

        def call(api: AccountApi, method: str, *rest: Any, **named: Any) -> Any:
            if method == "GET" or rest[0] == "/v1/login-parameters":
                return real(api, method, *rest, **named)
            return self._step(lambda: real(api, method, *rest, **named))

        monkeypatch.setattr(AccountApi, "call", call)
        for name in ("rename", "replace"):
            monkeypatch.setattr(Path, name, self._stepped(getattr(Path, name)))

    def _stepped(self, move: Any) -> Any:
        return lambda path, target: self._step(lambda: move(path, target))

    def _step(self, act: Callable[[], Given]) -> Given:
        self.count += 1
        if self.count > self._end:
            raise Crash
        return act()
