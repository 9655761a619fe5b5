"""Who is there: `auth` for the account API, tokens for our client and for mail programs.

Whether an account exists cannot be told from here: an unknown one costs the same Argon2id, waits
the same, and gets the same answer.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from e2email_crypto import auth as auth_hash
from e2email_crypto import token as tokens
from e2email_protocol.account import APP, DEVICE
from e2email_server.clock import Clock
from e2email_server.store.api import Store
from e2email_server.store.errors import NotFound
from e2email_server.store.types import Account, Token
from e2email_server.throttle import Throttle

log = logging.getLogger(__name__)

# 64 MiB each: two are what a small machine can spare, and what two cores can do.
HASHES_AT_ONCE = 2
# Some ten seconds of work; who comes later is told to come again instead of queueing.
HASHES_WAITING = 100
SECONDS_A_DAY = 86_400

RECOVERY = "recovery"
RECOVERY_PREFIX = "e2r_"

Result = TypeVar("Result")


class LoginRefused(Exception):
    """Wrong address, secret or kind of secret, or a disabled account: never said which."""


class TryLater(Exception):
    """Too many failures, or too much to do. Nothing was checked."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"try again in {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has proved an account. `kind` is "auth", "recovery", "device" or "app"."""

    account: Account
    kind: str
    scopes: frozenset[str]
    token_id: int = 0


@cache
def _nobody() -> bytes:
    """What an unknown account's `auth` is checked against: as dear as any, and never right."""
    return auth_hash.hash_auth(secrets.token_bytes(auth_hash.AUTH_SIZE))


class Logins:
    """All checks of secrets in one place, slowed by one throttle."""

    def __init__(self, store: Store, token_key: bytes, throttle: Throttle, clock: Clock) -> None:
        self._store = store
        self._token_key = token_key
        self._throttle = throttle
        self._clock = clock
        self._pool = ThreadPoolExecutor(HASHES_AT_ONCE, "argon2")
        self._waiting = 0

    def __repr__(self) -> str:
        return "<Logins>"

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def token_hash(self, token: str) -> bytes:
        """What the store looks tokens and invites up by."""
        return tokens.token_hash(token, self._token_key)

    def recovery_hash(self, auth: bytes) -> bytes:
        """What is stored in place of a recovery secret's `auth`: 128 bits cannot be guessed."""
        return self.token_hash(RECOVERY_PREFIX + auth.hex())

    async def hash_auth(self, auth: bytes) -> str:
        """What is stored in place of `auth`. Raises TryLater."""
        return (await self._slowly(lambda: auth_hash.hash_auth(auth))).hex()

    async def by_auth(self, address: str, auth: bytes, peer: str) -> Identity:
        """The account whose `auth` this is. Raises LoginRefused, TryLater, store Failures."""
        address = address.lower()
        wait = self._throttle.enter(address, peer)
        if wait > 0.0:
            raise TryLater(wait)
        account = await self._find(address)
        nobody = await self._slowly(_nobody)
        stored = bytes.fromhex(account.auth_hash) if account else nobody
        right = await self._slowly(lambda: auth_hash.check_auth(auth, stored))
        if not right or account is None or not account.enabled:
            raise self._refused("auth", peer)
        self._throttle.succeeded(address, peer)
        return Identity(account, "auth", frozenset())

    async def by_device(self, token: str, peer: str) -> Identity:
        """The account of a device token, which names no address."""
        # a world-wide count for "no address" would let anyone slow everyone down
        self._look("device " + peer, peer)
        found = await self._token(token)
        account = None if found is None else await self._store.account_by_id(found.account_id)
        if found is None or account is None or found.kind != DEVICE or not account.enabled:
            self._throttle.failed("device " + peer, peer)
            raise self._refused("device token", peer)
        self._throttle.welcome("device " + peer, peer)
        await self._used(found)
        return Identity(account, found.kind, found.scopes, found.token_id)

    async def by_recovery(self, token: str, peer: str) -> Identity:
        """The account of a recovery secret, shown as a bearer that names no address."""
        self._look("recovery " + peer, peer)
        account = await self._recovered(token)
        if account is None or not account.enabled:
            self._throttle.failed("recovery " + peer, peer)
            raise self._refused("recovery secret", peer)
        self._throttle.welcome("recovery " + peer, peer)
        log.info("account %s opened by its recovery secret, peer %s", account.address, peer)
        return Identity(account, RECOVERY, frozenset())

    async def _recovered(self, token: str) -> Account | None:
        try:
            account_id = await self._store.find_recovery(self.token_hash(token))
            return await self._store.account_by_id(account_id)
        except NotFound:
            return None

    async def check_login(self, address: str, secret: str, peer: str) -> Identity:
        """A login over IMAP, POP3 or submission, by app password or device token.

        `auth` is not taken here, so a password stored in a mail program opens no vault.
        Raises LoginRefused, TryLater, store Failures. What the scopes allow is the caller's to see.
        """
        address = address.lower()
        self._look(address, peer)
        account = await self._find(address)
        found = await self._token(secret)
        fits = (
            found is not None
            and account is not None
            and found.account_id == account.account_id
            and found.kind in {APP, DEVICE}
        )
        if found is None or account is None or not fits or not account.enabled:
            self._throttle.failed(address, peer)
            raise self._refused("token", peer)
        self._throttle.welcome(address, peer)
        await self._used(found)
        return Identity(account, found.kind, found.scopes, found.token_id)

    async def still_valid(self, identity: Identity) -> bool:
        """Whether the token of an earlier login is still there, and its account enabled."""
        account_id = identity.account.account_id
        try:
            account = await self._store.account_by_id(account_id)
        except NotFound:
            return False
        found = await self._store.tokens(account_id)
        return account.enabled and identity.token_id in {token.token_id for token in found}

    def _look(self, account: str, peer: str) -> None:
        """Tokens cannot be guessed, so ten connections at once may all be checked at once."""
        wait = self._throttle.wait(account, peer)
        if wait > 0.0:
            raise TryLater(wait)

    def _refused(self, what: str, peer: str) -> LoginRefused:
        # no address: people type passwords into the field for the name
        log.info("login by %s refused, peer %s", what, peer)
        return LoginRefused("login refused")

    async def _find(self, address: str) -> Account | None:
        try:
            return await self._store.account(address)
        except NotFound:
            return None

    async def _token(self, token: str) -> Token | None:
        try:
            return await self._store.find_token(self.token_hash(token))
        except NotFound:
            return None

    async def _used(self, token: Token) -> None:
        """Note the day, once a day: a write for every login would cost more than it tells."""
        today = self._clock() // SECONDS_A_DAY
        if token.last_used_day != today:
            await self._store.token_used(token.token_id, today)

    async def _slowly(self, work: Callable[[], Result]) -> Result:
        """Run Argon2id off the loop, at most two at a time."""
        if self._waiting >= HASHES_WAITING:
            raise TryLater(10)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1
