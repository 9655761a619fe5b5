"""Who logs in: the address chooses the account, the password tells which program it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlcipher3 import dbapi2

from e2email_client.proxy.account import ProxyAccount

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """`number`: of the password."""

    account: ProxyAccount
    number: int


async def logged_in(
    accounts: Sequence[ProxyAccount], user: str, password: bytes, program: str = ""
) -> Login | None:
    """Programs log in with the full address and a password of the proxy, never the passphrase."""
    name = user.strip().lower()
    account = next((one for one in accounts if one.address == name), None)
    if not accounts:
        return None
    # where there is no such account another one is asked, so that it takes as long
    asked = account or accounts[0]
    number = await asyncio.to_thread(asked.passwords.fitting, password)
    if account is None or number is None:
        return None
    login = Login(account, number)
    await noted(login, program)
    return login


async def noted(login: Login, program: str) -> None:
    """That it was used, and by what. A full disk keeps nobody from reading."""
    try:
        await asyncio.to_thread(
            login.account.passwords.note, login.number, int(time.time()), program
        )
    except dbapi2.OperationalError as fault:
        log.warning("the use of a password is not noted: %s", fault)


def named(fields: Mapping[str, str]) -> str:
    """A program as it calls itself (RFC 2971)."""
    return " ".join(fields[key] for key in ("name", "version") if fields.get(key))
