"""A mailbox or server that went back in time is noticed and said, and no wrong mail is shown."""

import copy
from collections.abc import AsyncIterator

import pytest

from e2email_client.local import contents, notices, reads
from e2email_client.local.bound import Room
from e2email_client.local.cache import open_cache, open_state
from e2email_client.local.cipher import Database
from e2email_client.local.journal import Change, Place
from e2email_client.local.mails import State
from e2email_client.local.notices import Kind
from e2email_client.local.seen import Counters, Seen
from e2email_client.sync import Sync
from support.home import Home, eventually, home
from support.sealed_face import house


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


@pytest.fixture
def state(tmp_path) -> AsyncIterator[Database]:
    made = open_state(tmp_path / "state.db", bytes(32))
    yield made
    made.close()


def kinds(state: Database) -> list[Kind]:
    return [one.kind for one in notices.pending(state)]


def test_counters_only_rise(state: Database) -> None:
    seen = Seen(state)
    assert seen.look("a", Counters(7, 10, 100, "F1")) == 7
    assert seen.look("a", Counters(7, 11, 101, "F1")) == 7
    assert seen.look("a", Counters(7, 11, 0, "")) == 7  # it does not say
    assert seen.look("a", Counters(7, 11, 101, "F1")) == 7
    assert kinds(state) == []


@pytest.mark.parametrize(
    "back",
    [Counters(7, 9, 100, "F1"), Counters(7, 10, 99, "F1"), Counters(7, 12, 99, "")],
)
def test_less_than_was_seen(state: Database, back: Counters) -> None:
    seen = Seen(state)
    seen.look("a", Counters(7, 10, 100, "F1"))
    assert seen.above("a", back)
    assert seen.look("a", back) == 8
    assert kinds(state) == [Kind.WENT_BACK]
    assert seen.keeps()
    # from then on that is how it is: said once, shown as before
    assert seen.look("a", back) == 8
    assert not seen.above("a", back)
    assert len(kinds(state)) == 1
    # again, and the server's own numbers come into the way of ours
    assert seen.look("a", Counters(7, 2, 3, "F1")) == 9
    assert seen.look("a", Counters(8, 2, 200, "F1")) == 10
    assert seen.look("a", Counters(11, 2, 300, "F1")) == 11


def test_a_reused_uid(state: Database) -> None:
    seen = Seen(state)
    seen.look("a", Counters(7, 10, 100, "F1"))
    assert seen.look("a", Counters(7, 20, 200, "F1"), reused=True) == 8
    assert kinds(state) == [Kind.WENT_BACK]


def test_another_mailbox_of_that_name(state: Database) -> None:
    seen = Seen(state)
    seen.look("a", Counters(7, 10, 100, "F1"))
    assert seen.look("a", Counters(7, 2, 2, "F2")) == 8
    assert seen.look("a", Counters(12, 2, 2, "F3")) == 12
    assert set(kinds(state)) == {Kind.REPLACED}
    seen.gone(["a"])
    assert seen.look("a", Counters(13, 1, 1, "F4")) == 13
    assert len(kinds(state)) == 2  # its deletion was seen: no news


def test_a_renamed_mailbox_takes_its_counters_along(state: Database) -> None:
    seen = Seen(state)
    seen.look("a", Counters(7, 10, 100, "F1"))
    seen.look("b", Counters(9, 3, 50, "F2"))
    seen.gone(["b"])
    seen.renamed({"a": "b"})
    assert seen.look("b", Counters(7, 10, 100, "F1")) == 10  # "b" was told as 9 before
    assert seen.above("b", Counters(7, 9, 99, "F1"))
    assert seen.look("a", Counters(14, 1, 1, "F3")) == 14
    assert kinds(state) == []


def test_a_notice_is_there_until_it_is_acknowledged(state: Database) -> None:
    notices.put(state, Kind.HISTORY, "", "what")
    notices.put(state, Kind.HISTORY, "", "what")
    (one,) = notices.pending(state)
    assert "what" not in repr(one)
    notices.acknowledge(state, [one.id])
    assert notices.pending(state) == []


def test_notices_are_bounded(state: Database, monkeypatch) -> None:
    monkeypatch.setattr(notices, "MOST", 3)
    for number in range(10):
        notices.put(state, Kind.HISTORY, "", f"{number}")
    assert len(notices.pending(state)) == 3


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server, home(server, tmp_path, monkeypatch) as made:
        await eventually(lambda: made.live.online)
        yield made


def opened(here: Home) -> bool:
    local = here.local()
    found = reads.known(here.cache, local.id, here.uids())
    return all(one.state is State.OPENED for one in found)


def texts(here: Home) -> list[bytes]:
    local = here.local()
    found = reads.known(here.cache, local.id, here.uids(), reads.Octets.VIEW)
    return [one.octets.rpartition(b"\r\n\r\n")[2] for one in found]


async def test_a_restored_server(here: Home) -> None:
    """UIDs that some mail had are given to other mail: nobody is shown one for the other."""
    store = here.server.store
    await here.server.deliver(mail(1), mail(2))
    await here.shown(1, 2)
    backup = copy.deepcopy(store._mailboxes)
    await here.server.deliver(mail(3), mail(4))
    await here.shown(1, 2, 3, 4)
    await eventually(lambda: opened(here))
    before = here.local()
    talk = await here.talk().login()
    # a deletion that was promised for UID 3 while the server was not there
    here.lose()
    await eventually(lambda: not here.live.online and not here.server.backend.mailboxes)
    here.journal.flags(Place.of(before), [Change((3,), frozenset({"\\Deleted"}), frozenset())])
    store._mailboxes.clear()
    store._mailboxes.update(backup)
    await here.server.deliver(mail(30))
    here.down = False
    await eventually(lambda: here.local().id != before.id and here.uids() == [1, 2, 3])
    await eventually(lambda: opened(here))
    assert texts(here) == [b"body 1\r\n", b"body 2\r\n", b"body 30\r\n"]
    now = here.local()
    assert (now.server_validity, now.uidvalidity) == (before.uidvalidity, before.uidvalidity + 1)
    assert "\\Deleted" not in contents.server_flags(here.cache, now.id)[3]
    (one,) = [one for one in notices.pending(here.state) if one.kind is Kind.WENT_BACK]
    assert one.mailbox == "INBOX"
    # programs are told: the session that had it selected ends, and a new one sees other numbers
    assert b"BYE" in await talk.ask(b"a NOOP\r\n")
    talk = await here.talk().login(b"")
    said = await talk.ok(b"SELECT INBOX")
    assert b"[UIDVALIDITY %d]" % now.uidvalidity in said
    assert b"COPYUID %d " % now.uidvalidity in await talk.ok(b"UID COPY 3 INBOX")
    # what only this machine has is kept until that is acknowledged
    lost = "SELECT count(*) FROM mail WHERE id NOT IN (SELECT mail_id FROM message)"
    assert here.cache.read(lost) == [(2,)]
    notices.acknowledge(here.state, [one.id])
    await here.live.reached.everything()
    assert here.cache.read(lost) == [(0,)]


async def test_a_restored_server_that_grew_beyond_what_was_seen(here: Home) -> None:
    """Counters say nothing any more: the last known UID names another mail."""
    store = here.server.store
    await here.server.deliver(mail(1))
    await here.shown(1)
    backup = copy.deepcopy(store._mailboxes)
    await here.server.deliver(mail(2))
    await here.shown(1, 2)
    await eventually(lambda: opened(here))
    before = here.local()
    here.lose()
    await eventually(lambda: not here.live.online and not here.server.backend.mailboxes)
    store._mailboxes.clear()
    store._mailboxes.update(backup)
    await here.server.deliver(*(mail(n) for n in range(20, 26)))
    here.down = False
    await eventually(lambda: here.local().id != before.id and len(here.uids()) == 7)
    await eventually(lambda: opened(here))
    assert texts(here) == [b"body %d\r\n" % n for n in (1, *range(20, 26))]
    assert here.local().uidvalidity == before.uidvalidity + 1
    assert kinds(here.state) == [Kind.WENT_BACK]


async def test_the_bound(tmp_path, monkeypatch) -> None:
    """The oldest bodies go first, summaries never, and what went is not fetched again by itself."""
    async with house() as server, home(server, tmp_path, monkeypatch, run=False) as made:
        big = b"From: b@example.net\r\nSubject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 4_000
        for _ in range(12):
            await server.deliver(big)
        room = Room(made.cache, 10**12)
        sync = Sync(made.cache, made.opening, await made.remote(), room=room)
        await sync.everything()
        box = made.local()

        def states() -> list[State]:
            return [one.state for one in reads.known(made.cache, box.id, range(1, 13))]

        assert states() == [State.OPENED] * 12
        room.most = room.used() * 2 // 3
        await sync.make_room()
        assert room.used() <= room.most
        assert made.cache.read("SELECT count(*) FROM bound") == [(1,)]
        kept = states().count(State.OPENED)
        assert 3 <= kept <= 9
        assert states() == [State.READY] * (12 - kept) + [State.OPENED] * kept
        assert None not in [one.envelope for one in reads.known(made.cache, box.id, range(1, 13))]
        await sync.everything()
        assert states().count(State.OPENED) == kept
        # what is asked for comes all the same, and is not taken away at once
        await sync.ensure(box, [1], State.OPENED)
        assert states()[0] is State.OPENED
        room.most = room.used() - 1
        await sync.make_room()
        assert states()[0] is State.OPENED
        # where there is room again it is used
        room.most = 10**12
        await sync.everything()
        await sync.everything()
        assert states() == [State.OPENED] * 12


def test_a_full_disk_is_left_alone(tmp_path, monkeypatch) -> None:
    room = Room(open_cache(tmp_path / "cache.db", bytes(32)), 10**12)
    monkeypatch.setattr(
        "e2email_client.local.bound.shutil.disk_usage",
        lambda _: type("Usage", (), {"total": 100, "free": 9}),
    )
    assert room.full()
    monkeypatch.setattr(
        "e2email_client.local.bound.shutil.disk_usage",
        lambda _: type("Usage", (), {"total": 100, "free": 11}),
    )
    assert not room.full()
