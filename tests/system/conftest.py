"""One running server and one account for all tests that change nothing of importance."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.system import Server, User, server


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, DEBUG log, an alias `sales@` of alice and bob."""
    folder = tmp_path_factory.mktemp("house")
    members = ["alice@example.test", "bob@example.test"]
    with server(folder / "server", {"sales@example.test": members}) as running:
        yield running


@pytest.fixture(scope="session")
def users(house: Server, tmp_path_factory: pytest.TempPathFactory) -> "Users":
    return Users(house, tmp_path_factory.mktemp("users"))


class Users:
    """Accounts made when they are first asked for."""

    def __init__(self, house: Server, folder: Path) -> None:
        self._house, self._folder = house, folder
        self._made: dict[str, User] = {}

    def __call__(self, name: str, policy: str = "sealed") -> User:
        if name not in self._made:
            from e2email_crypto.statement import Policy

            address = f"{name}@example.test"
            self._made[name] = self._house.user(address, self._folder / name, Policy(policy))
        return self._made[name]
