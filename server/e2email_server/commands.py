"""What the operator can ask, of a running server or of one that is not running."""

import datetime
from collections.abc import Mapping
from typing import Any

from e2email_server.accounts import Accounts
from e2email_server.admin import AdminError, Answer, Command
from e2email_server.config_values import address
from e2email_server.store.api import AccountStore


def commands(accounts: Accounts, store: AccountStore) -> dict[str, Command]:
    """By name, as the admin socket serves them."""

    async def invite(question: Mapping[str, Any]) -> Answer:
        try:
            wanted = address(question.get("address"))
        except ValueError as error:
            raise AdminError(str(error)) from None
        return {"invite": await accounts.invite(wanted)}

    async def users(_question: Mapping[str, Any]) -> Answer:
        found = await store.accounts()
        return {
            "users": [
                {
                    "address": account.address,
                    "policy": account.policy.value,
                    "enabled": account.enabled,
                    "created": _date(account.created),
                }
                for account in found
            ]
        }

    return {"invite": invite, "users": users}


def _date(time: int) -> str:
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%d")
