"""Changes while the server is gone: promised, shown at once, done later, and nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlcipher3 import dbapi2

from e2email_client import appending, repairing
from e2email_client.failure import LocalFault, Offline, Refused
from e2email_client.local import contents, mailboxes, notices
from e2email_client.local.entries import Change, Place, State
from e2email_client.local.notices import Kind
from e2email_client.upstream import Remote
from e2email_protocol.sealed.render import render
from support.home import Home, eventually, home
from support.sealed_face import house

WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SEEN, NONE = frozenset({"\\Seen"}), frozenset()


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    """Five mails, and the server just went away."""
    async with house() as server:
        await server.deliver(*(mail(number) for number in range(1, 6)))
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1, 2, 3, 4, 5)
            yield made


async def away(here: Home) -> None:
    here.lose()
    await eventually(lambda: not here.live.online)


async def kept(here: Home) -> None:
    """Back, and all promises done."""
    here.down = False
    await eventually(lambda: here.live.online and not here.journal.anything_pending())


async def there(here: Home, name: str = "INBOX") -> dict[int, set[str]]:
    """As somebody else sees it."""
    other = await here.remote()
    await other.select(name)
    found = dict(await other.flags(1, 1000))
    other.close()
    return {uid: set(flags) for uid, flags in found.items()}


async def test_flags_and_deletions_are_shown_at_once_and_done_later(here: Home) -> None:
    talk = await here.talk().login()
    await away(here)
    assert b"\\Seen" in await talk.ok(b"STORE 1:2 +FLAGS (\\Seen)")
    # beside it the proxy says how the message is protected, once it is opened
    assert b" work))" in (await talk.ok(b"STORE 2 FLAGS (work)")).replace(b"(work", b"( work")
    await talk.ok(b"STORE 3 +FLAGS.SILENT (\\Deleted)")
    assert b"* 3 EXPUNGE" in await talk.ok(b"EXPUNGE")
    assert b"* SEARCH 1 2 4 5\r\n" in await talk.ok(b"UID SEARCH ALL")
    assert await there(here) == {1: set(), 2: set(), 3: set(), 4: set(), 5: set()}
    await kept(here)
    assert await there(here) == {1: {"\\Seen"}, 2: {"work"}, 4: set(), 5: set()}
    assert here.uids() == [1, 2, 4, 5]


async def test_what_needs_a_uid_of_the_server_is_refused(here: Home) -> None:
    talk = await here.talk().login()
    await talk.ok(b"CREATE Box")
    await away(here)
    for command in (
        b"COPY 1 Box",
        b"MOVE 1 Box",
        b"CREATE x",
        b"RENAME Box Other",
        b"DELETE Box",
        b"UNSUBSCRIBE Box",
    ):
        assert b"a NO [UNAVAILABLE]" in await talk.no(command), command
    assert b"* BYE [UNAVAILABLE]" in await talk.ask(b"a APPEND INBOX {2+}\r\nx:\r\n")
    assert not here.journal.anything_pending()
    assert here.journal.entries(State.SENDING) == []


async def test_flags_merge_with_what_others_did(here: Home) -> None:
    await away(here)
    local = here.local()
    await here.live.writing.store(local, [1], "+FLAGS", ["\\Seen"])
    await here.live.writing.store(local, [2], "-FLAGS", ["$label1"])
    other = await here.remote()
    await other.select("INBOX")
    await other.store([1, 2], "+FLAGS", ["\\Flagged", "$label1"])
    await other.store([3], "+FLAGS", ["\\Deleted"])
    await other.expunge([3])
    other.close()
    await kept(here)
    expected = {
        1: {"\\Seen", "\\Flagged", "$label1"},
        2: {"\\Flagged"},
        4: set(),
        5: set(),
    }
    assert await there(here) == expected
    await eventually(
        lambda: (
            {u: set(f) for u, f in contents.server_flags(here.cache, local.id).items()} == expected
        )
    )


async def test_a_flag_on_what_another_deleted_is_no_fault(here: Home) -> None:
    await away(here)
    await here.live.writing.store(here.local(), [3], "+FLAGS", ["\\Seen"])
    other = await here.remote()
    await other.select("INBOX")
    await other.store([3], "+FLAGS", ["\\Deleted"])
    await other.expunge([3])
    other.close()
    await kept(here)
    assert here.journal.entries(State.REFUSED) == []
    await here.shown(1, 2, 4, 5)


async def test_deletions_win_over_flags(here: Home, monkeypatch) -> None:
    await away(here)
    local = here.local()
    await here.live.writing.store(local, [2, 3], "+FLAGS", ["\\Seen"])
    await here.live.writing.delete_messages(local, [3])
    stored = watch(monkeypatch, "store")
    await kept(here)
    assert [call for call in stored if 3 in call[0]] == [([3], "+FLAGS", {"\\Deleted"})]
    assert set(await there(here)) == {1, 2, 4, 5}


def watch(monkeypatch, method: str) -> list:
    calls, real = [], getattr(Remote, method)

    async def watched(self, *arguments):
        calls.append(arguments)
        return await real(self, *arguments)

    monkeypatch.setattr(Remote, method, watched)
    return calls


async def test_many_small_changes_go_up_in_few_commands(here: Home, monkeypatch) -> None:
    await away(here)
    place = Place.of(here.local())
    for uid in (1, 2, 4, 5):
        here.journal.flags(place, [Change((uid,), SEEN, NONE)])
    stored = watch(monkeypatch, "store")
    await kept(here)
    assert stored == [([1, 2, 4, 5], "+FLAGS", SEEN)]


async def test_a_new_cache_shows_what_was_promised(tmp_path, monkeypatch) -> None:
    async with house() as server:
        await server.deliver(mail(1), mail(2))
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1, 2)
            await away(made)
            await made.live.writing.store(made.local(), [1], "+FLAGS", ["\\Seen"])
            await made.live.writing.delete_messages(made.local(), [2])
        for path in tmp_path.glob("cache.db*"):
            path.unlink()
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1)
            assert contents.server_flags(made.cache, made.local().id) == {1: SEEN}
            await kept(made)
            assert await there(made) == {1: SEEN}


async def test_an_answer_that_was_lost_is_a_promise(here: Home, monkeypatch) -> None:
    """The server may have done it or not: it is done again, and the program hears OK."""
    talk = await here.talk().login()
    real = Remote.store

    async def lost(self, *arguments):
        monkeypatch.setattr(Remote, "store", real)
        await real(self, *arguments)
        here.lose()
        raise Offline("gone")

    monkeypatch.setattr(Remote, "store", lost)
    assert b"\\Seen" in await talk.ok(b"STORE 1 +FLAGS (\\Seen)")
    assert [one.uids for one in here.journal.pending()] == [(1,)]
    await kept(here)
    assert (await there(here))[1] == {"\\Seen"}


async def test_what_the_server_puts_off_stays_and_what_follows_waits_for_it(
    here: Home, monkeypatch
) -> None:
    real = Remote.store

    async def later(self, *arguments):
        raise Refused("UNAVAILABLE", "Not now.")

    await away(here)
    await here.live.writing.store(here.local(), [1], "+FLAGS", ["\\Seen"])
    monkeypatch.setattr(Remote, "store", later)
    here.down = False
    await eventually(lambda: here.live.online)
    await here.live.writing.store(here.local(), [1], "-FLAGS", ["\\Seen"])
    assert [bool(one.added) for one in here.journal.pending()] == [True, False]
    assert contents.server_flags(here.cache, here.local().id)[1] == NONE
    monkeypatch.setattr(Remote, "store", real)
    here.live.promised()
    await kept(here)
    assert (await there(here))[1] == set()


# what can never be done


async def test_a_mailbox_that_is_gone_or_another_one(here: Home) -> None:
    for name in ("Gone", "Other"):
        await here.live.writing.create(name)
        await here.live.appending.append(here.local(name), mail(9), [], WHEN)
    await away(here)
    for name in ("Gone", "Other"):
        await here.live.writing.store(here.local(name), [1], "+FLAGS", ["\\Seen"])
    await here.live.writing.store(here.local(), [1], "+FLAGS", ["\\Seen"])
    other = await here.remote()
    for name in ("Gone", "Other"):
        await other.delete(name)
    await other.create("Other")
    await other.append("Other", mail(8), [], WHEN)
    other.close()
    await kept(here)
    refused = here.journal.entries(State.REFUSED)
    assert [one.place.name for one in refused] == ["Gone", "Other"]
    # that another mailbox has the name is said, too
    told = [one for one in notices.pending(here.journal._state) if one.kind is Kind.REFUSED]
    assert [(one.kind, one.mailbox) for one in told] == [
        (Kind.REFUSED, "Gone"),
        (Kind.REFUSED, "Other"),
    ]
    assert told[0].text == (
        "The flags of a message could not be changed on the server:"
        " the mailbox is gone, or another one by now."
    )
    here.journal.acknowledge()
    assert here.journal.entries(State.REFUSED) == []
    assert (await there(here))[1] == {"\\Seen"}
    assert await there(here, "Other") == {1: set()}


async def test_a_refused_flag_does_not_stay_on_the_screen(here: Home, monkeypatch) -> None:
    real = Remote.store

    async def picky(self, uids, operation, flags):
        if "forbidden" in flags:
            raise Refused("LIMIT", "No more keywords.")
        return await real(self, uids, operation, flags)

    await away(here)
    local = here.local()
    await here.live.writing.store(local, [1], "+FLAGS", ["forbidden"])
    await here.live.writing.store(local, [1, 2], "+FLAGS", ["\\Seen"])
    monkeypatch.setattr(Remote, "store", picky)
    await kept(here)
    assert [one.reason for one in here.journal.entries(State.REFUSED)] == ["LIMIT"]
    assert contents.server_flags(here.cache, local.id)[1] == SEEN
    assert (await there(here))[2] == SEEN


async def test_a_refused_deletion_comes_back(here: Home, monkeypatch) -> None:
    async def never(self, uids):
        raise Refused("NOPERM", "No.")

    await away(here)
    await here.live.writing.delete_messages(here.local(), [3])
    assert here.uids() == [1, 2, 4, 5]
    monkeypatch.setattr(Remote, "expunge", never)
    await kept(here)
    assert [one.reason for one in here.journal.entries(State.REFUSED)] == ["NOPERM"]
    await here.shown(1, 2, 3, 4, 5)


# the disk


async def test_nothing_is_promised_that_cannot_be_shown(here: Home, monkeypatch) -> None:
    """A full disk: the program hears NO, and nothing happens behind its back."""

    def full(*_):
        raise dbapi2.OperationalError("database or disk is full")

    await away(here)
    monkeypatch.setattr(contents, "change", full)
    with pytest.raises(LocalFault):
        await here.live.writing.store(here.local(), [1], "+FLAGS", ["\\Seen"])
    assert here.journal.pending() == []


async def test_nothing_is_promised_that_is_not_on_the_disk(here: Home, monkeypatch) -> None:
    def full(*_):
        raise LocalFault("full")

    talk = await here.talk().login()
    await away(here)
    monkeypatch.setattr(here.journal, "flags", full)
    said = await talk.no(b"STORE 1 +FLAGS (\\Flagged)")
    assert b"a NO [" in said
    assert b"\\Flagged" not in await talk.ok(b"FETCH 1 FLAGS")


# APPEND


async def sealed(here: Home, number: int) -> bytes:
    rendered = render(await here.server.seal(mail(number)))
    return rendered.read(0, rendered.size)


@pytest.mark.parametrize("arrives", [False, True])
async def test_an_append_whose_answer_was_lost_is_sent_again_once(
    here: Home, monkeypatch, arrives
) -> None:
    record = await sealed(here, 6)
    monkeypatch.setattr(here.live.appending, "_seal", lambda _: record)
    real = Remote.append

    async def lost(self, *arguments):
        monkeypatch.setattr(Remote, "append", real)
        if arrives:
            await real(self, *arguments)
        for wire in here.wires:
            wire.protocol.transport.abort()
        raise Offline("gone")

    monkeypatch.setattr(Remote, "append", lost)
    assert await here.live.appending.append(here.local(), mail(6), ["\\Seen"], WHEN) == (
        here.local().uidvalidity,
        6,
    )
    assert await there(here) == {n: {"\\Seen"} if n == 6 else set() for n in range(1, 7)}
    assert here.journal.entries(State.SENDING) == []


async def test_an_append_answered_no_is_stored_once_when_it_is_tried_again(
    here: Home, monkeypatch
) -> None:
    monkeypatch.setattr(appending, "APPEND_SECONDS", 0.2)
    records = [await sealed(here, 6), await sealed(here, 6)]
    monkeypatch.setattr(here.live.appending, "_seal", lambda _: records.pop(0))
    real = Remote.append

    async def lost(self, *arguments):
        monkeypatch.setattr(Remote, "append", real)
        await real(self, *arguments)
        here.lose()
        raise Offline("gone")

    monkeypatch.setattr(Remote, "append", lost)
    with pytest.raises(Offline):
        await here.live.appending.append(here.local(), mail(6), [], WHEN)
    (row,) = here.journal.entries(State.SENDING)
    await kept(here)
    await here.shown(*range(1, 7))
    assert await here.live.appending.append(here.local(), mail(6), [], WHEN) == (
        here.local().uidvalidity,
        6,
    )
    assert here.journal.octets(row.id) is None
    # and a third time it is wanted twice
    await here.live.appending.append(here.local(), mail(6), [], WHEN)
    assert set(await there(here)) == set(range(1, 8))


async def test_a_refused_append_leaves_nothing(here: Home) -> None:
    target = here.local()
    gone = Place("Gone", "", 1)
    with pytest.raises(Refused):
        await here.live.appending.append(
            mailboxes.Mailbox(**{**fields(target), "name": gone.name}), mail(6), [], WHEN
        )
    assert here.journal.entries(State.SENDING) == []


def fields(local: mailboxes.Mailbox) -> dict:
    return {name: getattr(local, name) for name in local.__slots__}


async def test_our_own_client_may_queue_an_append(here: Home, tmp_path) -> None:
    await away(here)
    here.journal.queue_append(Place.of(here.local()), await sealed(here, 6), ["\\Seen"], WHEN)
    here.journal.queue_append(Place("Gone", "", 0), await sealed(here, 7), [], WHEN)
    await kept(here)
    await here.shown(*range(1, 7))
    assert (await there(here))[6] == SEEN
    (refused,) = here.journal.entries(State.REFUSED)
    assert refused.place.name == "Gone"
    here.journal.acknowledge()
    folder = tmp_path / "saved"
    octets = here.journal.octets(refused.id)
    assert repairing.save_refused(here.journal, folder) == 1
    assert [one.read_bytes() for one in folder.iterdir()] == [octets]
    assert here.journal.entries(State.REFUSED) == []


# several programs


async def test_a_program_that_does_not_sync_promises_and_the_other_one_does_it(
    here: Home, tmp_path, monkeypatch
) -> None:
    async with home(here.server, tmp_path, monkeypatch) as second:
        await eventually(lambda: second.live.elsewhere)
        await second.shown(1, 2, 3, 4, 5)
        await second.live.writing.store(second.local(), [1], "+FLAGS", ["\\Seen"])
        await second.live.writing.delete_messages(second.local(), [2])
        await kept(here)
        assert await there(here) == {1: SEEN, 3: set(), 4: set(), 5: set()}


async def test_a_program_that_does_not_sync_writes_on_a_connection_of_its_own(
    here: Home, tmp_path, monkeypatch
) -> None:
    async with home(here.server, tmp_path, monkeypatch) as second:
        await eventually(lambda: second.live.elsewhere)
        talk = await second.talk().login()
        await talk.ok(b"STORE 1 +FLAGS (\\Seen)")
        await talk.ok(b"CREATE Box")
        assert b"COPYUID" in await talk.ok(b"COPY 1 Box")
        assert b"APPENDUID" in await talk.ok(b"APPEND Box {2+}\r\nx:")
        # a copy has the flags that were promised before it
        assert await there(here, "Box") == {1: SEEN, 2: set()}
        await away(second)
        assert b"a NO [UNAVAILABLE]" in await talk.no(b"COPY 1 Box")


async def test_a_program_takes_over_what_a_dead_one_promised(tmp_path, monkeypatch) -> None:
    async with house() as server:
        await server.deliver(mail(1))
        async with home(server, tmp_path, monkeypatch) as first:
            await first.shown(1)
            async with home(server, tmp_path, monkeypatch) as second:
                await eventually(lambda: second.live.elsewhere)
                await away(first)
                await first.live.writing.store(first.local(), [1], "+FLAGS", ["\\Seen"])
                await first.end()
                await eventually(lambda: not second.live.elsewhere)
                await kept(second)
                assert await there(second) == {1: SEEN}


async def test_the_bell_is_heard(here: Home) -> None:
    await eventually(lambda: not here.live._promised.is_set())
    assert (here.live._bell._path.stat().st_mode & 0o777) == 0o600
    here.live._bell.ring()
    await asyncio.wait_for(here.live._promised.wait(), 20)


async def test_a_copy_that_is_done_is_not_told_as_failed(here: Home, monkeypatch) -> None:
    """The server says OK, and the connection breaks at what it says beside it."""
    await here.live.writing.create("Box")
    inbox, box = here.local(), here.local("Box")
    real = Remote.news

    def breaks(self):
        monkeypatch.setattr(Remote, "news", real)
        raise Offline("gone")

    copy = Remote.copy

    async def then(self, *arguments):
        copied = await copy(self, *arguments)
        monkeypatch.setattr(Remote, "news", breaks)
        return copied

    monkeypatch.setattr(Remote, "copy", then)
    copied = await here.live.writing.copy(inbox, [1], box, move=False)
    assert copied == (box.uidvalidity, [1], [1])
    assert await there(here, "Box") == {1: set()}
