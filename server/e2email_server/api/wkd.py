"""The OpenPGP Web Key Directory: keys by mail address, for whoever asks.

draft-koch-openpgp-webkey-service, section 3.1, both methods. Whether an address has an account can
be told from here, as from RCPT.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from e2email_protocol.account import ADDRESS_CAP
from e2email_server.api.resource import Resource
from e2email_server.config import Config
from e2email_server.published import Published
from e2email_server.store.api import AccountStore
from e2email_server.store.errors import RowTampered

log = logging.getLogger(__name__)

# A key that was changed should be seen soon, and a list of recipients should cost one request each.
SECONDS: Final = 300
HEADERS: Final = {
    "Cache-Control": f"public, max-age={SECONDS}",
    "Access-Control-Allow-Origin": "*",
    "X-Content-Type-Options": "nosniff",
}
BASE: Final = "/.well-known/openpgpkey"
_ALPHABET: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"
_HASH_LENGTH: Final = 32


def wkd_hash(local: str) -> str:
    """z-base-32 (RFC 6189, section 5.1.6) of SHA-1 of the local part, its ASCII in lower case."""
    lowered = "".join(c.lower() if c.isascii() else c for c in local)
    number = int.from_bytes(hashlib.sha1(lowered.encode(), usedforsecurity=False).digest())
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(155, -1, -5))


class WebKeys:
    """Handlers. The `config` with domains and aliases is asked for anew: SIGHUP changes it."""

    def __init__(
        self, published: Published, store: AccountStore, config: Callable[[], Config]
    ) -> None:
        self._published, self._store, self._config = published, store, config
        self._names: dict[tuple[str, str], str] = {}
        self._names_of: tuple[int, Config] | None = None

    async def key(self, request: Request) -> Response:
        domain, wanted = _domain(request), request.path_params["hash"]
        if domain not in self._config().domains or len(wanted) != _HASH_LENGTH:
            return _nothing()
        address = await self._address(domain, wanted, request.query_params.get("l"))
        found = None if address is None else await self._published.find(address)
        keys = b""
        if address is not None and found is not None:
            keys = b"".join(await self._published.certificates(found, address))
        if not keys:
            return _nothing()
        return Response(keys, headers=dict(HEADERS), media_type="application/octet-stream")

    async def policy(self, request: Request) -> Response:
        """Must be there; we have no flags to set."""
        if _domain(request) not in self._config().domains:
            return _nothing()
        return Response(b"", headers=dict(HEADERS), media_type="text/plain")

    async def _address(self, domain: str, wanted: str, local: str | None) -> str | None:
        """Whose hash it is. Nearly everybody says so; for the others all names are hashed once."""
        if local is not None:
            fits = wkd_hash(local) == wanted and len(local) < ADDRESS_CAP
            return f"{local.lower()}@{domain}" if fits else None
        epoch, config = self._store.epoch, self._config()
        if self._names_of is None or epoch != self._names_of[0] or config is not self._names_of[1]:
            try:
                self._names = await self._hashed(config)
            except RowTampered as fault:
                log.error("the web key directory cannot list its addresses: %s", fault)
                return None
            self._names_of = epoch, config
        return self._names.get((domain, wanted))

    async def _hashed(self, config: Config) -> dict[tuple[str, str], str]:
        accounts = [one.address for one in await self._store.accounts()]
        names: dict[tuple[str, str], str] = {}
        for address in (*config.aliases, *accounts):
            local, _, domain = address.rpartition("@")
            names[domain, wkd_hash(local)] = address
        return names


def resources(keys: WebKeys) -> dict[str, Resource]:
    return {
        f"{BASE}/policy": Resource(get=keys.policy),
        f"{BASE}/hu/{{hash}}": Resource(get=keys.key),
        f"{BASE}/{{domain}}/policy": Resource(get=keys.policy),
        f"{BASE}/{{domain}}/hu/{{hash}}": Resource(get=keys.key),
    }


def _domain(request: Request) -> str:
    """Of the advanced method the path says it, of the direct one the name that was dialled."""
    named: str | None = request.path_params.get("domain")
    return (named or request.url.hostname or "").lower().rstrip(".")


def _nothing() -> Response:
    """The same for every address that has no key here, whatever the cause."""
    return Response(b"", 404, dict(HEADERS), media_type="text/plain")
