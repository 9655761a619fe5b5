"""What one command changes is committed in batches, so that others' mail gets between."""

import re
import tracemalloc
from collections.abc import Sequence

import pytest

from e2email_server.imap import mailbox, session
from e2email_server.store.errors import DiskFull
from support.sealed_face import House, house, talk

MAIL = b"Subject: s\r\n\r\nt\r\n"


def batches(server: House, monkeypatch: pytest.MonkeyPatch, method: str) -> list[int]:
    """How many messages each commit is about, from now on."""
    sizes: list[int] = []
    plain = getattr(server.store, method)

    async def counted(mailbox_id: int, uids: Sequence[int], *more: object) -> object:
        sizes.append(len(uids))
        return await plain(mailbox_id, uids, *more)

    monkeypatch.setattr(server.store, method, counted)
    return sizes


async def test_flags_and_removals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox.batches, "__defaults__", (2,))
    async with house() as server:
        await server.deliver(*[MAIL] * 5)
        stores = batches(server, monkeypatch, "store_flags")
        expunges = batches(server, monkeypatch, "expunge")
        async with talk(server, select=b"INBOX (CONDSTORE)") as one:
            await one.ok(b"STORE 4 +FLAGS.SILENT (x)")
            said = await one.ok(b"STORE 1:5 (UNCHANGEDSINCE 6) +FLAGS.SILENT (\\Deleted)")
            assert b"[MODIFIED 4]" in said
            assert said.count(b" FETCH ") == 4
            assert stores == [1, 2, 2, 1]
            said = await one.ok(b"EXPUNGE")
            assert said.count(b" EXPUNGE") == 4
            assert expunges == [2, 2]
            assert await one.ok(b"EXPUNGE") == b" done\r\n"
            assert b"UID 4 FLAGS (x)" in await one.ok(b"UID FETCH 1:* (FLAGS)")


async def test_a_large_mailbox_is_emptied_before_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox.batches, "__defaults__", (2,))
    monkeypatch.setattr(session, "BATCH", 2)
    async with house() as server:
        await server.deliver(*[MAIL] * 7)
        async with talk(server, select=b"INBOX") as one:
            await one.ok(b"MOVE 1:* Archive")
            removals = batches(server, monkeypatch, "remove")
            await one.ok(b"DELETE Archive")
            assert removals == [2, 2, 1]
            assert b"Archive" not in await one.ok(b'LIST "" *')


async def test_a_large_copy_is_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "CARRIED", 2)
    async with house() as server:
        await server.deliver(*[MAIL] * 5)
        async with talk(server, select=b"INBOX") as one:
            said = await one.ok(b"COPY 1:5 Archive")
            assert re.search(rb"COPYUID \d+ 1:5 1:5\]", said)
            sizes = batches(server, monkeypatch, "copy")
            plain = server.store.copy

            async def full(*arguments: object) -> object:
                if len(sizes) == 2:
                    raise DiskFull("floor")
                return await plain(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(server.store, "copy", full)
            assert (await one.no(b"COPY 1:5 Archive")).startswith(b"[OVERQUOTA]")
            assert sizes == [2, 2]
            assert b"(MESSAGES 5 UIDNEXT 10)" in await one.ok(b"STATUS Archive (MESSAGES UIDNEXT)")


async def test_a_large_move_goes_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "CARRIED", 2)
    async with house() as server:
        await server.deliver(*[MAIL] * 7)
        sizes = batches(server, monkeypatch, "move")
        async with talk(server, select=b"INBOX") as one:
            said = await one.ok(b"MOVE 2:4,1 Archive")
            assert re.search(rb"COPYUID \d+ 1:4 1:4\] moved", said)
            assert said.count(b" EXPUNGE") == 4
            assert sizes == [2, 2]
            plain = server.store.move

            async def full(mailbox_id: int, uids: Sequence[int], target: int) -> object:
                if 7 in uids:
                    raise DiskFull("to the last block")
                return await plain(mailbox_id, uids, target)

            monkeypatch.setattr(server.store, "move", full)
            said = await one.ask(b"a MOVE 1:3 Archive\r\n")
            assert said.count(b" EXPUNGE") == 2
            assert b"a NO [OVERQUOTA]" in said


async def test_hundreds_of_long_keywords_are_refused_and_cost_little() -> None:
    words = b" ".join(b"%03d" % number + b"k" * 120 for number in range(500))
    async with house() as server:
        await server.deliver(*[MAIL] * 300)
        async with talk(server, select=b"INBOX") as one:
            tracemalloc.start()
            assert await one.no(b"STORE 1:* +FLAGS.SILENT (" + words + b")") == (
                b"[LIMIT] that is more than one command may ask for"
            )
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2 << 20
            assert b"FLAGS ()" in await one.ok(b"FETCH 1 FLAGS")
