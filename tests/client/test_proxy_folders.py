"""Folders at the proxy: copying, moving, deleting, renaming and keywords do what they say."""

import re
from collections.abc import AsyncIterator

import pytest

from e2email_client.failure import Offline
from e2email_client.upstream import Remote
from support.home import Home, Talk, eventually, home
from support.sealed_face import house

MAIL = b"From: bob@example.net\r\nSubject: %d\r\n\r\nnothing of note\r\n"
DRAFT = b"Subject: draft\r\n\r\nfirst version\r\n"


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server:
        await server.deliver(MAIL % 1, MAIL % 2, MAIL % 3)
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1, 2, 3)
            await eventually(lambda: made.live.online and all_listed(made))
            yield made


def all_listed(made: Home) -> bool:
    """What a new account begins with."""
    names = ("INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash")
    return all((local := made.local(name)) is not None and local.complete for name in names)


async def meta(talk: Talk, number: int) -> bytes:
    said = await talk.ok(b"FETCH %d (INTERNALDATE EMAILID RFC822.SIZE BODY.PEEK[])" % number)
    head = re.search(rb"INTERNALDATE .* BODY\[\] \{(\d+)\}\r\n", said)
    return said[head.start() : head.end() + int(head[1])]


async def flags(talk: Talk, number: int) -> set[bytes]:
    said = await talk.ok(b"FETCH %d (FLAGS)" % number)
    return set(re.search(rb"FLAGS \(([^)]*)\)", said)[1].split())


async def append(talk: Talk, octets: bytes, name: bytes = b"INBOX", more: bytes = b"") -> bytes:
    return await talk.ok(b"APPEND %b %b{%d+}\r\n%b" % (name, more, len(octets), octets))


async def test_a_copy_is_the_same_mail_with_its_flags_and_time(here: Home) -> None:
    talk = await here.talk().login()
    assert b"OBJECTID" in await talk.ok(b"CAPABILITY")
    await talk.ok(b"STORE 2 +FLAGS (\\Seen \\Answered $label1 own)")
    before, kept = await meta(talk, 2), await flags(talk, 2)
    assert {b"\\Seen", b"\\Answered", b"$label1", b"own"} < kept
    assert re.search(rb"COPYUID \d+ 2 1\]", await talk.ok(b"COPY 2 Archive"))
    assert await flags(talk, 2) == kept
    await talk.ok(b"SELECT Archive")
    assert await meta(talk, 1) == before
    assert await flags(talk, 1) == kept
    # and they are two from now on
    await talk.ok(b"STORE 1 FLAGS (\\Flagged)")
    await talk.ok(b"SELECT INBOX")
    assert b"\\Flagged" not in await flags(talk, 2)


async def test_a_message_is_saved_when_it_comes_into_its_mailbox(here: Home) -> None:
    talk, remote = await here.talk().login(), await here.remote()
    await talk.ok(b"COPY 2 Archive")
    with here.cache.write() as writer:
        writer.execute("UPDATE message SET saved = NULL WHERE uid = 3")
    await remote.select("INBOX")
    (batch,) = [batch async for batch in remote.skeletons(1)]
    said = [one.saved for one in batch]
    assert None not in said
    kept = here.cache.read("SELECT saved FROM message WHERE mailbox_id = ?", (here.local().id,))
    assert [saved for (saved,) in kept] == [*said[:2], None]
    assert re.search(
        rb'\(SAVEDATE " ?\d+-\w+-\d+ [\d:]+ \+0000"\)', await talk.ok(b"FETCH 1 SAVEDATE")
    )
    assert b"(SAVEDATE NIL)" in await talk.ok(b"FETCH 3 SAVEDATE")
    assert b"* SEARCH\r\n" in await talk.ok(b"SEARCH SAVEDBEFORE 1-Jan-2020")
    assert b"* SEARCH 1 2 3\r\n" in await talk.ok(b"SEARCH SAVEDSINCE 1-Jan-2020")
    await talk.ok(b"SELECT Archive")
    assert b"NIL" not in await talk.ok(b"FETCH 1 SAVEDATE")


async def test_a_mail_that_is_moved_is_the_same_mail(here: Home) -> None:
    talk, other = await here.talk().login(), await here.talk().login()
    before = await meta(talk, 2)
    said = await talk.ok(b"UID MOVE 2 Archive")
    assert re.search(rb"\* OK \[COPYUID \d+ 2 1\] moved\r\n.*\* 2 EXPUNGE\r\n", said, re.DOTALL)
    assert b"* 2 EXPUNGE" in await other.ok(b"NOOP")
    assert b"* SEARCH 1 3\r\n" in await talk.ok(b"UID SEARCH ALL")
    await talk.ok(b"SELECT Archive")
    assert await meta(talk, 1) == before


async def test_expunge_takes_what_is_marked_and_of_uids_only_those(here: Home) -> None:
    talk = await here.talk().login()
    await talk.ok(b"STORE 1:3 +FLAGS.SILENT (\\Deleted)")
    assert re.findall(rb"\* (\d) EXPUNGE", await talk.ok(b"UID EXPUNGE 2:99")) == [b"3", b"2"]
    assert b"* SEARCH 1\r\n" in await talk.ok(b"UID SEARCH ALL")
    await talk.ok(b"CLOSE")
    assert b"MESSAGES 0" in await talk.ok(b"STATUS INBOX (MESSAGES)")


async def test_a_mailbox_that_is_deleted_while_selected_ends_in_bye(here: Home) -> None:
    talk, other = await here.talk().login(), await here.talk().login(select=b"Archive")
    await talk.ok(b"DELETE Archive")
    assert b"* BYE" in await other.ask(b"a NOOP\r\n")
    assert b"NO [NONEXISTENT]" in await talk.no(b"SELECT Archive")
    assert b"Archive" not in await talk.ok(b'LIST "" *')


async def test_a_mailbox_keeps_its_mail_and_its_id_when_it_is_renamed(here: Home) -> None:
    talk = await here.talk().login()
    await talk.ok(b"COPY 1:2 Archive")
    mailbox_id = await talk.ok(b"STATUS Archive (MAILBOXID UIDVALIDITY MESSAGES)")
    await talk.ok(b"RENAME Archive Kept/2026")
    said = await talk.ok(b"STATUS Kept/2026 (MAILBOXID UIDVALIDITY MESSAGES)")
    assert said == mailbox_id.replace(b'"Archive"', b'"Kept/2026"')
    assert b"MESSAGES 2" in said


async def test_renaming_the_inbox_moves_its_messages_and_leaves_it(here: Home) -> None:
    talk = await here.talk().login()
    before = await meta(talk, 3)
    await talk.ok(b"RENAME INBOX Old")

    async def emptied() -> bool:
        return b"MESSAGES 0" in await talk.ok(b"STATUS INBOX (MESSAGES)")

    await eventually(emptied)
    await talk.ok(b"SELECT Old")
    assert await meta(talk, 3) == before


async def test_keywords_are_the_same_in_any_case_and_any_number(here: Home) -> None:
    talk = await here.talk().login()
    assert b"\\*)]" in await talk.ok(b"SELECT INBOX")
    await talk.ok(b"STORE 1 +FLAGS (Work)")
    assert b"Work" in await talk.ok(b"STORE 2 +FLAGS (WORK)")
    assert b"* SEARCH 1 2\r\n" in await talk.ok(b"SEARCH KEYWORD work")
    assert b"Work" not in await talk.ok(b"STORE 2 -FLAGS (wORK)")
    many = [b"k%d" % number for number in range(1000)]
    for start in range(0, len(many), 100):
        await talk.ok(b"STORE 3 +FLAGS.SILENT (%b)" % b" ".join(many[start : start + 100]))
    assert set(many) <= await flags(talk, 3)


async def test_a_special_use_is_made(here: Home) -> None:
    talk = await here.talk().login()
    await talk.ok(b"DELETE Archive")
    await talk.ok(b"CREATE Ablage (USE (\\Archive))")
    assert b'\\Archive) "/" "Ablage"' in await talk.ok(b'LIST "" *')
    assert b"NO [USEATTR]" in await talk.no(b"CREATE Other (USE (\\Archive))")
    assert b"NO [USEATTR]" in await talk.no(b"CREATE Other (USE (\\All))")


# REPLACE


async def test_a_draft_is_replaced(here: Home) -> None:
    talk = await here.talk().login()
    await append(talk, DRAFT, b"Drafts", b"(\\Draft) ")
    await talk.ok(b"SELECT Drafts")
    said = await talk.ok(b"REPLACE 1 Drafts (\\Draft \\Seen) {8+}\r\nx: y\r\n\r\n")
    assert re.search(rb"\* OK \[APPENDUID \d+ 2\] .*\* 1 EXPUNGE\r\n", said, re.DOTALL)
    assert b"BODY[] {8}\r\nx: y\r\n\r\n)" in await talk.ok(b"FETCH 1 BODY.PEEK[]")
    assert {b"\\Draft", b"\\Seen"} < await flags(talk, 1)


async def test_what_fails_while_a_draft_is_replaced_loses_neither(here: Home, monkeypatch) -> None:
    async def fails(*_: object) -> None:
        raise Offline("gone")

    talk = await here.talk().login()
    await append(talk, DRAFT, b"Drafts", b"(\\Draft) ")
    await talk.ok(b"SELECT Drafts")
    with monkeypatch.context() as broken:
        broken.setattr(Remote, "append", fails)
        assert b"a OK" not in await talk.ask(b"a REPLACE 1 Drafts {8+}\r\nx: y\r\n\r\n\r\n")
    talk = await here.talk().login(select=b"Drafts")
    assert b"first version" in await talk.ok(b"FETCH 1 BODY.PEEK[]")
    assert b"\\Deleted" not in await flags(talk, 1)
    assert b"MESSAGES 1" in await talk.ok(b"STATUS Drafts (MESSAGES)")
