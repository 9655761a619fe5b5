"""How accounts stand, for the operator: what is public or counted, nothing secret."""

import datetime
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from e2email_crypto.cert import inspect_cert
from e2email_crypto.errors import BadKey, StatementInvalid
from e2email_crypto.statement import Authority, Entry, decode
from e2email_crypto.statement import Statement as Stated
from e2email_protocol.account import STATEMENTS_PAGE
from e2email_server.account_base import Owner
from e2email_server.account_boxes import VAULT
from e2email_server.clock import Clock
from e2email_server.store.api import Store
from e2email_server.store.errors import NotFound, RowTampered
from e2email_server.store.types import Account, Certificate, Recipient
from e2email_server.targets import NotTaken, find_target

log = logging.getLogger(__name__)


class Standing:
    """Reads; changes nothing."""

    def __init__(self, store: Store, owner: Owner, clock: Clock) -> None:
        self._store, self._owner, self._clock = store, owner, clock

    async def of(self, address: str) -> dict[str, Any]:
        """One account. Raises NotFound, RowTampered, and Failure of the store."""
        account = await self._store.account(address)
        number = account.account_id
        recipient = await self._store.recipient(address)
        stated = _stated(recipient)
        boxes = {box.name for box in await self._store.boxes(number)}
        tokens = Counter(token.kind for token in await self._store.tokens(number))
        return {
            "address": account.address,
            "policy": account.policy.value,
            "enabled": account.enabled,
            "created": date(account.created),
            "mail": await self._mail(address),
            "keys": [self._key(one) for one in recipient.certificates],
            "sequence": stated.sequence if stated else 0,
            "forced": await self._forced(number),
            "aliases": await self._aliases(account, stated),
            "custody": "cautious" if VAULT in boxes else "paranoid",
            "recovery": await self._store.has_recovery(number),
            "device_keys": len(stated.device_keys) if stated else 0,
            "device_tokens": tokens["device"],
            "app_passwords": tokens["app"],
        }

    async def _mail(self, address: str) -> str:
        try:
            await find_target(self._store, address, self._clock)
        except NotTaken as reason:
            return f"refused: {reason}"
        return "taken"

    def _key(self, certificate: Certificate) -> dict[str, Any]:
        try:
            info = inspect_cert(certificate.octets, self._clock())
        except BadKey:
            return {"fingerprint": certificate.fingerprint, "revoked": None, "expires": None}
        expires = None if info.expires is None else date(info.expires)
        return {
            "fingerprint": certificate.fingerprint,
            "revoked": info.revoked,
            "expires": expires,
        }

    async def _forced(self, account_id: int) -> list[int]:
        """Sequences of the entries that no key of the account vouches for."""
        found: list[int] = []
        first = 1
        while page := await self._store.statements(account_id, first, STATEMENTS_PAGE):
            found += [
                one.sequence
                for one in page
                if Entry.decode(one.octets).authority is Authority.FORCED
            ]
            first = page[-1].sequence + 1
        return found

    async def _aliases(self, account: Account, stated: Stated | None) -> dict[str, bool]:
        """Further addresses of the newest statement, and whether they still lead here alone."""
        found = {}
        for address in stated.addresses[1:] if stated else ():
            owner = await self._owner(address)
            found[address] = owner is not None and owner.account_id == account.account_id
        return found

    async def tell_misled(self) -> None:
        """Log each address of a statement that the settings do not lead to its account alone.

        No key is given out under it any more; mail for other addresses is not concerned.
        """
        for account in await self._store.accounts():
            try:
                stated = _stated(await self._store.recipient(account.address))
            except (NotFound, RowTampered, StatementInvalid):
                continue  # said for every mail that is refused
            for address in _misled(await self._aliases(account, stated)):
                log.warning("%s of the statement of %s leads elsewhere", address, account.address)


def lines(account: dict[str, Any]) -> list[str]:
    """What Standing.of gives, for people."""
    yes = {True: "yes", False: "no", None: "unknown"}
    keys = [
        f"key          {one['fingerprint']}  revoked: {yes[one['revoked']]}"
        f"  expires: {one['expires'] or 'never'}"
        for one in account["keys"]
    ]
    aliases = [
        f"alias        {address}" + ("" if leads_here else "  leads elsewhere now")
        for address, leads_here in account["aliases"].items()
    ]
    forced = ", ".join(map(str, account["forced"])) or "none"
    return [
        f"account      {account['address']}  since {account['created']}",
        f"mail         {account['mail']}  policy: {account['policy']}",
        *keys,
        *aliases,
        f"key history  {account['sequence']} entries, forced: {forced}",
        f"custody      {account['custody']}  recovery secret: {yes[account['recovery']]}",
        f"devices      {account['device_keys']} in the statement, "
        f"{account['device_tokens']} device tokens, {account['app_passwords']} app passwords",
    ]


def _misled(aliases: dict[str, bool]) -> Sequence[str]:
    return [address for address, leads_here in aliases.items() if not leads_here]


def _stated(recipient: Recipient) -> Stated | None:
    """Raises StatementInvalid."""
    if recipient.statement is None:
        return None
    return decode(Entry.decode(recipient.statement.octets).statement)


def date(time: int) -> str:
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%d")
