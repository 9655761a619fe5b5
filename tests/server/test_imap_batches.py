"""What one command changes is committed in batches, so that others' mail gets between."""

import tracemalloc
from collections.abc import Sequence

import pytest

from e2email_server.imap import mailbox
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
    monkeypatch.setattr(mailbox, "BATCH", 2)
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
