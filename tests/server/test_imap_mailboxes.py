"""Mailboxes of the sealed face: what sessions see of each other, push, scopes, failures."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2email_protocol.imap.session import Changes
from e2email_server.imap import shared as shared_module
from e2email_server.imap.shared import SharedMailboxes
from e2email_server.store.errors import DiskFull, StoreFailed
from e2email_server.store.memory import MemoryStore
from e2email_server.store.types import FlagOp
from support.sealed_face import House, Talk, house, talk
from support.store_data import message, new_account

MAIL = b"From: Carol <carol@example.net>\r\nSubject: eggs\r\n\r\nAt nine?\r\n"
SEEN = frozenset({"\\Seen"})


@pytest.fixture(params=["memory", "sql"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path if request.param == "sql" else None) as running:
        yield running


# --- two sessions -----------------------------------------------------------------------------


async def test_sessions_see_each_other(server: House) -> None:
    await server.deliver(MAIL, MAIL, MAIL)
    async with talk(server, select=b"INBOX") as one, talk(server, select=b"INBOX") as two:
        said = await one.ok(b"UID STORE 2 +FLAGS (\\Seen)")
        assert said.startswith(b"* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n")
        assert (await two.ok(b"NOOP")).startswith(b"* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n")
        await one.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        assert (await one.ok(b"EXPUNGE")).startswith(b"* 1 EXPUNGE\r\n")
        assert b"EXPUNGE" not in await two.ok(b"FETCH 1:* (FLAGS)")  # numbers must hold
        assert (await two.ok(b"NOOP")).startswith(b"* 1 EXPUNGE\r\n")
        assert b"* 3 EXISTS" in (await _appended(one, two))


async def _appended(one: Talk, two: Talk) -> bytes:
    assert b"APPENDUID" in await one.append(MAIL)
    return await two.ok(b"NOOP")


async def test_copy_and_move_are_seen_in_the_target(server: House) -> None:
    await server.deliver(MAIL, MAIL)
    async with talk(server, select=b"INBOX") as one, talk(server, select=b"Archive") as two:
        assert b"[COPYUID " in await one.ok(b"UID COPY 1 Archive")
        assert (await two.ok(b"NOOP")).startswith(b"* 1 EXISTS\r\n")
        said = await one.ok(b"UID MOVE 1:2 Archive")
        assert b"* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n" in said
        assert (await two.ok(b"NOOP")).startswith(b"* 3 EXISTS\r\n")
        await one.append(MAIL)
        assert (await one.no(b"COPY 1 nowhere")).startswith(b"[TRYCREATE]")


async def test_a_deleted_mailbox_ends_its_sessions(server: House) -> None:
    async with talk(server) as one, talk(server, select=b"Archive") as two:
        await one.ok(b"DELETE Archive")
        assert b"* BYE" in await two.ask(b"a NOOP\r\n")


async def test_the_picture_is_shared_and_let_go(server: House) -> None:
    await server.deliver(MAIL)
    mailboxes = server.backend.mailboxes
    async with talk(server, select=b"INBOX"), talk(server, select=b"INBOX") as two:
        assert len(mailboxes) == 1
        await two.ok(b"SELECT Archive")
        assert len(mailboxes) == 2
    assert len(mailboxes) == 0


async def test_text_search_is_refused_not_answered_emptily(server: House) -> None:
    await server.deliver(MAIL)
    async with talk(server, select=b"INBOX") as one:
        for key in (
            b"TEXT eggs",
            b"SUBJECT eggs",
            b"NOT BODY x",
            b"HEADER X-A b",
            b"SENTON 1-Jan-2026",
        ):
            assert (await one.no(b"SEARCH " + key)).startswith(b"[CANNOT]"), key
        assert b"* SEARCH 1\r\n" in await one.ok(b"SEARCH UNSEEN SMALLER 100000 SINCE 1-Jan-2020")


async def test_mailbox_names(server: House) -> None:
    async with talk(server) as one:
        assert (await one.no(b"CREATE inbox")).startswith(b"[ALREADYEXISTS]")
        assert (await one.no(b"DELETE INBOX")).startswith(b"[CANNOT]")
        assert (await one.no(b"SELECT nowhere")).startswith(b"[NONEXISTENT]")
        assert (await one.no(b"CREATE a//b")).startswith(b"[CANNOT]")
        await one.ok(b"CREATE lists/python")
        assert b"lists/python" in await one.ok(b'LIST "" "lists/*"')
        await one.ok(b"RENAME lists Lists")
        await one.ok(b"UNSUBSCRIBE Lists/python")


# --- push -------------------------------------------------------------------------------------


async def test_idle_is_told_of_mail_flags_and_expunges(server: House) -> None:
    await server.deliver(MAIL)
    async with talk(server, select=b"INBOX") as one:
        assert await one.ask(b"i IDLE\r\n") == b"+ idling\r\n"
        changed = asyncio.create_task(one.connection.changed())
        await asyncio.sleep(0)
        assert not changed.done()
        await server.deliver(MAIL)
        await asyncio.wait_for(changed, 10)
        assert b"* 2 EXISTS\r\n" in await one.ask()
        inbox = server.account.inbox
        await server.store.store_flags(inbox, [1], FlagOp.ADD, SEEN | {"\\Deleted"})
        await asyncio.wait_for(one.connection.changed(), 10)
        assert await one.ask() == b"* 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen))\r\n"
        await server.store.expunge(inbox, None)
        await asyncio.wait_for(one.connection.changed(), 10)
        assert await one.ask() == b"* 1 EXPUNGE\r\n"
        assert await one.ask(b"DONE\r\n") == b"i OK done\r\n"


async def test_a_thousand_idle_sessions_cost_one_read_of_a_new_mail() -> None:
    store = MemoryStore()
    account = await store.register(new_account(), None)
    mailboxes = SharedMailboxes(store)
    pictures = [await mailboxes.open(account.inbox) for _ in range(1000)]
    assert len(set(map(id, pictures))) == 1
    reads: list[int] = []
    inner = store.changes

    async def changes(mailbox_id: int, since: int) -> object:
        reads.append(since)
        return await inner(mailbox_id, since)

    store.changes = changes  # type: ignore[method-assign, assignment]
    waiting = [asyncio.create_task(one.wait(one.modseq)) for one in pictures]
    await asyncio.sleep(0)
    await store.deliver([message(account.inbox)])
    await asyncio.gather(*waiting)
    told = [await one.changes(1) for one in pictures]
    assert all([entry.uid for entry in one.entries] == [1] for one in told)
    assert len(reads) == 1
    for one in pictures:
        mailboxes.close(one)


async def test_sessions_share_the_entries_they_agree_on(server: House) -> None:
    """Random changes by two sessions and by delivery: every view is right, and none is a copy."""
    chance = random.Random(9051)
    inbox = server.account.inbox
    await server.deliver(*[MAIL] * 8)
    async with talk(server, select=b"INBOX") as one, talk(server, select=b"INBOX") as two:
        for _ in range(150):
            who, uid = chance.choice([one, two]), chance.randrange(1, 60)
            match chance.randrange(8):
                case 0:
                    await server.deliver(MAIL)
                    server.backend.mailboxes.touch([inbox])  # as its watcher soon would
                case 1:
                    await who.ok(b"UID STORE %d +FLAGS (\\Seen $k%d)" % (uid, uid % 3))
                case 2:
                    await who.ok(b"UID STORE 1:%d -FLAGS.SILENT (\\Seen)" % uid)
                case 3:
                    await who.ok(b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
                case 4:
                    await who.ok(b"EXPUNGE")
                case 5:
                    await who.ok(b"UID COPY %d INBOX" % uid)
                case 6:
                    await who.ok(b"UID FETCH %d (BODY[2.MIME])" % uid)
                case _:
                    await who.ok(b"UID FETCH 1:* (FLAGS)")
        entries = (await server.store.entries(inbox)).entries
        for who in (one, two):
            await who.ok(b"NOOP")
            view = who.connection._context.selected.view
            assert [(e.uid, e.flags) for e in view.entries] == [(e.uid, e.flags) for e in entries]
        shared = await server.backend.mailboxes.open(inbox)
        for who in (one, two):
            assert who.connection._context.selected.view.entries is shared.snapshot().entries
        server.backend.mailboxes.close(shared)


# --- the shared picture -----------------------------------------------------------------------


async def test_changes_are_remembered_and_older_ones_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "LOG", 3)
    store = MemoryStore()
    account = await store.register(new_account(), None)
    await store.deliver([message(account.inbox) for _ in range(5)])
    mailboxes = SharedMailboxes(store)
    picture = await mailboxes.open(account.inbox)
    first = picture.modseq
    for number in range(20):
        await store.store_flags(
            account.inbox, [number % 4 + 1], FlagOp.ADD, frozenset({f"k{number}"})
        )
        picture.touch()
        await picture.changes(picture.modseq)
    await store.store_flags(account.inbox, [5], FlagOp.ADD, frozenset({"\\Deleted"}))
    await store.expunge(account.inbox, None)
    picture.touch()
    for since in range(first, picture.modseq + 3):
        expected = await store.changes(account.inbox, since)
        found: Changes = await picture.changes(since)
        assert [e.uid for e in found.entries] == [e.uid for e in expected.entries], since
        assert [e.flags for e in found.entries] == [e.flags for e in expected.entries], since
        assert set(found.vanished) >= set(expected.vanished), since
        assert found.modseq == expected.mailbox.highest_modseq
    mailboxes.close(picture)


async def test_a_store_that_fails_for_a_while_is_caught_up_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_module, "RETRY", 0.0)
    store = MemoryStore()
    account = await store.register(new_account(), None)
    mailboxes = SharedMailboxes(store)
    picture = await mailboxes.open(account.inbox)
    inner, failures = store.changes, [StoreFailed("disk"), StoreFailed("disk")]

    async def changes(mailbox_id: int, since: int) -> object:
        if failures:
            raise failures.pop()
        return await inner(mailbox_id, since)

    store.changes = changes  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(picture.wait(picture.modseq))
    await asyncio.sleep(0)
    await store.deliver([message(account.inbox)])
    await asyncio.wait_for(waiting, 10)
    assert len((await picture.changes(1)).entries) == 1
    mailboxes.close(picture)


async def test_a_fault_of_the_watcher_ends_the_sessions_instead_of_deafening_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    account = await store.register(new_account(), None)
    mailboxes = SharedMailboxes(store)
    picture = await mailboxes.open(account.inbox)

    async def changes(mailbox_id: int, since: int) -> object:
        raise KeyError("a fault")

    store.changes = changes  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(picture.wait(picture.modseq))
    await asyncio.sleep(0)
    await store.deliver([message(account.inbox)])
    await asyncio.wait_for(waiting, 10)
    assert picture.deleted
    assert "is not watched" in caplog.text
    assert await mailboxes.open(account.inbox) is not picture
    mailboxes.close(picture)


# --- scopes -----------------------------------------------------------------------------------


async def test_reading_only(server: House) -> None:
    await server.deliver(MAIL)
    async with talk(server, "read") as one:
        assert b"READ-ONLY" in await one.ok(b"SELECT INBOX")
        assert b"BODY[]" in await one.ok(b"FETCH 1 (BODY[])")
        assert b"FLAGS ()" in await one.ok(b"FETCH 1 (FLAGS)")
        for command in (b"STORE 1 +FLAGS (\\Seen)", b"MOVE 1 Trash", b"EXPUNGE"):
            assert (await one.no(command)).startswith(b"[READ-ONLY]"), command
        for command in (
            b"CREATE new",
            b"RENAME Archive new",
            b"DELETE Archive",
            b"SUBSCRIBE Archive",
        ):
            assert (await one.no(command)).startswith(b"[NOPERM]"), command
        assert b"a NO [NOPERM]" in await one.append(MAIL)


async def test_copying_needs_the_scope_write(server: House) -> None:
    await server.deliver(MAIL)
    async with talk(server, "read", select=b"INBOX") as one:
        assert (await one.no(b"COPY 1 Archive")).startswith(b"[NOPERM]")


async def test_writing_without_deleting(server: House) -> None:
    await server.deliver(MAIL, MAIL)
    async with talk(server, "read", "write", select=b"INBOX") as one:
        await one.ok(b"STORE 1 +FLAGS (\\Seen)")
        await one.ok(b"STORE 1 -FLAGS (\\Deleted)")
        await one.ok(b"MOVE 2 Trash")
        for command in (
            b"STORE 1 +FLAGS (\\Deleted)",
            b"STORE 1 FLAGS (\\Seen \\Deleted)",
            b"EXPUNGE",
            b"DELETE Archive",
        ):
            assert (await one.no(command)).startswith(b"[NOPERM]"), command


async def test_sending_alone_does_not_log_in(server: House) -> None:
    one = Talk(server)
    await one.ask()
    password = (await server.password("send")).encode()
    assert (await one.no(b"LOGIN alice@example.test " + password)).startswith(b"[NOPERM]")
    assert b"a BAD" in await one.ask(b"a SELECT INBOX\r\n")


# --- when the store fails ---------------------------------------------------------------------


async def test_failures_have_a_code_each(server: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.deliver(MAIL)
    async with talk(server, select=b"INBOX") as one:

        def fail(method: str, error: Exception) -> None:
            async def failing(*_: object, **__: object) -> None:
                raise error

            monkeypatch.setattr(type(server.store), method, failing)

        fail("copy", DiskFull("floor"))
        assert (await one.no(b"COPY 1 Archive")).startswith(b"[OVERQUOTA]")
        fail("store_flags", StoreFailed("secret path"))
        said = await one.no(b"STORE 1 +FLAGS (\\Seen)")
        assert said.startswith(b"[UNAVAILABLE]")
        assert b"secret" not in said
        fail("messages", StoreFailed("secret path"))
        assert (await one.no(b"FETCH 1 (ENVELOPE)")).startswith(b"[UNAVAILABLE]")
        assert b"EMAILID" in await one.ok(b"FETCH 1 (EMAILID)")


async def test_what_vanishes_during_a_fetch(tmp_path: Path) -> None:
    large = MAIL + b"x" * 70 + b"\r\n" * 200_000
    async with house(tmp_path) as server, talk(server) as one:
        await server.deliver(large, MAIL)
        await one.ok(b"SELECT INBOX")
        one.connection.receive_data(b"a FETCH 1 (BODY.PEEK[])\r\n")
        replies = one.connection.replies()
        assert (await anext(replies)).startswith(b"* 1 FETCH (BODY[] {")
        await server.store.store_flags(
            server.account.inbox, [1], FlagOp.ADD, frozenset({"\\Deleted"})
        )
        await server.store.expunge(server.account.inbox, None)
        rest = b"".join([piece async for piece in replies])
        assert b"a OK" not in rest  # a literal that broke off: only hanging up is left
        assert one.connection.closing
