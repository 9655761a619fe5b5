"""The keys of another account of this server, with the history that vouches for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from e2email_protocol.account import ADDRESS_CAP, STATEMENTS_PAGE, Directory
from e2email_server.api.reply import message
from e2email_server.api.request import number, owner_or_device
from e2email_server.api.resource import Resource
from e2email_server.logins import Logins, TryLater
from e2email_server.published import Published
from e2email_server.store.api import Store
from e2email_server.store.errors import NotFound

# An address book at once, then one a second: no list of a whole server's users in a night's walk.
LOOKUPS: Final = 300
SECONDS_EACH: Final = 1.0


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class Pace:
    """How many look-ups each account has left; as many entries as there are accounts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[int, _Allowance] = {}

    def take(self, account_id: int) -> None:
        """Raises TryLater."""
        now = self._clock()
        held = self._held.setdefault(account_id, _Allowance(LOOKUPS, now))
        held.left = min(LOOKUPS, held.left + (now - held.at) / SECONDS_EACH)
        held.at = now
        if held.left < 1.0:
            raise TryLater((1.0 - held.left) * SECONDS_EACH)
        held.left -= 1.0


class KeyDirectory:
    """Handlers."""

    def __init__(self, published: Published, store: Store, logins: Logins, pace: Pace) -> None:
        self._published, self._store = published, store
        self._logins, self._pace = logins, pace

    async def lookup(self, request: Request) -> Response:
        """`?from=N`: entries of the key history from N on, at most a page."""
        who = await owner_or_device(request, self._logins)
        first = number(request.query_params.get("from", "1"))
        self._pace.take(who.account.account_id)
        address = request.path_params["address"].lower()
        found = await self._published.find(address) if len(address) <= ADDRESS_CAP else None
        if found is None:
            raise NotFound("nobody to be found there")
        page = await self._store.statements(found.account.account_id, first, STATEMENTS_PAGE)
        return message(
            Directory(
                tuple(one.octets for one in page),
                tuple(await self._published.history(found, address, page)),
                tuple(one.fingerprint for one in found.statement.certificates),
            )
        )


def resources(directory: KeyDirectory) -> dict[str, Resource]:
    return {"/v1/directory/{address}": Resource(get=directory.lookup)}
