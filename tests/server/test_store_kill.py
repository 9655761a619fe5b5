"""SIGKILL under load: what was acknowledged is there, once, whole.

A kill proves nothing about fsync (the page cache survives it); test_blobs and test_store_faults do.
"""

import random
from pathlib import Path

import pytest

from support.killed import killed_once
from support.store_data import sql_store

WRITER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from e2email_server.store.errors import NotFound
from support.store_data import message, new_account, sql_store

async def main():
    store = await sql_store(Path(sys.argv[1]))
    try:
        alice = await store.account("alice@example.test")
    except NotFound:
        alice = await store.register(new_account(), None)

    async def deliver(worker):
        for number in range(10**9):
            name = f"{os.getpid()}-{worker}-{number}-".encode()
            body = name * (20000 if number % 8 == 0 else 10)
            uid = (await store.deliver([message(alice.inbox, body)]))[0].uid
            os.write(1, b"%d %s\\n" % (uid, name))

    await asyncio.gather(*(deliver(worker) for worker in range(10)))

asyncio.run(main())
"""


def _told(said: bytes) -> dict[int, bytes]:
    """What a writer acknowledged before it was killed: UID and what its body repeats."""
    lines = said.split(b"\n")[:-1]
    return {int(uid): name for uid, name in (line.split(b" ") for line in lines)}


async def _check(folder: Path, told: dict[int, bytes], above: int) -> int:
    """All that was acknowledged is there, bodies of UIDs `above` this one whole; the last UID."""
    store = await sql_store(folder)
    alice = await store.account("alice@example.test")
    entries = (await store.entries(alice.inbox)).entries
    assert told.keys() <= {entry.uid for entry in entries}
    assert len({entry.uid for entry in entries}) == len(entries)
    for entry in entries:
        if entry.uid <= above:
            continue
        body = await store.body(alice.inbox, entry.uid, 0, 10**7)
        assert len(body) + 100 == entry.size
        if name := told.get(entry.uid):
            assert body == name * (len(body) // len(name))
    files = {path.name for path in (folder / "blobs").iterdir()}
    large = [entry for entry in entries if entry.size > 256 * 1024 + 100]
    assert len(files) == len(large)
    await store.close()
    return max((entry.uid for entry in entries), default=0)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
async def test_nothing_acknowledged_is_lost(tmp_path: Path, kills: int) -> None:
    told: dict[int, bytes] = {}
    dice = random.Random(kills)
    checked = 0
    for _ in range(kills):
        told |= _told(await killed_once(WRITER, tmp_path, dice.uniform(0.0, 0.3)))
        checked = await _check(tmp_path, told, checked)
    await _check(tmp_path, told, 0)
    assert len(told) >= kills
