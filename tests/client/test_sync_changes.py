"""Sync by what changed: one reselect costs what changed, and nothing that is said gets lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from e2email_client import live as live_module
from e2email_client.failure import Offline, Refused
from e2email_client.local import contents, mailboxes, reads
from e2email_client.local.mails import State
from e2email_client.sync import Sync
from e2email_client.upstream import Remote, RemoteMailbox
from support.home import Home, eventually, home
from support.sealed_face import house

WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    """Nothing runs: the test syncs."""
    async with house() as server, home(server, tmp_path, monkeypatch, run=False) as made:
        yield made


@pytest.fixture
async def alive(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    monkeypatch.setattr(live_module, "POLL_SECONDS", 0.1)
    async with house() as server, home(server, tmp_path, monkeypatch) as made:
        await eventually(lambda: made.live.online)
        yield made


class Spoken:
    """What a connection sends."""

    def __init__(self, remote: Remote) -> None:
        self.commands: list[bytes] = []
        protocol = remote._wire.protocol
        start = protocol.start

        def heard(*parts):
            self.commands.append(b" ".join(p for p in parts if isinstance(p, bytes)))
            return start(*parts)

        protocol.start = heard

    def taken(self) -> list[bytes]:
        said, self.commands = self.commands, []
        return said


async def syncing(here: Home) -> tuple[Sync, Remote, Spoken]:
    remote = await here.remote()
    spoken = Spoken(remote)
    return Sync(here.cache, here.opening, remote), remote, spoken


def inbox(sync: Sync) -> RemoteMailbox:
    return RemoteMailbox("INBOX", None, True)


async def test_a_reselect_costs_what_changed(here: Home) -> None:
    await here.server.deliver(*(mail(n) for n in range(1, 41)))
    sync, remote, spoken = await syncing(here)
    assert remote.resyncs
    await sync.everything()
    other = await here.remote()
    await other.select("INBOX")
    await other.store([3], "+FLAGS", ["\\Seen"])
    await other.store([7], "+FLAGS", ["\\Deleted"])
    await other.expunge([7])
    await here.server.deliver(mail(41))
    await remote.unselect()
    spoken.taken()
    local = await sync.skeleton(inbox(sync))
    said = spoken.taken()
    assert [one.split(b" ")[0] for one in said] == [b"SELECT", b"UID"]
    assert b"QRESYNC (" in said[0]
    assert said[1].startswith(b"UID FETCH 40:* ")
    flags = contents.server_flags(here.cache, local.id)
    assert flags[3] == {"\\Seen"}
    assert sorted(flags) == [uid for uid in range(1, 42) if uid != 7]
    assert contents.vanished(here.cache, local.id, 0) == [7]
    other.close()


async def test_nothing_moved_is_one_command(here: Home) -> None:
    await here.server.deliver(mail(1))
    sync, _, spoken = await syncing(here)
    await sync.everything()
    spoken.taken()
    await sync.everything()
    (said,) = spoken.taken()
    assert said.startswith(b'LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE STATUS (UIDVALIDITY')


async def test_the_modseq_is_kept_only_when_all_below_it_is(here: Home, monkeypatch) -> None:
    await here.server.deliver(mail(1), mail(2))
    sync, remote, _ = await syncing(here)
    await sync.everything()
    kept = mailboxes.named(here.cache, "INBOX")
    other = await here.remote()
    await other.select("INBOX")
    await other.store([1], "+FLAGS", ["\\Seen"])
    monkeypatch.setattr(contents, "tell", _fails)
    with pytest.raises(OSError):
        await sync.skeleton(inbox(sync))
    assert mailboxes.named(here.cache, "INBOX").upstream_modseq == kept.upstream_modseq
    monkeypatch.undo()
    local = await Sync(here.cache, here.opening, remote).skeleton(inbox(sync))
    assert contents.server_flags(here.cache, local.id)[1] == {"\\Seen"}
    assert mailboxes.by_id(here.cache, local.id).upstream_modseq > kept.upstream_modseq
    other.close()


def _fails(*_: object) -> None:
    raise OSError("the disk is full")


async def test_what_is_said_during_another_command_is_written_down(here: Home) -> None:
    await here.server.deliver(mail(1), mail(2), mail(3))
    sync, _, _ = await syncing(here)
    await sync.everything(bodies=False)
    local = here.local()
    async with sync.turn(local) as remote:
        other = await here.remote()
        await other.select("INBOX")
        await other.store([1], "+FLAGS", ["\\Flagged"])
        await other.store([2], "+FLAGS", ["\\Deleted"])
        await other.expunge([2])
        await here.server.deliver(mail(4))
        await remote.noop()  # the server says all of it with the answer to this
    assert contents.server_flags(here.cache, local.id)[1] == {"\\Flagged"}
    assert contents.vanished(here.cache, local.id, 0) == [2]
    assert sorted(contents.server_flags(here.cache, local.id)) == [1, 3, 4]
    other.close()


async def test_a_mailbox_renamed_elsewhere_keeps_what_is_known_of_it(here: Home) -> None:
    other = await here.remote()
    for name in ("One", "Two"):
        await other.create(name)
        await other.append(name, mail(len(name)), [], WHEN)
    sync, _, spoken = await syncing(here)
    await sync.everything()
    one, two = here.local("One"), here.local("Two")
    assert one.object_id
    await other.rename("One", "Three")
    await other.rename("Two", "One")  # under a name that was another's
    spoken.taken()
    await sync.everything()
    assert (here.local("Three").id, here.local("One").id) == (one.id, two.id)
    assert here.local("Two") is None
    assert not [said for said in spoken.taken() if b"BODY" in said]
    other.close()


async def test_mail_moved_elsewhere_is_not_fetched_twice(here: Home) -> None:
    await here.server.deliver(mail(1))
    other = await here.remote()
    await other.create("Filed")
    sync, _, spoken = await syncing(here)
    await sync.everything()
    await other.select("INBOX")
    await other.move([1], "Filed")
    spoken.taken()
    await sync.everything()
    assert (here.uids(), here.uids("Filed")) == ([], [1])
    (known,) = reads.known(here.cache, here.local("Filed").id, [1])
    assert known.state is State.OPENED
    assert not [said for said in spoken.taken() if b"BODY" in said]
    other.close()


async def test_without_qresync_everything_is_compared(here: Home) -> None:
    await here.server.deliver(*(mail(n) for n in range(1, 6)))
    sync, remote, _ = await syncing(here)
    await sync.everything(bodies=False)
    other = await here.remote()
    await other.select("INBOX")
    await other.store([1, 2], "+FLAGS", ["\\Deleted", "x"])
    await other.expunge([2])
    remote.resyncs = False
    local = await sync.skeleton(inbox(sync))
    assert contents.server_flags(here.cache, local.id)[1] == {"\\Deleted", "x"}
    assert here.uids() == [1, 3, 4, 5]
    other.close()


async def test_idle_says_enough(alive: Home) -> None:
    """Flags and expunges that IDLE tells are taken from it: nothing is fetched for them."""
    await alive.server.deliver(mail(1), mail(2))
    await alive.shown(1, 2)
    local = alive.local()
    await eventually(
        lambda: all(one.state is State.OPENED for one in reads.known(alive.cache, local.id, [1, 2]))
    )
    spoken = Spoken(alive.live.reached._remote)
    other = await alive.remote()
    await other.select("INBOX")
    await other.store([1], "+FLAGS", ["\\Seen"])
    await eventually(lambda: contents.server_flags(alive.cache, local.id)[1] == {"\\Seen"})
    await other.store([2], "+FLAGS", ["\\Deleted"])
    await other.expunge([2])
    await alive.shown(1)
    said = [one for one in spoken.taken() if not one.startswith((b"LIST", b"NOOP"))]
    assert not [one for one in said if b"FETCH" in one]
    other.close()


async def test_the_older_word_on_flags_is_no_news(here: Home) -> None:
    await here.server.deliver(mail(1))
    sync, _, _ = await syncing(here)
    await sync.everything(bodies=False)
    box = here.local()
    seen, none = frozenset({"\\Seen"}), frozenset[str]()
    contents.tell(here.cache, box.id, [(1, seen, 1_000_000)], ())
    contents.tell(here.cache, box.id, [(1, none, 999_999)], ())
    assert contents.server_flags(here.cache, box.id) == {1: seen}
    contents.tell(here.cache, box.id, [(1, none, 1_000_001)], ())
    assert contents.server_flags(here.cache, box.id) == {1: none}


async def test_a_mailbox_deleted_while_it_is_listed(here: Home) -> None:
    sync, remote, _ = await syncing(here)
    kept = remote.select

    async def refuses(name, since=None):
        if name == "Archive":
            raise Refused("NONEXISTENT", "gone")
        return await kept(name, since)

    remote.select = refuses
    await sync.everything()
    archive = here.local("Archive")
    assert archive is None or not archive.complete
    assert here.local("INBOX").complete


async def test_the_first_second_waits(tmp_path, monkeypatch) -> None:
    async with house() as server, home(server, tmp_path, monkeypatch, run=False) as made:
        await server.deliver(mail(1))
        open_door = asyncio.Event()
        login = made._login

        async def slow(*arguments):
            await open_door.wait()
            return await login(*arguments)

        made._login = slow
        made.following = asyncio.create_task(made.live.run())
        asking = asyncio.create_task(made.live.writing.create("New"))
        await asyncio.sleep(0.05)
        assert not asking.done()
        open_door.set()
        await asking
        assert made.local("New")
        await made.end()


async def test_the_first_second_ends(tmp_path, monkeypatch) -> None:
    """When the server is not there that is said at once; and a slow one is not waited for long."""
    async with house() as server, home(server, tmp_path, monkeypatch, run=False) as made:
        made.down = True
        made.following = asyncio.create_task(made.live.run())
        with pytest.raises(Offline):
            await asyncio.wait_for(made.live.writing.create("New"), 20)
        await made.end()

        async def never(*_: object) -> None:
            await asyncio.Event().wait()

        made.down, made._login = False, never
        made.following = asyncio.create_task(made.live.run())
        await asyncio.sleep(0)
        await made.live.settled(0.01)
        assert not made.live.online
        await made.end()
