"""A machine with an account for tests of the client's commands."""

import asyncio
import shutil
from pathlib import Path

import pytest

from e2email_crypto.arrival import ArrivalKey
from support.machine import Machine, make_account


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ArrivalKey]:
    """A home with one account, made once: Argon2 takes its time."""
    home = tmp_path_factory.mktemp("account") / "home"
    return home, asyncio.run(make_account(home))


@pytest.fixture
def machine(
    account: tuple[Path, ArrivalKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Machine:
    home = tmp_path / "home"
    shutil.copytree(account[0], home)
    made = Machine(home, account[1])
    made.patch(monkeypatch)
    return made
