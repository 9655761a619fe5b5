"""Whose mail it is: from an address on the envelope to the accounts that get it.

Aliases and domains from the configuration, sub-addresses (`user+anything`), the role addresses of
RFC 2142. Case never matters.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from e2email_protocol.address import Address
from e2email_server.clock import Clock
from e2email_server.config import Config
from e2email_server.smtp.delivery import Refusal
from e2email_server.store.api import AccountStore
from e2email_server.store.errors import NotFound
from e2email_server.store.types import Account
from e2email_server.targets import NotTaken, Target, find_target

log = logging.getLogger("e2email.recipients")

Found = TypeVar("Found")
Find: TypeAlias = Callable[[str], Awaitable[Found | None]]
"""From an account's address to something of it."""

SUFFIX = "+"
ROLES = frozenset({"postmaster", "abuse"})  # RFC 5321 §4.5.1, RFC 2142 §4: always there
ALIAS_DEPTH = 10  # aliases of aliases; more is a circle
QUIET = frozenset({Refusal.UNKNOWN_USER, Refusal.NOT_HERE, Refusal.DISABLED})
"""Everyday refusals. The others are a fault that the operator should see."""


class Recipients:
    """Finds targets and remembers them while the store's epoch lasts.

    `config` may be exchanged while it runs (SIGHUP).
    """

    def __init__(self, store: AccountStore, config: Config, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.config = config
        self._known: dict[str, Target] = {}
        self._epoch = store.epoch  # of what is known

    async def resolve(self, address: Address) -> tuple[Target, ...]:
        """The accounts that get mail for `address`, each once. Raises NotTaken, store Failures.

        All or nothing: an alias one of whose members cannot have sealed mail is refused.
        """
        local, domain = address.key
        if not domain:
            domain = self._own_domain()
        if domain not in self.config.domains:
            raise NotTaken(Refusal.NOT_HERE)
        found = await self._named(f"{local}@{domain}", ALIAS_DEPTH, self._target)
        return tuple(dict.fromkeys(found))

    async def owner(self, address: str) -> Account | None:
        """The account that alone gets mail for `address`, its own or an alias; else None.

        What a key may be published under. Not for sub-addresses and roles; `address` is lower-case.
        A name that is an account's own and an alias of another belongs to nobody.
        """
        if address.rpartition("@")[2] not in self.config.domains:
            return None
        account = await self._account(address)
        if address not in self.config.aliases:
            return account
        try:
            found = set(await self._named(address, ALIAS_DEPTH, self._account))
        except NotTaken:
            return None
        return found.pop() if account is None and len(found) == 1 else None

    def _own_domain(self) -> str:
        """Of `<postmaster>`: the host's own, if mail for it is taken."""
        domains = self.config.domains
        return self.config.hostname if self.config.hostname in domains else min(domains, default="")

    async def _named(self, name: str, depth: int, find: Find[Found]) -> list[Found]:
        """What `find` has for the account or accounts that `name` leads to. Raises NotTaken."""
        local, _, domain = name.rpartition("@")
        bare = f"{local.partition(SUFFIX)[0]}@{domain}"
        for candidate in dict.fromkeys((name, bare)):
            members = self.config.aliases.get(candidate)
            if members is not None and depth:
                return [t for one in members for t in await self._named(one, depth - 1, find)]
            found = await find(candidate)
            if found is not None:
                return [found]
        if local.partition(SUFFIX)[0] in ROLES and depth:
            return await self._named(await self._postmaster(), 0, find)
        raise NotTaken(Refusal.UNKNOWN_USER)

    async def _postmaster(self) -> str:
        """The account behind the role addresses; an address of nobody where there is none."""
        if self.config.postmaster is not None:
            return self.config.postmaster
        accounts = await self._store.accounts()
        return accounts[0].address if accounts else "@"

    async def _account(self, address: str) -> Account | None:
        try:
            return await self._store.account(address)
        except NotFound:
            return None

    async def _target(self, address: str) -> Target | None:
        epoch = self._store.epoch
        if epoch != self._epoch:
            self._known.clear()
            self._epoch = epoch
        held = self._known.get(address)
        if held is not None and self._clock() < held.good_until:
            return held
        target = await self._find(address)
        if target is not None and self._store.epoch == epoch == self._epoch:
            self._known[address] = target
        return target

    async def _find(self, address: str) -> Target | None:
        try:
            return await find_target(self._store, address, self._clock)
        except NotFound:
            return None
        except NotTaken as reason:
            if reason.refusal not in QUIET:
                log.error("mail for %s cannot be sealed: %s", address, reason)
            raise
