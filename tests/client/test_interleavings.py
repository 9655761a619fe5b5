"""Between two steps: another device, a program that hangs up, an answer that is lost."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from e2email_client import live as live_module
from e2email_client.failure import BadServer, LocalFault, Offline, Refused
from e2email_client.local import contents, mailboxes, notices
from e2email_client.local.entries import State
from e2email_client.lock import SyncLock
from e2email_client.replay import Replay
from e2email_client.upstream import Remote
from e2email_client.upstream.wire import Wire
from e2email_client.writing import Writing
from e2email_protocol.imap.response_types import Fetch
from support.home import Home, eventually, home
from support.sealed_face import house

WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server:
        await server.deliver(*(mail(number) for number in range(1, 6)))
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1, 2, 3, 4, 5)
            await eventually(lambda: made.live.online and made.live.reached.caught_up)
            yield made


def flags(here: Home, uid: int, name: str = "INBOX") -> set[str]:
    return set(contents.server_flags(here.cache, here.local(name).id).get(uid, ()))


async def test_the_answer_to_store_undoes_nothing_that_was_said_after_it(
    here: Home, monkeypatch
) -> None:
    """Another device changes the message, and that is heard before the answer is written down."""
    other = await here.remote()
    await other.select("INBOX")
    real = Writing._through

    async def slow(self, *arguments):
        said = await real(self, *arguments)
        await other.store([1], "+FLAGS", {"\\Flagged"})
        await eventually(lambda: "\\Flagged" in flags(here, 1))
        return said

    monkeypatch.setattr(Writing, "_through", slow)
    await here.live.writing.store(here.local(), [1], "+FLAGS", ["\\Seen"])
    assert flags(here, 1) == {"\\Seen", "\\Flagged"}
    other.close()


async def test_the_flags_after_a_refusal_undo_nothing_that_was_said_after_them(
    here: Home, monkeypatch
) -> None:
    """What could never be done is taken back here, and another device is faster than the answer."""
    other = await here.remote()
    await other.select("INBOX")
    here.lose()
    await eventually(lambda: not here.live.online)
    await here.live.writing.store(here.local(), [1, 2], "+FLAGS", ["forbidden"])
    real_store, real_flags, real_show = Remote.store, Remote.flags_of, Replay._show_flags
    seen = []

    async def picky(self, uids, operation, wanted):
        if "forbidden" in wanted:
            raise Refused("LIMIT", "No more keywords.")
        return await real_store(self, uids, operation, wanted)

    async def slow(self, uids):
        said = await real_flags(self, uids)
        ((uid, flagged, modseq),) = await other.store([1], "+FLAGS", {"\\Flagged"})
        contents.tell(here.cache, here.local().id, [(uid, flagged, modseq)], ())
        return said

    async def show(self, *arguments):
        await real_show(self, *arguments)
        seen.append((flags(here, 1), flags(here, 2)))

    monkeypatch.setattr(Remote, "store", picky)
    monkeypatch.setattr(Remote, "flags_of", slow)
    monkeypatch.setattr(Replay, "_show_flags", show)
    here.down = False
    await eventually(lambda: here.live.online and not here.journal.anything_pending())
    assert seen == [({"\\Flagged"}, set())]
    other.close()


async def test_what_a_program_left_behind_is_not_the_answer_to_the_next_command(
    here: Home,
) -> None:
    """It hung up while its MOVE was under way: the next one hears of its own messages."""
    await here.live.writing.create("Box")
    inbox, box = here.local(), here.local("Box")
    async with here.live.reached.turn(inbox) as remote:
        first = asyncio.create_task(remote.move([1, 2], "Box"))
        await asyncio.sleep(0)  # it is sent
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await remote.move([4], "Box") == (box.server_validity, [4], [3])
    await here.shown(3, 5)
    await here.live.reached.news(box)
    await here.shown(1, 2, 3, name="Box")


async def test_a_renamed_mailbox_leaves_its_name_to_a_new_one(here: Home) -> None:
    """It is no alarm when a program makes another of that name."""
    writing = here.live.writing
    await writing.create("Old")
    await here.live.appending.append(here.local("Old"), mail(7), [], WHEN)
    await writing.create("Old/Below")
    was, below = here.local("Old"), here.local("Old/Below")
    await writing.rename("Old", "New")
    assert (here.local("New").id, here.local("New/Below").id) == (was.id, below.id)
    for name in ("Old", "Old/Below"):
        await writing.create(name)
        await here.live.appending.append(here.local(name), mail(8), [], WHEN)
        assert here.local(name).uidvalidity > was.uidvalidity
    await here.live.appending.append(here.local("New"), mail(9), [], WHEN)
    await here.live.reached.catch_up_all()
    assert here.local("New").id == was.id
    assert here.uids("New") == [1, 2]
    assert notices.pending(here.state) == []


async def test_mailboxes_that_change_places_are_what_they_were(here: Home) -> None:
    writing = here.live.writing
    for name in ("A", "B"):
        await writing.create(name)
        await here.live.appending.append(here.local(name), mail(7), [], WHEN)
    b = here.local("B")
    other = await here.remote()
    for old, new in (("A", "C"), ("B", "A"), ("C", "B")):
        await other.rename(old, new)
    other.close()
    await here.live.reached.catch_up_all()
    for name in ("A", "B"):
        await here.live.appending.append(here.local(name), mail(8), [], WHEN)
    await here.live.reached.catch_up_all()
    assert here.local("A").id == b.id
    assert here.local("B").uidvalidity > b.uidvalidity  # which programs were told of this name
    assert notices.pending(here.state) == []


async def test_a_name_that_somebody_else_made_free(here: Home) -> None:
    """Its deletion was not heard of here when a program takes the name."""
    writing = here.live.writing
    for name in ("A", "B"):
        await writing.create(name)
    a = here.local("A")
    other = await here.remote()
    await other.delete("B")
    other.close()
    await writing.rename("A", "B")
    assert here.local("B").id == a.id
    assert here.local("A") is None


@pytest.mark.parametrize("move", [False, True])
async def test_a_copy_whose_answer_was_lost_is_not_told_as_failed(
    here: Home, monkeypatch, move: bool
) -> None:
    """Else its program tries again, and the mail is there twice."""
    await here.live.writing.create("Box")
    inbox, box = here.local(), here.local("Box")
    real = Remote._copy_some

    async def lost(self, *arguments):
        monkeypatch.setattr(Remote, "_copy_some", real)
        await real(self, *arguments)
        here.lose()
        here.down = False
        raise Offline("gone")

    monkeypatch.setattr(Remote, "_copy_some", lost)
    copied = await here.live.writing.copy(inbox, [2, 4], box, move=move)
    assert copied == (box.uidvalidity, [2, 4], [1, 2])
    await here.shown(1, 2, name="Box")
    if move:
        await here.shown(1, 3, 5)


async def test_a_copy_that_never_came_to_the_server_is_told_as_failed(
    here: Home, monkeypatch
) -> None:
    """Though the mail lies there from before."""
    await here.live.writing.create("Box")
    inbox, box = here.local(), here.local("Box")
    await here.live.writing.copy(inbox, [2], box, move=False)
    real = Remote._copy_some

    async def lost(self, *arguments):
        monkeypatch.setattr(Remote, "_copy_some", real)
        here.lose()
        here.down = False
        raise Offline("gone")

    monkeypatch.setattr(Remote, "_copy_some", lost)
    with pytest.raises(Offline):
        await here.live.writing.copy(inbox, [2], box, move=False)
    await here.shown(1, name="Box")


async def test_a_lock_that_cannot_be_had_is_nobody_elses(tmp_path, monkeypatch, caplog) -> None:
    """What needs the server is refused, the rest promised; nobody waits for another program."""
    monkeypatch.setattr(live_module, "LOCK_SECONDS", 0.02)
    real = SyncLock.take
    tried = []

    def broken(self):
        tried.append(self)
        raise LocalFault("The file sync.lock cannot be locked: No locks available.")

    async with house() as server:
        await server.deliver(mail(1))
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1)
        monkeypatch.setattr(SyncLock, "take", broken)
        async with home(server, tmp_path, monkeypatch) as made:
            await eventually(lambda: len(tried) > 5)
            assert not made.live.elsewhere
            await made.live.writing.store(made.local(), [1], "+FLAGS", ["\\Seen"])
            assert made.journal.anything_pending()
            with pytest.raises(Offline):
                await made.live.writing.create("Box")
            assert caplog.text.count("No locks available") == 1
            monkeypatch.setattr(SyncLock, "take", real)
            await eventually(lambda: not made.journal.anything_pending())


async def test_a_list_without_an_inbox_is_none(here: Home, monkeypatch) -> None:
    """A program would take all mailboxes for deleted, and delete its own."""
    monkeypatch.setattr(Wire, "run", _listing_nothing(Wire.run))
    with pytest.raises(BadServer):
        await here.live.reached.list_mailboxes()
    assert here.uids() == [1, 2, 3, 4, 5]


def _listing_nothing(run):
    async def nothing(self, *parts):
        result = await run(self, *parts)
        return replace(result, untagged=[]) if parts[0].startswith(b"LIST") else result

    return nothing


async def test_a_message_that_its_deletion_left_there_is_seen_again(
    here: Home, monkeypatch
) -> None:
    """Another device takes \\Deleted away between STORE and EXPUNGE."""
    other = await here.remote()
    await other.select("INBOX")
    here.lose()
    await eventually(lambda: not here.live.online)
    await here.live.writing.delete_messages(here.local(), [2, 3])
    assert here.uids() == [1, 4, 5]
    real = Remote.expunge

    async def late(self, uids):
        await other.store([2], "-FLAGS", {"\\Deleted"})
        await real(self, uids)

    monkeypatch.setattr(Remote, "expunge", late)
    here.down = False
    await eventually(lambda: here.live.online and not here.journal.anything_pending())
    await here.shown(1, 2, 4, 5)
    other.close()


@pytest.mark.parametrize("first", [4, 1])
async def test_nothing_is_changed_on_a_server_that_went_back_and_grew(
    here: Home, monkeypatch, first: int
) -> None:
    """Restored from a copy while this machine was away, and grown beyond all that was seen here:
    the same UIDs name other mail."""
    other = await here.remote()
    here.lose()
    await eventually(lambda: not here.live.online)
    await here.live.writing.delete_messages(here.local(), [4, 5])
    await here.live.writing.store(here.local(), [2], "+FLAGS", ["\\Seen"])
    monkeypatch.setattr(Wire, "run", _others_from(first, Wire.run))
    here.down = False
    await eventually(lambda: not here.journal.anything_pending())
    await other.select("INBOX")
    there = dict(await other.flags(1, 100))
    assert set(there) == {1, 2, 3, 4, 5}
    assert bool(there[2]) is (first == 4)  # it is the same mail then
    other.close()
    assert (4, 5) in [one.uids for one in here.journal.entries(State.REFUSED)]
    await here.shown(1, 2, 3, 4, 5)


def _others_from(first: int, run):
    """Mail from this UID on is not the mail that it was."""

    async def other(self, *parts):
        result = await run(self, *parts)
        for reply in result.untagged:
            if isinstance(reply, Fetch) and b"EMAILID" in reply.items and reply.uid >= first:
                reply.items[b"EMAILID"] = [b"another" + reply.items[b"EMAILID"][0]]
        return result

    return other


async def test_a_promise_of_a_program_that_hung_up_is_kept_at_once(here: Home, monkeypatch) -> None:
    """Its task is cancelled while the journal is written."""
    heard = []
    monkeypatch.setattr(here.live, "promised", lambda: heard.append("promised"))
    monkeypatch.setattr(here.live, "elsewhere", True)
    begun = threading.Event()
    on = threading.Event()
    real = here.journal.flags

    def slow(*arguments):
        begun.set()
        on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(here.journal, "flags", slow)
    storing = asyncio.create_task(here.live.writing.store(here.local(), [1], "+FLAGS", ["\\Seen"]))
    await eventually(begun.is_set)
    storing.cancel()
    await asyncio.gather(storing, return_exceptions=True)
    on.set()
    await eventually(lambda: heard)
    assert flags(here, 1) == {"\\Seen"}


async def test_what_is_announced_while_a_view_is_made_is_below_uidnext(
    here: Home, monkeypatch
) -> None:
    real = contents.entries

    def later(database, mailbox_id, since=0):
        contents.add(database, mailbox_id, [contents.Skeleton(6, "six", frozenset(), 0)])
        with database.write() as writer:
            writer.execute("UPDATE mail SET state = 2 WHERE email_id = 'six'")
        mailboxes.listed(database, mailbox_id, uidnext=7, upstream_modseq=1)
        return real(database, mailbox_id, since)

    monkeypatch.setattr(contents, "entries", later)
    view = here.account._renewed(here.local().id, None)
    assert [one.uid for one in view.entries][-1] == 6
    assert view.uidnext == 7
