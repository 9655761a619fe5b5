"""SIGKILL between changes: several appended together, a replacement, a move are done or not done.

And what a client of QRESYNC was told before is enough to be told the rest after.
"""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.killed import killed_once
from support.store_data import sql_store

WRITER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from e2email_server.store.errors import NotFound
from e2email_server.store.types import FlagOp
from support.store_data import message, new_account, record, sql_store

def mail(mailbox, tag, part, large):
    body = tag + part + b"-" + b"x" * (300_000 if large else 10)
    return message(mailbox, body, record=record(body, os.urandom(16)))

async def change(store, inbox, archive, worker):
    for number in range(10**9):
        tag = b"%d.%d.%d-" % (os.getpid(), worker, number)
        large = number % 4 == 0
        parts = [mail(inbox, tag, b"%d" % part, large) for part in range(5)]
        uids = [placed.uid for placed in await store.append(parts)]
        await store.replace(inbox, uids[0], mail(inbox, tag, b"new", large))
        os.write(1, b"gone %d\\n" % uids[0])
        await store.store_flags(inbox, [uids[1]], FlagOp.ADD, frozenset(["\\\\Deleted"]))
        await store.expunge(inbox, [uids[1]])
        modseq = (await store.mailbox(inbox)).highest_modseq
        os.write(1, b"gone %d\\nmodseq %d\\n" % (uids[1], modseq))
        await store.move(inbox, uids[2:4], archive)
        os.write(1, b"gone %d\\ngone %d\\n" % (uids[2], uids[3]))

async def main():
    store = await sql_store(Path(sys.argv[1]))
    try:
        alice = await store.account("alice@example.test")
    except NotFound:
        alice = await store.register(new_account(), None)
    boxes = {box.name: box.mailbox_id for box in await store.mailboxes(alice.account_id)}
    await asyncio.gather(*(change(store, alice.inbox, boxes["Archive"], n) for n in range(4)))

asyncio.run(main())
"""


@dataclass
class Told:
    """What writers said before they were killed."""

    gone: set[int] = field(default_factory=set)
    modseq: int = 0

    def hear(self, said: bytes) -> None:
        for line in said.split(b"\n")[:-1]:
            kind, number = line.split()
            if kind == b"gone":
                self.gone.add(int(number))
            else:
                self.modseq = max(self.modseq, int(number))


async def _check(folder: Path, told: Told) -> None:
    store = await sql_store(folder)
    alice = await store.account("alice@example.test")
    boxes = {box.name: box.mailbox_id for box in await store.mailboxes(alice.account_id)}
    changes = await store.changes(alice.inbox, 0)
    here = {entry.uid for entry in changes.entries}
    assert changes.mailbox.highest_modseq >= told.modseq
    assert told.gone <= set(changes.vanished)
    # every uid that was ever given is here or told as gone, whoever was killed when
    assert sorted([*here, *changes.vanished]) == list(range(1, changes.mailbox.uidnext))
    later = await store.changes(alice.inbox, told.modseq)
    assert set(later.vanished) <= set(changes.vanished)
    parts = defaultdict(list)
    for name in ("INBOX", "Archive"):
        for entry in (await store.entries(boxes[name])).entries:
            tag, part, _ = (await store.body(boxes[name], entry.uid, 0, 60)).split(b"-", 2)
            parts[tag].append((part, name))
    for found in parts.values():
        names = [part for part, _ in found]
        assert len(names) == len(set(names))
        assert {b"2", b"3", b"4"} <= set(names), "all were appended or none"
        assert (b"0" in names) != (b"new" in names), "replaced or not"
        assert len({name for part, name in found if part in (b"2", b"3")}) == 1, "moved or not"
    await store.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.slow)])
async def test_changes_are_done_or_not_done(tmp_path: Path, kills: int) -> None:
    told = Told()
    dice = random.Random(kills)
    for _ in range(kills):
        told.hear(await killed_once(WRITER, tmp_path, dice.uniform(0.0, 0.4)))
        await _check(tmp_path, told)
    assert len(told.gone) >= kills
