"""Fixtures: a running server for all tests that do it no harm, accounts as they ask for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2email_crypto.statement import Policy
from support.system import DOMAIN, Server, User, server


class Users:
    """Accounts, each made when it is first asked for."""

    def __init__(self, house: Server, folder: Path) -> None:
        self._house, self._folder = house, folder
        self._made: dict[str, User] = {}

    def __call__(self, name: str, policy: str = "sealed") -> User:
        if name not in self._made:
            home = self._folder / name
            self._made[name] = self._house.user(f"{name}@{DOMAIN}", home, Policy(policy))
        return self._made[name]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Running, DEBUG log, `sales@` an alias of anna and ben."""
    aliases = {f"sales@{DOMAIN}": [f"anna@{DOMAIN}", f"ben@{DOMAIN}"]}
    with server(tmp_path_factory.mktemp("house") / "server", aliases) as running:
        yield running


@pytest.fixture(scope="session")
def users(house: Server, tmp_path_factory: pytest.TempPathFactory) -> Users:
    return Users(house, tmp_path_factory.mktemp("users"))
