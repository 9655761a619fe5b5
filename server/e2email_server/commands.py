"""What the operator can ask, of a running server or of one that is not running."""

from collections.abc import Mapping
from typing import Any

from e2email_server.accounts import Accounts
from e2email_server.admin import AdminError, Answer, Command
from e2email_server.config_values import address
from e2email_server.standing import Standing, date
from e2email_server.store.api import AccountStore
from e2email_server.store.errors import AlreadyExists


def commands(accounts: Accounts, store: AccountStore, standing: Standing) -> dict[str, Command]:
    """By name, as the admin socket serves them."""

    async def invite(question: Mapping[str, Any]) -> Answer:
        replace = question.get("replace") is True
        try:
            return {"invite": await accounts.invite(_address(question), replace=replace)}
        except AlreadyExists as error:
            raise AdminError(f"{error}; --replace lets its owner begin anew") from None

    async def users(_question: Mapping[str, Any]) -> Answer:
        found = await store.accounts()
        return {
            "users": [
                {
                    "address": account.address,
                    "policy": account.policy.value,
                    "enabled": account.enabled,
                    "created": date(account.created),
                }
                for account in found
            ]
        }

    async def user(question: Mapping[str, Any]) -> Answer:
        return {"user": await standing.of(_address(question))}

    return {"invite": invite, "users": users, "user": user}


def _address(question: Mapping[str, Any]) -> str:
    try:
        return address(question.get("address"))
    except ValueError as error:
        raise AdminError(str(error)) from None
