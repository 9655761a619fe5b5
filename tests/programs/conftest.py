"""An account with a dozen letters behind a running proxy, for each program anew.

With E2EMAIL_CONTROL=dovecot it is a Dovecot instead: what programs pass there they must pass here.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.control import dovecot
from support.houses import Users, house, users
from support.programs import Desk, letter
from support.system import Server, count, eventually

__all__ = ["house", "users"]

LETTERS = 12
_names = itertools.count()


@pytest.fixture
def desk_with(
    house: Server, users: Users, tmp_path: Path
) -> Iterator[Callable[[list[bytes]], Desk]]:
    """A desk whose inbox holds these mails."""
    with ExitStack() as stack:

        def made(mails: list[bytes]) -> Desk:
            user = users(f"desk{next(_names)}")
            with house.smtp() as client:
                for octets in mails:
                    assert client.send(octets, [user.address])[-1].startswith("250")
            proxy = stack.enter_context(user.proxy())
            with proxy.imap() as client:
                assert eventually(lambda: count(client) == len(mails))
            home = tmp_path / "home"
            home.mkdir()
            return Desk(proxy, home)

        def controlled(mails: list[bytes]) -> Desk:
            home = tmp_path / "home"
            home.mkdir()
            return Desk(stack.enter_context(dovecot(mails)), home)

        yield controlled if os.environ.get("E2EMAIL_CONTROL") == "dovecot" else made


@pytest.fixture
def desk(desk_with: Callable[[list[bytes]], Desk]) -> Desk:
    return desk_with([letter(n) for n in range(LETTERS)])
