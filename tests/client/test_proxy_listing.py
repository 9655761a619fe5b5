"""Listing a mailbox at the proxy: what programs ask for first opens no body."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from e2email_client.filling import Filling
from e2email_client.live import Live
from e2email_client.local import mails, outlines
from e2email_client.local.mails import State
from e2email_client.opening import Opening
from e2email_protocol.imap.extensions import Outline
from support.home import Home, eventually, home
from support.sealed_face import TRACE, house

DAY = b"Date: Sun, %d Nov 2026 10:00:00 +0000\r\n"
FIRST = (
    b"From: Zoe <zoe@example.net>\r\nTo: alice@example.test\r\nSubject: Walk\r\n"
    b"Message-ID: <1@example.net>\r\n" + DAY % 22 + b"X-Mailer: pigeon\r\n\r\nAt noon?\r\n"
)
ANSWER = (
    b"From: Bob <bob@example.net>\r\nTo: alice@example.test\r\nSubject: Re: walk\r\n"
    b"Message-ID: <2@example.net>\r\nIn-Reply-To: <1@example.net>\r\n"
    + DAY % 8
    + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nYes \xc3\xbc\r\n"
)
OTHER = (
    b"From: amy@example.net\r\nTo: alice@example.test\r\nSubject: [list] apples\r\n"
    + DAY % 15
    + b"\r\n\r\n"
)
# asked for by Thunderbird of every new message
THUNDERBIRD = (
    b"From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups"
    b" In-Reply-To Content-Type Reply-To"
)


async def nothing(*_: object) -> None:
    """In place of what opens all bodies in the background."""


class Opened(list[str]):
    """Which mails were opened, in order."""


@pytest.fixture
def opened(monkeypatch) -> Opened:
    """Nothing is opened in the background; what is opened all the same is noted."""
    seen, kept = Opened(), Opening.bodies

    def bodies(self, found):
        listed = list(found)
        seen.extend(email_id for email_id, _ in listed)
        return kept(self, listed)

    monkeypatch.setattr(Opening, "bodies", bodies)
    monkeypatch.setattr(Filling, "bodies", nothing)
    return seen


@pytest.fixture
async def here(tmp_path, monkeypatch, opened) -> AsyncIterator[Home]:
    async with house() as server:
        await server.deliver(FIRST, ANSWER, OTHER)
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1, 2, 3)
            await eventually(lambda: not lacking(made))
            yield made


def lacking(made: Home) -> list[object]:
    return mails.lacking(made.cache, made.local().id, made.uids(), State.READY)


@pytest.mark.parametrize(
    "items",
    [
        b"(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
        b"(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (%b)])" % THUNDERBIRD,
        b"(BODY)",
        b"(PREVIEW)",
        b"(PREVIEW (LAZY))",
        b"(MODSEQ)",
    ],
)
async def test_a_listing_opens_nothing(here: Home, opened: Opened, items: bytes) -> None:
    talk = await here.talk().login()
    assert b"* 3 FETCH" in await talk.ok(b"FETCH 1:* " + items)
    assert opened == []


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"SORT (REVERSE DATE) UTF-8 ALL", b"* SORT 1 3 2\r\n"),
        (b"SORT (SUBJECT) UTF-8 ALL", b"* SORT 3 1 2\r\n"),
        (b"SORT (FROM) US-ASCII ALL", b"* SORT 3 2 1\r\n"),
        (b"SORT (ARRIVAL) UTF-8 1:2", b"* SORT 1 2\r\n"),
        (b"SORT (REVERSE SIZE) UTF-8 ALL", b"* SORT 2 1 3\r\n"),
        (b"UID THREAD REFERENCES UTF-8 ALL", b"* THREAD (3)(1 2)\r\n"),
        (b"THREAD ORDEREDSUBJECT UTF-8 ALL", b"* THREAD (2 1)(3)\r\n"),
        (b"SEARCH SUBJECT WALK", b"* SEARCH 1 2\r\n"),
        (b"SEARCH FROM zoe", b"* SEARCH 1\r\n"),
        (b"SEARCH HEADER Newsgroups x", b"* SEARCH\r\n"),
        (b"SEARCH SENTBEFORE 15-Nov-2026", b"* SEARCH 2\r\n"),
        (b"SEARCH LARGER 100 SENTSINCE 15-Nov-2026", b"* SEARCH 1 3\r\n"),
    ],
)
async def test_nothing_is_opened_to_sort_thread_or_search_headers(
    here: Home, opened: Opened, command: bytes, answer: bytes
) -> None:
    talk = await here.talk().login()
    assert (await talk.ok(command)).startswith(answer)
    assert opened == []
    await talk.ok(b"FETCH 1:* BODY.PEEK[]")
    assert len(opened) == 3
    assert answer in await talk.ok(command)  # from the header, too


async def test_a_field_that_is_not_published_is_read_from_the_body_of_those_that_have_it(
    here: Home, opened: Opened
) -> None:
    talk = await here.talk().login()
    said = await talk.ok(b"FETCH 2:3 BODY.PEEK[HEADER.FIELDS (X-Mailer Subject)]")
    assert b"Subject: Re: walk\r\n\r\n" in said
    assert opened == []
    said = await talk.ok(b"FETCH 1 BODY.PEEK[HEADER.FIELDS (X-Mailer Subject)]")
    assert b"Subject: Walk\r\nX-Mailer: pigeon\r\n\r\n" in said
    assert len(opened) == 1
    assert b"* SEARCH 1\r\n" in await talk.ok(b"SEARCH HEADER X-Mailer PIG")
    assert len(opened) == 1


async def test_the_whole_header_of_many_is_had_at_once(here: Home, monkeypatch) -> None:
    asked = []
    kept = Opening.bodies
    monkeypatch.setattr(
        Opening, "bodies", lambda self, found: asked.append(1) or kept(self, list(found))
    )
    talk = await here.talk().login()
    said = await talk.ok(b"FETCH 1:3 BODY.PEEK[HEADER]")
    for mail in (FIRST, ANSWER, OTHER):
        header = TRACE + mail[: mail.index(b"\r\n\r\n") + 4]
        assert b"BODY[HEADER] {%d}\r\n%b)" % (len(header), header) in said
    assert len(asked) == 1


async def test_opening_changes_nothing_that_programs_remember(here: Home, opened: Opened) -> None:
    talk = await here.talk().login()
    await talk.ok(b"ENABLE CONDSTORE")
    before = await talk.ok(b"FETCH 1:3 (FLAGS MODSEQ)")
    await talk.ok(b"FETCH 1:3 BODY.PEEK[]")
    assert len(opened) == 3
    assert await talk.ok(b"FETCH 1:3 (FLAGS MODSEQ)") == before


async def test_preview(here: Home) -> None:
    talk = await here.talk().login()
    said = await talk.ok(b"FETCH 1:3 PREVIEW")
    assert b'* 1 FETCH (PREVIEW "At noon?")' in said
    assert "Yes ü".encode() in said
    assert b'* 3 FETCH (PREVIEW "")' in said


async def test_a_lazy_preview_waits_for_nothing(here: Home, monkeypatch) -> None:
    here.lose()
    await eventually(lambda: not here.live.online)
    with here.cache.write() as writer:
        writer.execute("UPDATE mail SET state = 0 WHERE id = 2")
    asked = []

    async def ensure(self, local, uids, state):
        asked.append(list(uids))

    monkeypatch.setattr(Live, "ensure", ensure)
    talk = await here.talk().login()
    said = await talk.ok(b"FETCH 1:3 (UID PREVIEW (LAZY))")
    assert b"* 2 FETCH (UID 2 PREVIEW NIL)" in said
    assert asked == []
    said = await talk.no(b"FETCH 1:3 (UID PREVIEW)")
    assert b"NO [UNAVAILABLE]" in said
    assert b"* 3 FETCH" in said
    assert asked == [[2]]


async def test_sort_of_what_is_not_here_is_refused(here: Home) -> None:
    talk = await here.talk().login()
    here.lose()
    await eventually(lambda: not here.live.online)
    with here.cache.write() as writer:
        writer.execute("UPDATE mail SET state = 0 WHERE id = 2")
    assert b"NO [UNAVAILABLE]" in await talk.no(b"SORT (DATE) UTF-8 ALL")
    assert b"* SORT 3 1\r\n" in await talk.ok(b"SORT (DATE) UTF-8 1,3")


async def test_outlines_are_made_with_their_summary(here: Home) -> None:
    made = outlines.outlines(here.cache, here.local().id, [1, 2, 3], Outline._fields)
    assert [one.subject for one in made] == ["Walk", "Re: walk", "[list] apples"]
    assert [one.references for one in made] == [(), ("1@example.net",), ()]
    summary = mails.summary(here.cache, here.cache.read("SELECT email_id FROM mail")[0][0])
    changed = dataclasses.replace(summary, fields=b"Subject: new\r\n\r\n", state=State.READY)
    with here.cache.write() as writer:
        writer.execute("UPDATE mail SET state = 1 WHERE id = 1")
    (email_id,) = here.cache.read("SELECT email_id FROM mail WHERE id = 1")[0]
    mails.put_summaries(here.cache, [(email_id, changed)])
    (again,) = outlines.outlines(here.cache, here.local().id, [1], Outline._fields)
    assert again.subject == "new"
    assert again.sent == again.arrived


async def test_only_what_is_asked_for_is_read(here: Home) -> None:
    (made,) = outlines.outlines(here.cache, here.local().id, [2], {"subject"})
    assert (made.subject, made.sender, made.references) == ("Re: walk", "", ())
    with here.cache.write() as writer:
        writer.execute("DELETE FROM outline")
    (made,) = outlines.outlines(here.cache, here.local().id, [2], {"arrived", "size"})
    assert made.size > len(ANSWER)
    assert made.subject == ""
