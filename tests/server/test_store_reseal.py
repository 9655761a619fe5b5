"""A record sealed anew, on SQLite and in memory; and killed in the middle of it."""

import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_protocol.sealed.record import Form, Record
from e2email_protocol.sealed.reseal import digest
from e2email_server.store.api import Store
from e2email_server.store.errors import Conflict, DiskFull, NotFound, RecordTaken
from e2email_server.store.memory import MemoryStore
from e2email_server.store.types import Account, Resealed
from support.killed import killed_once
from support.store_data import TestClock, append_one, message, new_account, record, sql_store

LARGE = 300_000  # octets: a file of its own


@pytest.fixture(params=["sql", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else await sql_store(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def alice(store: Store) -> Account:
    return await store.register(new_account(), None)


def sealed_anew(was: Record, body: bytes | None = b"new body", **changes: object) -> Resealed:
    crc = was.crc if body is None else 99
    made = Resealed(was.record_id, digest(was.envelope), b"new envelope", body, crc, 5000, 400)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [4, LARGE])
@pytest.mark.parametrize("after", [9, LARGE + 9])
async def test_both_messages_are_exchanged_and_nothing_else(
    store: Store, alice: Account, size: int, after: int
) -> None:
    old = record(b"o" * size)
    flags = frozenset({"a"})
    await store.deliver([message(alice.inbox), message(alice.inbox, record=old, flags=flags)])
    (before,) = await store.messages(alice.inbox, [2])
    await store.reseal(alice.account_id, sealed_anew(old, b"n" * after))
    (now,) = await store.messages(alice.inbox, [2])
    assert now.entry == replace(
        before.entry, modseq=before.entry.modseq + 1, size=5000, header_size=400
    )
    assert now.head == replace(before.head, envelope=b"new envelope", crc=99, body_size=after)
    assert now.serial != before.serial
    assert await store.body(alice.inbox, 2, 0, 1 << 20, now.serial) == b"n" * after
    # who was reading the old body does not go on in the new one
    with pytest.raises(NotFound):
        await store.body(alice.inbox, 2, 0, 4, before.serial)
    changes = await store.changes(alice.inbox, before.entry.modseq)
    assert [entry.uid for entry in changes.entries] == [2]
    assert changes.mailbox.uidnext == 3


async def test_every_message_that_shows_it_changes(store: Store, alice: Account) -> None:
    old = record(b"o" * LARGE)
    await store.deliver([message(alice.inbox, record=old)])
    other = await store.create(alice.account_id, "Other")
    await store.copy(alice.inbox, [1], other.mailbox_id)
    await store.copy(alice.inbox, [1], alice.inbox)
    await store.reseal(alice.account_id, sealed_anew(old))
    for mailbox, uids in ((alice.inbox, [1, 2]), (other.mailbox_id, [1])):
        found = await store.messages(mailbox, uids)
        assert [(m.entry.size, m.head.envelope) for m in found] == [
            (5000, b"new envelope") for _ in uids
        ]
        assert len({m.entry.modseq for m in found}) == 1
        for uid in uids:
            assert await store.body(mailbox, uid, 0, 99) == b"new body"
    # and it goes with the last of them
    await store.remove(alice.inbox, [1, 2])
    assert await store.body(other.mailbox_id, 1, 0, 99) == b"new body"


@pytest.mark.parametrize("size", [4, LARGE])
async def test_of_a_verbatim_record_the_body_stays(store: Store, alice: Account, size: int) -> None:
    old = replace(record(b"v" * size), form=Form.VERBATIM, outer=b"", crc=0)
    await store.deliver([message(alice.inbox, record=old)])
    await store.reseal(alice.account_id, sealed_anew(old, None))
    (now,) = await store.messages(alice.inbox, [1])
    assert now.head.envelope == b"new envelope"
    assert (now.head.form, now.head.body_size, now.head.crc) == (Form.VERBATIM, size, 0)
    assert await store.body(alice.inbox, 1, 0, 1 << 20) == old.body


async def test_only_what_was_read_is_exchanged(store: Store, alice: Account) -> None:
    old = record(b"o" * LARGE)
    await store.deliver([message(alice.inbox, record=old)])
    first = sealed_anew(old, b"n" * LARGE)
    await store.reseal(alice.account_id, first)
    for late in (first, sealed_anew(old, b"small"), sealed_anew(old, old=bytes(32))):
        with pytest.raises(Conflict):
            await store.reseal(alice.account_id, late)
    again = sealed_anew(old, b"again", old=digest(b"new envelope"), envelope=b"third")
    await store.reseal(alice.account_id, again)
    assert (await store.held(alice.account_id, old.record_id)).message.head.envelope == b"third"
    assert await store.body(alice.inbox, 1, 0, 99) == b"again"


async def test_an_earlier_form_is_still_known(store: Store, alice: Account) -> None:
    """A backup, or a machine whose upload was cut off, may bring it again."""
    old = record(b"o" * LARGE)
    await store.deliver([message(alice.inbox, record=old)])
    other = await store.create(alice.account_id, "Other")
    for number in range(3):
        held = (await store.held(alice.account_id, old.record_id)).message.head
        name = digest(held.envelope)
        await store.reseal(
            alice.account_id, sealed_anew(old, old=name, envelope=b"form %d" % number)
        )
    first = replace(old, envelope=b"form 0", body=b"new body", body_size=8, crc=99)
    for form in (old, first):
        assert (await append_one(store, message(alice.inbox, record=form))).uid == 1
    assert (await append_one(store, message(other.mailbox_id, record=old))).uid == 1
    (copied,) = await store.messages(other.mailbox_id, [1])
    assert copied.head.envelope == b"form 2"
    assert await store.body(other.mailbox_id, 1, 0, 99) == b"new body"
    for forged in (replace(old, envelope=b"form 9"), replace(old, outer=b"")):
        with pytest.raises(RecordTaken):
            await append_one(store, message(alice.inbox, record=forged))


async def test_another_account_has_no_such_record(store: Store, alice: Account) -> None:
    old = record()
    bob = await store.register(new_account("bob@example.test"), None)
    await store.deliver([message(alice.inbox, record=old)])
    with pytest.raises(NotFound):
        await store.reseal(bob.account_id, sealed_anew(old))
    with pytest.raises(NotFound):
        await store.held(bob.account_id, old.record_id)
    assert await store.envelopes(bob.account_id, b"", 9) == []
    held = await store.held(alice.account_id, old.record_id)
    assert (held.mailbox_id, held.message.head.envelope) == (alice.inbox, old.envelope)


async def test_both_may_hold_one_id_and_only_the_own_changes(store: Store, alice: Account) -> None:
    old = record()
    bob = await store.register(new_account("bob@example.test"), None)
    await store.deliver([message(one.inbox, record=old) for one in (alice, bob)])
    await store.reseal(bob.account_id, sealed_anew(old))
    assert await store.body(alice.inbox, 1, 0, 99) == old.body
    assert await store.body(bob.inbox, 1, 0, 99) == b"new body"


async def test_envelopes_are_listed_by_id_and_once(store: Store, alice: Account) -> None:
    ids = [bytes([number]) * 16 for number in (7, 2, 9, 4)]
    await store.deliver([message(alice.inbox, record=record(b"x", record_id=one)) for one in ids])
    other = await store.create(alice.account_id, "Other")
    await store.copy(alice.inbox, [1, 2], other.mailbox_id)
    first = await store.envelopes(alice.account_id, b"", 3)
    assert [one.record_id for one in first] == sorted(ids)[:3]
    assert first[0].octets == b"envelope"
    rest = await store.envelopes(alice.account_id, first[-1].record_id, 3)
    assert [one.record_id for one in rest] == sorted(ids)[3:]


async def test_a_full_disk_leaves_the_old_form() -> None:
    room = True
    store = MemoryStore(TestClock(), lambda: room)
    alice = await store.register(new_account(), None)
    old = record()
    await store.deliver([message(alice.inbox, record=old)])
    room = False
    with pytest.raises(DiskFull):
        await store.reseal(alice.account_id, sealed_anew(old))
    assert await store.body(alice.inbox, 1, 0, 99) == old.body


async def test_no_file_is_left_over(tmp_path: Path) -> None:
    store = await sql_store(tmp_path)
    alice = await store.register(new_account(), None)
    old = record(b"o" * LARGE)
    await store.deliver([message(alice.inbox, record=old)])

    def files() -> list[str]:
        return os.listdir(tmp_path / "blobs")

    before = files()
    with pytest.raises(Conflict):
        await store.reseal(alice.account_id, sealed_anew(old, b"n" * LARGE, old=bytes(32)))
    assert files() == before
    await store.reseal(alice.account_id, sealed_anew(old, b"n" * LARGE))
    await store.entries(alice.inbox)
    await store.close()  # the writer has unlinked what it no longer names
    assert len(files()) == 1
    assert files() != before


RESEAL = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from e2email_protocol.sealed.reseal import digest
from e2email_server.store import record_rows
from e2email_server.store.blobs import BlobFiles
from e2email_server.store.types import Resealed
from support.store_data import sql_store

def die(*_):
    os._exit(7)

async def main():
    store = await sql_store(Path(sys.argv[1]))
    alice = await store.account("alice@example.test")
    (held,) = await store.messages(alice.inbox, [1])
    step = sys.argv[3]
    if step == "half a file":
        BlobFiles._sync_folder = die
    elif step == "file written":
        store._write = die
    elif step == "rows written":
        record_rows.drop_unshared = die
    elif step == "committed":
        BlobFiles.unlink = die
    new = b"n" * int(sys.argv[4])
    envelope = b"envelope of n"
    old = digest(held.head.envelope)
    wish = Resealed(held.head.record_id, old, envelope, new, 1, len(new) + 100, 90)
    await store.reseal(alice.account_id, wish)
    os._exit(7)

asyncio.run(main())
"""


@pytest.mark.parametrize("size", [50, LARGE])
@pytest.mark.parametrize(
    ("step", "stored"),
    [
        ("half a file", b"o"),
        ("file written", b"o"),
        ("rows written", b"o"),
        ("committed", b"n"),
        ("answered", b"n"),
    ],
)
async def test_killed_at_each_step(tmp_path: Path, step: str, stored: bytes, size: int) -> None:
    store = await sql_store(tmp_path)
    alice = await store.register(new_account(), None)
    old = replace(record(b"o" * size), envelope=b"envelope of o")
    await store.deliver([message(alice.inbox, record=old, size=size + 100)])
    await store.close()
    tests = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", RESEAL, str(tmp_path), tests, step, str(size)]
    assert subprocess.run(command, check=False).returncode == 7
    if step == "half a file" and size < LARGE:
        stored = b"n"  # there is none
    store = await sql_store(tmp_path)
    (found,) = await store.messages(alice.inbox, [1])
    assert found.head.envelope == b"envelope of " + stored
    assert await store.body(alice.inbox, 1, 0, 1 << 20) == stored * size
    assert found.entry.size == size + 100
    await store.close()
    assert len(os.listdir(tmp_path / "blobs")) == (size == LARGE)


WRITER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from e2email_protocol.sealed.reseal import digest
from e2email_server.store.types import Resealed
from support.store_data import sql_store

async def main():
    store = await sql_store(Path(sys.argv[1]))
    alice = await store.account("alice@example.test")

    async def reseal(uid):
        for number in range(10**9):
            (held,) = await store.messages(alice.inbox, [uid])
            name = f"{os.getpid()}-{uid}-{number}-".encode()
            body = name * (20000 if number % 3 == 0 else 10)
            old = digest(held.head.envelope)
            size = len(body) + 100
            wish = Resealed(held.head.record_id, old, name, body, 1, size, 90)
            await store.reseal(alice.account_id, wish)
            os.write(1, b"%d %s\\n" % (uid, name))

    await asyncio.gather(*(reseal(uid) for uid in range(1, 6)))

asyncio.run(main())
"""


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
async def test_killed_while_it_reseals(tmp_path: Path, kills: int) -> None:
    store = await sql_store(tmp_path)
    alice = await store.register(new_account(), None)
    await store.deliver(
        [message(alice.inbox, record=replace(record(), envelope=b"body")) for _ in range(5)]
    )
    await store.close()
    dice, told = random.Random(kills), 0
    for _ in range(kills):
        told += (await killed_once(WRITER, tmp_path, dice.uniform(0.0, 0.3))).count(b"\n")
        store = await sql_store(tmp_path)
        files = 0
        for found in await store.messages(alice.inbox, range(1, 6)):
            body = await store.body(alice.inbox, found.entry.uid, 0, 10**7)
            name = found.head.envelope
            assert body == name * (len(body) // len(name))  # both of one form, and whole
            assert found.entry.size == len(body) + 100
            files += len(body) > 256 * 1024
        assert len(os.listdir(tmp_path / "blobs")) == files
        await store.close()
    assert told >= kills
