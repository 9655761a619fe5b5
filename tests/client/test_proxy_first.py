"""A proxy that has listed little or nothing yet: nothing that is there is ever left out.

A program that synchronises takes a mailbox that LIST leaves out for deleted, and makes one that is
NONEXISTENT.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2email_client.local import contents, names
from e2email_client.proxy import account
from e2email_client.sync import Sync
from e2email_client.upstream import Remote
from support.home import Home, Talk, eventually, home
from support.sealed_face import House, house

MAIL = b"From: bob@example.net\r\nSubject: %d\r\n\r\nnothing of note\r\n"
ALL = {b"INBOX", b"Archive", b"Drafts", b"Junk", b"Sent", b"Trash"}
APPEND = b"APPEND %b {8+}\r\nx: y\r\n\r\n"


@pytest.fixture
async def server() -> AsyncIterator[House]:
    async with house() as made:
        await made.deliver(MAIL % 1, MAIL % 2, MAIL % 3)
        yield made


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Programs are told at once what is not there yet."""
    monkeypatch.setattr(account, "LISTED_SECONDS", 0.0)


def held(monkeypatch, owner: type, name: str) -> asyncio.Event:
    """The method does nothing until the event is set."""
    goes_on, kept = asyncio.Event(), getattr(owner, name)

    async def waits(*arguments, **options):
        await goes_on.wait()
        return await kept(*arguments, **options)

    monkeypatch.setattr(owner, name, waits)
    return goes_on


async def logged_in(made: Home) -> Talk:
    return await made.talk().login(select=b"")


def listed(said: bytes) -> set[bytes]:
    return {line.split(b'"')[3] for line in said.splitlines() if line.startswith(b"* L")}


@pytest.mark.parametrize(
    "command", [b'LIST "" *', b'LSUB "" *', b'LIST "" * RETURN (STATUS (UIDNEXT))']
)
async def test_a_list_that_is_not_known_is_not_available(
    server: House, tmp_path: Path, monkeypatch, impatient: None, command: bytes
) -> None:
    goes_on = held(monkeypatch, Remote, "mailboxes")
    async with home(server, tmp_path, monkeypatch) as made:
        talk = await logged_in(made)
        await eventually(lambda: made.live.online)
        said = await talk.no(command)
        assert b"NO [UNAVAILABLE]" in said
        assert listed(said) == set()
        for other in (b"SELECT INBOX", b"STATUS Drafts (UIDNEXT)", APPEND % b"Drafts"):
            assert b"NO [UNAVAILABLE]" in await talk.no(other)
        goes_on.set()
        await eventually(lambda: made.local() is not None)
        assert listed(await talk.ok(command)) == ALL


async def test_mailboxes_are_named_before_any_is_listed(
    server: House, tmp_path: Path, monkeypatch, impatient: None
) -> None:
    goes_on = held(monkeypatch, Sync, "skeleton")
    async with home(server, tmp_path, monkeypatch) as made:
        talk = await logged_in(made)
        await eventually(lambda: made.local() is not None)
        said = await talk.ok(b'LIST "" *')
        assert listed(said) == ALL
        assert b'\\Drafts) "/" "Drafts"' in said
        assert listed(await talk.ok(b'LSUB "" *')) == ALL
        assert b"* STATUS" not in await talk.ok(b'LIST "" * RETURN (STATUS (UIDNEXT))')
        for name in ALL:
            for command in (b"SELECT " + name, b"STATUS %b (UIDNEXT)" % name, APPEND % name):
                assert b"NO [UNAVAILABLE]" in await talk.no(command)
        assert b"[TRYCREATE]" in await talk.no(APPEND % b"Other")
        assert b"NO [ALREADYEXISTS]" in await talk.no(b"CREATE Drafts")
        goes_on.set()
        await eventually(lambda: made.local("Trash").complete)
        await talk.ok(b"SELECT INBOX")
        await talk.ok(APPEND % b"Drafts")
        assert listed(await talk.ok(b'LIST "" *')) == ALL


async def test_what_is_listed_soon_is_waited_for(
    server: House, tmp_path: Path, monkeypatch
) -> None:
    all_of_it = held(monkeypatch, Remote, "mailboxes")
    each = held(monkeypatch, Sync, "skeleton")
    async with home(server, tmp_path, monkeypatch) as made:
        talk, other = await logged_in(made), await logged_in(made)
        asked = asyncio.create_task(talk.ok(b'LIST "" *'))
        selected = asyncio.create_task(other.ok(b"SELECT INBOX"))
        await eventually(lambda: made.live.online)
        await asyncio.sleep(0.05)
        assert not asked.done()
        all_of_it.set()
        assert listed(await asked) == ALL
        assert not selected.done()
        each.set()
        assert b"* 3 EXISTS" in await selected


async def test_nobody_waits_for_a_server_that_is_away(
    server: House, tmp_path: Path, monkeypatch
) -> None:
    async with home(server, tmp_path, monkeypatch, run=False) as made:
        talk = await logged_in(made)
        waits = held(monkeypatch, type(made.live), "wait")
        for command in (b'LIST "" *', b"SELECT INBOX"):
            assert b"NO [UNAVAILABLE]" in await talk.no(command)
        assert not waits.is_set()


async def test_a_listing_that_breaks_off_goes_on_with_all_names(
    server: House, tmp_path: Path, monkeypatch, impatient: None
) -> None:
    goes_on = held(monkeypatch, Sync, "skeleton")
    async with home(server, tmp_path, monkeypatch) as made:
        talk = await logged_in(made)
        await eventually(lambda: made.local() is not None)
        made.lose()
        goes_on.set()
        await eventually(lambda: not made.live.online)
        assert listed(await talk.ok(b'LIST "" *')) == ALL
        assert b"NO [UNAVAILABLE]" in await talk.no(APPEND % b"Drafts")
        made.down = False
        await eventually(lambda: made.local("Trash").complete)
        await talk.ok(APPEND % b"Drafts")


async def test_a_cache_that_was_deleted_hides_nothing_and_renumbers_nothing(
    server: House, tmp_path: Path, monkeypatch, impatient: None
) -> None:
    async with home(server, tmp_path, monkeypatch) as made:
        await made.shown(1, 2, 3)
        await eventually(lambda: made.local("Trash") and made.local("Trash").complete)
        talk = await logged_in(made)
        before = await talk.ok(b"STATUS INBOX (UIDVALIDITY UIDNEXT MESSAGES MAILBOXID)")
        await talk.ok(b"SELECT INBOX")
        made.lose()
        await eventually(lambda: not made.live.online)
        await talk.ok(b"STORE 2 +FLAGS (own)")  # a promise
    for path in tmp_path.glob("cache.db*"):
        path.unlink()
    with monkeypatch.context() as slow:
        goes_on = held(slow, Sync, "skeleton")
        async with home(server, tmp_path, monkeypatch) as made:
            talk = await logged_in(made)
            await eventually(lambda: made.local() is not None)
            assert listed(await talk.ok(b'LIST "" *')) == ALL
            assert b"NO [UNAVAILABLE]" in await talk.no(b"SELECT INBOX")
            goes_on.set()
            await made.shown(1, 2, 3)
            talk = await logged_in(made)  # OBJECTID is offered from now on
            assert await talk.ok(b"STATUS INBOX (UIDVALIDITY UIDNEXT MESSAGES MAILBOXID)") == before
            await talk.ok(b"SELECT INBOX")
            assert b"own" in await talk.ok(b"FETCH 2 (FLAGS)")


async def test_what_is_listed_anew_stays_named(server: House, tmp_path: Path, monkeypatch) -> None:
    async with home(server, tmp_path, monkeypatch) as made:
        await made.shown(1, 2, 3)
        await made.end()
        old = made.local()
        names.unlist(made.cache, old)
        new = made.local()
        assert (new.complete, new.object_id, new.subscribed) == (False, old.object_id, True)
        assert new.id != old.id
        assert contents.entries(made.cache, new.id) == []
        names.unlist(made.cache, old)  # which is another one by now
        assert made.local() == new
