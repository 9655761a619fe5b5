"""CONDSTORE and QRESYNC at the proxy (RFC 7162), over a real sealed face."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from support.home import Home, Talk, eventually, home
from support.sealed_face import House, house

MAIL = b"From: bob@example.net\r\nSubject: %d\r\n\r\nnothing of note\r\n"


@pytest.fixture
async def server() -> AsyncIterator[House]:
    async with house() as running:
        await running.deliver(*(MAIL % number for number in range(1, 6)))
        yield running


@pytest.fixture
async def here(server: House, tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with home(server, tmp_path, monkeypatch) as made:
        await quiet(made, 1, 2, 3, 4, 5)
        yield made


async def quiet(made: Home, *uids: int) -> None:
    """All is opened, so that no keyword rises any more."""
    await made.shown(*uids)
    await eventually(lambda: made.cache.read("SELECT min(state) FROM mail") == [(3,)])
    await eventually(lambda: made.live.online)


async def modseq(talk: Talk, name: bytes = b"INBOX") -> int:
    said = await talk.ok(b"STATUS %b (HIGHESTMODSEQ UIDVALIDITY)" % name)
    return int(re.search(rb"HIGHESTMODSEQ (\d+)", said)[1])


async def validity(talk: Talk) -> int:
    said = await talk.ok(b"STATUS INBOX (UIDVALIDITY)")
    return int(re.search(rb"UIDVALIDITY (\d+)", said)[1])


async def resynced(made: Home, since: int, known: bytes = b"") -> bytes:
    """What a program hears that comes back."""
    talk = await made.talk().login(select=b"")
    await talk.ok(b"ENABLE QRESYNC")
    number = await validity(talk)
    return await talk.ok(b"SELECT INBOX (QRESYNC (%d %d%b))" % (number, since, known))


async def expunge(talk: Talk, uids: bytes) -> None:
    await talk.ok(b"UID STORE %b +FLAGS.SILENT (\\Deleted)" % uids)
    await talk.ok(b"UID EXPUNGE " + uids)


# conditional STORE


async def test_of_two_conditional_stores_at_once_one_is_too_late(here: Home) -> None:
    one, other = await here.talk().login(), await here.talk().login()
    before = await modseq(one)
    said = await asyncio.gather(
        *(
            talk.ok(b"UID STORE 2:3 (UNCHANGEDSINCE %d) +FLAGS (%b)" % (before, word))
            for talk, word in ((one, b"one"), (other, b"other"))
        )
    )
    assert sum(b"[MODIFIED 2:3]" in answer for answer in said) == 1
    flags = await one.ok(b"UID FETCH 2:3 FLAGS")
    assert len(re.findall(rb"\bone\b", flags)) + len(re.findall(rb"\bother\b", flags)) in (2, 4)
    assert (b" one" in flags) != (b" other" in flags)


async def test_a_conditional_store_sees_the_plain_one_before_it(here: Home) -> None:
    one, other = await here.talk().login(), await here.talk().login()
    before = await modseq(one)
    _, said = await asyncio.gather(
        other.ok(b"UID STORE 1 FLAGS (theirs)"),
        one.ok(b"UID STORE 1 (UNCHANGEDSINCE %d) FLAGS (mine)" % before),
    )
    assert b"[MODIFIED 1]" in said
    await one.ok(b"NOOP")
    flags = await one.ok(b"UID FETCH 1 FLAGS")
    assert b"theirs" in flags
    assert b"mine" not in flags


async def test_what_changed_since_is_told_with_its_modseq(here: Home) -> None:
    talk = await here.talk().login()
    before = await modseq(talk)
    said = await talk.ok(b"STORE 2 +FLAGS (\\Flagged)")
    now = int(re.search(rb"\* 2 FETCH \(.*", said) and await modseq(talk))
    assert now > before
    said = await talk.ok(b"FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % before)
    assert re.findall(rb"\* (\d) FETCH", said) == [b"2"]
    assert b"MODSEQ (%d)" % now in said
    assert b"* SEARCH 2 (MODSEQ %d)" % now in await talk.ok(b"SEARCH MODSEQ %d" % now)
    # what changes nothing, changes no modseq
    await talk.ok(b"STORE 2 +FLAGS (\\Flagged)")
    assert b"MODSEQ (%d)" % now in await talk.ok(b"FETCH 2 MODSEQ")


# QRESYNC


async def test_a_program_that_comes_back_is_told_what_is_new_changed_and_gone(here: Home) -> None:
    talk = await here.talk().login()
    since = await modseq(talk)
    await talk.ok(b"UID STORE 3 +FLAGS (\\Seen)")
    await expunge(talk, b"2,5")
    await here.server.deliver(MAIL % 6)
    await quiet(here, 1, 3, 4, 6)
    said = await resynced(here, since)
    assert b"* VANISHED (EARLIER) 2,5\r\n" in said
    assert re.findall(rb"\* (\d) FETCH \(UID (\d)", said) == [(b"2", b"3"), (b"4", b"6")]
    assert b"* VANISHED (EARLIER) 5\r\n" in await resynced(here, since, b" 3:9")
    assert b"VANISHED" not in await resynced(here, await modseq(talk))


async def test_vanished_is_told_at_once_to_who_enabled_it(here: Home) -> None:
    talk, other = await here.talk().login(select=b""), await here.talk().login()
    await talk.ok(b"ENABLE QRESYNC")
    await talk.ok(b"SELECT INBOX")
    await expunge(other, b"1:2")
    said = await talk.ok(b"NOOP")
    assert b"* VANISHED 1:2\r\n" in said
    assert b"EXPUNGE" not in said


async def test_another_process_remembers_what_the_last_one_told(
    server: House, tmp_path, monkeypatch
) -> None:
    async with home(server, tmp_path, monkeypatch) as made:
        await quiet(made, 1, 2, 3, 4, 5)
        talk = await made.talk().login()
        since = await modseq(talk)
        await expunge(talk, b"4")
    async with home(server, tmp_path, monkeypatch) as made:
        await quiet(made, 1, 2, 3, 5)
        said = await resynced(made, since)
        assert b"* VANISHED (EARLIER) 4\r\n" in said
        assert b"FETCH" not in said


async def test_after_the_cache_was_deleted_everything_that_is_not_there_is_gone(
    server: House, tmp_path, monkeypatch
) -> None:
    async with home(server, tmp_path, monkeypatch) as made:
        await quiet(made, 1, 2, 3, 4, 5)
        talk = await made.talk().login()
        since = await modseq(talk)
        await expunge(talk, b"4")
        later = await modseq(talk)
    for file in tmp_path.glob("cache.db*"):
        file.unlink()
    async with home(server, tmp_path, monkeypatch) as made:
        await quiet(made, 1, 2, 3, 5)
        for known in (since, later):
            said = await resynced(made, known)
            assert b"* VANISHED (EARLIER) 4\r\n" in said
            # whose modseqs are others now
            assert re.findall(rb"FETCH \(UID (\d)", said) == [b"1", b"2", b"3", b"5"]
        assert await modseq(await made.talk().login()) > later


async def test_a_modseq_from_the_future_is_told_everything(here: Home) -> None:
    talk = await here.talk().login()
    said = await resynced(here, await modseq(talk) + 10**12)
    assert re.findall(rb"FETCH \(UID (\d)", said) == [b"1", b"2", b"3", b"4", b"5"]


async def test_uid_fetch_vanished(here: Home) -> None:
    talk = await here.talk().login(select=b"")
    await talk.ok(b"ENABLE QRESYNC")
    await talk.ok(b"SELECT INBOX")
    since = await modseq(talk)
    await expunge(await here.talk().login(), b"1,3")
    await talk.ok(b"NOOP")
    said = await talk.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)" % since)
    assert b"* VANISHED (EARLIER) 1,3\r\n" in said
    assert b"FETCH (" not in said
