"""SIGKILL or a fault while the account key is replaced: all of it is the old or all the new one."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from e2email_server.store import credential_rows
from e2email_server.store.errors import StoreFailed
from e2email_server.store.types import Box, Kdf, Login, Rewrap
from support.killed import killed_once
from support.store_data import new_account, sql_store

NAMES = ("slot:passphrase", "slot:recovery", "state", "vault")

WRITER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
sys.path.insert(0, sys.argv[2] + "/server")
from support.store_data import sql_store
from test_store_kill_keys import change

async def main():
    store = await sql_store(Path(sys.argv[1]))
    first = (await store.box(1, "vault")).version
    for version in range(first + 1, 10**9):
        await store.rewrap(1, change(version))
        os.write(1, b"%d\\n" % version)

asyncio.run(main())
"""


def tag(version: int) -> bytes:
    return b"%016d" % version


def change(version: int) -> Rewrap:
    """Everything under the account key; some of it large, so that a commit takes a while."""
    repeated = {"vault": 20_000, "state": 80_000}
    boxes = tuple(Box(name, version, tag(version) * repeated.get(name, 10)) for name in NAMES)
    login = Login(tag(version).decode(), Kdf(3, 65536, tag(version)))
    return Rewrap(boxes, frozenset(), login, tag(version) * 2)


async def _check(folder: Path, least: int) -> int:
    """All is of one version, at least this one: which."""
    store = await sql_store(folder)
    boxes = {box.name: box for box in await store.boxes(1)}
    (version,) = {box.version for box in boxes.values()}
    assert version >= least
    assert boxes.keys() == set(NAMES)
    for box in boxes.values():
        assert box.octets == tag(version) * (len(box.octets) // len(tag(version)))
    account = await store.account_by_id(1)
    assert account.auth_hash.encode() == tag(version)
    assert await store.find_recovery(tag(version) * 2) == 1
    await store.close()
    return version


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.slow)])
async def test_the_account_key_is_replaced_whole_or_not(tmp_path: Path, kills: int) -> None:
    store = await sql_store(tmp_path)
    account = await store.register(replace(new_account(), boxes=()), None)
    assert account.account_id == 1
    await store.rewrap(1, change(1))
    await store.close()
    for kill in range(kills):
        said = await killed_once(WRITER, tmp_path, 0.05 + 0.013 * kill)
        await _check(tmp_path, int(said.split(b"\n")[-2]))


@pytest.mark.parametrize("calls", range(5))
async def test_what_fails_in_the_middle_leaves_the_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Four boxes and the recovery login: whichever it is that fails."""
    store = await sql_store(tmp_path)
    await store.register(replace(new_account(), boxes=()), None)
    await store.rewrap(1, change(1))
    left = itertools.count(calls, -1)

    def failing(statement: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            if next(left) <= 0:
                raise OperationalError("", {}, OSError("disk I/O error"))
            statement(*arguments)

        return call

    with monkeypatch.context() as patched:
        for name in ("put_box", "set_recovery"):
            patched.setattr(credential_rows, name, failing(getattr(credential_rows, name)))
        with pytest.raises(StoreFailed):
            await store.rewrap(1, change(2))
    await store.close()
    assert await _check(tmp_path, 1) == 1
