"""IMAP at the proxy, over a real sealed face: what programs read, change, and are refused."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from e2email_client import sync as sync_module
from e2email_client.failure import Offline
from e2email_client.local import contents, mailboxes, mails, reads
from e2email_client.opening import Opening
from e2email_client.proxy.account import ProxyAccount, merged
from e2email_client.proxy.session import ProxySession
from e2email_client.unreadable import Later
from e2email_protocol.imap import errors
from e2email_protocol.imap.session import Entry
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import Kind, section
from e2email_protocol.mime.structure import structure
from support import corpus
from support.home import PASSWORD, Home, eventually, home
from support.passwords import OnePassword
from support.sealed_face import TRACE, house

MAIL = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.net>\r\nTo: alice@example.test\r\n"
    b"Subject: =?iso-8859-1?q?Gr=FC=DFe?= aus\r\n =?utf-8?q?K=C3=B6ln?=\r\n"
    b"Date: Sun, 22 Nov 2026 23:30:00 -0800\r\nX-Label: one\r\nX-Label: two\r\n"
    b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nDie \xc4pfel sind rot.\r\n"
)
PLAIN = b"From: bob@example.net\r\nSubject: plain\r\n\r\nnothing of note\r\n"


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server:
        await server.deliver(MAIL, PLAIN)
        async with home(server, tmp_path, monkeypatch) as made:
            await eventually(lambda: made.live.online)
            await made.shown(1, 2)
            yield made


def literals(said: bytes) -> list[bytes]:
    found, at = [], 0
    while match := re.compile(rb"\{(\d+)\}\r\n").search(said, at):
        at = match.end() + int(match[1])
        found.append(said[match.end() : at])
    return found


# reading


async def test_what_is_prepared_equals_what_the_octets_say(tmp_path, monkeypatch) -> None:
    received = [octets for _, octets in corpus.messages()][::9]
    async with house() as server:
        await server.deliver(*received)
        async with home(server, tmp_path, monkeypatch) as here:
            talk = await here.talk().login()
            for number, mail in enumerate(received, 1):
                view = TRACE + mail
                root = scan(view)
                said = await talk.ok(b"FETCH %d (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY)" % number)
                assert b"RFC822.SIZE %d " % len(view) in said
                assert b"ENVELOPE " + envelope(view, 0, root.body) + b" " in said
                assert b"BODYSTRUCTURE " + structure(view, root) + b" " in said
                assert b"BODY " + structure(view, root, extended=False) + b")" in said
                (whole,) = literals(await talk.ok(b"FETCH %d BODY.PEEK[]" % number))
                assert whole == view


@pytest.mark.parametrize(
    ("item", "path", "kind", "names"),
    [
        (b"HEADER", (), Kind.HEADER, ()),
        (b"TEXT", (), Kind.TEXT, ()),
        (b"1", (1,), None, ()),
        (b"1.MIME", (1,), Kind.MIME, ()),
        (b"HEADER.FIELDS (subject X-LABEL)", (), Kind.HEADER_FIELDS, (b"subject", b"x-label")),
        (b"HEADER.FIELDS.NOT (From)", (), Kind.HEADER_FIELDS_NOT, (b"from",)),
        (b"HEADER.FIELDS (Nothing)", (), Kind.HEADER_FIELDS, (b"nothing",)),
    ],
)
async def test_sections_and_parts_of_them(here: Home, item, path, kind, names) -> None:
    view = TRACE + MAIL
    wanted = bytes(section(view, scan(view), path, kind, names))
    talk = await here.talk().login()
    assert literals(await talk.ok(b"FETCH 1 BODY.PEEK[%b]" % item)) == [wanted]
    both = await talk.ok(b"FETCH 1 (BODY.PEEK[%b] BODY.PEEK[TEXT])" % item)
    assert literals(both)[0] == wanted
    assert literals(await talk.ok(b"FETCH 1 BODY.PEEK[%b]<3.5>" % item)) == [wanted[3:8]]
    assert literals(await talk.ok(b"FETCH 1 BODY.PEEK[%b]<9999.5>" % item)) == [b""]


async def test_a_section_that_is_not_there(here: Home) -> None:
    talk = await here.talk().login()
    assert b"BODY[2] NIL" in await talk.ok(b"FETCH 1 BODY.PEEK[2]")


async def test_the_last_message_by_star_and_beyond(here: Home) -> None:
    talk = await here.talk().login()
    assert b"UID 2" in await talk.ok(b"UID FETCH 900:* (UID)")
    assert b"FETCH" not in await talk.ok(b"UID FETCH 900:901 (UID)")


# searching


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("SUBJECT grüsse", "1"),
        ("SUBJECT GRÜSSE", "1"),
        ("SUBJECT ü", "1"),
        ('SUBJECT "aus köln"', "1"),
        ("FROM JÜRGEN", "1"),
        ("FROM =?utf", ""),
        ("BODY äPFEL", "1"),
        ("BODY köln", ""),
        ("TEXT köln", "1"),
        ("TEXT a\u0308pfel", "1"),
        ("HEADER X-Label TWO", "1"),
        ('HEADER X-Label ""', "1"),
        ("HEADER X-Label three", ""),
        ("NOT BODY rot", "2"),
        ("OR BODY rot BODY note", "1 2"),
        ("SENTON 22-Nov-2026", "1"),
        ("SENTSINCE 22-Nov-2026", "1"),
        ("SENTSINCE 23-Nov-2026", ""),
        ("SENTBEFORE 23-Nov-2026", "1"),
        ('TEXT "100%_"', ""),
    ],
)
async def test_search(here: Home, key: str, found: str) -> None:
    talk = await here.talk().login()
    words = re.split(r' (?=(?:[^"]*"[^"]*")*[^"]*$)', key)
    parts = []
    for word in words:
        octets = word.strip('"').encode()
        literal = not word.isascii() or word.startswith('"')
        parts.append(b"{%d+}\r\n%b" % (len(octets), octets) if literal else word.encode())
    said = await talk.ok(b"SEARCH CHARSET UTF-8 " + b" ".join(parts))
    # what is learned of a mail meanwhile (its keywords) is told in front
    answers = [line for line in said.splitlines() if line.startswith(b"* SEARCH")]
    assert answers == [(b"* SEARCH " + found.encode()).strip()]


# keywords


async def test_reserved_keywords_rise_and_no_program_sets_or_clears_them(here: Home) -> None:
    talk = await here.talk().login()

    async def sealed() -> bool:
        return b"$e2email-sealed-on-arrival" in await talk.ok(b"FETCH 1 FLAGS")

    await eventually(sealed)
    for change in (
        b"-FLAGS ($e2email-sealed-on-arrival)",
        b"FLAGS ($e2email-signature-valid \\Seen)",
        b"+FLAGS ($E2EMAIL-Signature-Valid $label1)",
    ):
        said = await talk.ok(b"STORE 1 " + change)
        assert b"$e2email-sealed-on-arrival" in said
        assert b"signature-valid" not in said.lower()
    appended = b"hello: x\r\n\r\n"
    await talk.ok(
        b"APPEND INBOX ($e2email-signature-valid $label2) {%d+}\r\n%b" % (len(appended), appended)
    )
    said = await talk.ok(b"FETCH 3 FLAGS")
    assert b"$label2" in said
    assert b"signature-valid" not in said
    server = await here.remote()
    await server.select("INBOX")
    for _, flags in await server.flags(1, 9):
        assert not [flag for flag in flags if flag.lower().startswith("$e2email")]
    server.close()


async def test_seen_is_set_by_reading_and_by_peeking_it_is_not(here: Home) -> None:
    talk = await here.talk().login()
    assert b"(FLAGS (\\Seen" not in await talk.ok(b"FETCH 1 (BODY.PEEK[] FLAGS)")
    assert b"(FLAGS (\\Seen" in await talk.ok(b"FETCH 1 (BODY[] FLAGS)")
    server = await here.remote()
    await server.select("INBOX")
    assert dict(await server.flags(1, 2))[1] == {"\\Seen"}
    server.close()


# two sessions


async def test_a_change_is_told_to_the_other_session(here: Home) -> None:
    one, other = await here.talk().login(), await here.talk().login()
    await one.ok(b"STORE 1 +FLAGS (\\Flagged)")
    assert b"* 1 FETCH (UID 1 FLAGS (" in await other.ok(b"NOOP")
    await one.ok(b"STORE 1 +FLAGS (\\Deleted)")
    assert b"* 1 EXPUNGE" in await one.ok(b"EXPUNGE")
    assert b"* 1 EXPUNGE" in await other.ok(b"NOOP")
    await here.server.deliver(PLAIN)

    async def told() -> bool:
        return b"* 2 EXISTS" in await other.ok(b"NOOP")

    await eventually(told)


async def test_append_copy_and_move_give_the_uids_of_the_server(here: Home) -> None:
    talk = await here.talk().login()
    await talk.ok(b'CREATE "A &AOQ- b"')
    assert b"COPYUID" in await talk.ok(b'COPY 1 "A &AOQ- b"')
    said = await talk.ok(b'MOVE 2 "A &AOQ- b"')
    assert b"COPYUID" in said
    assert b"EXPUNGE" in said
    assert b"TRYCREATE" in await talk.no(b"COPY 1 Nowhere")
    await talk.ok(b'SELECT "A &AOQ- b"')
    server = await here.remote()
    state = await server.select("A ä b")
    assert state.messages == 2
    assert b"UIDVALIDITY %d]" % state.uidvalidity in await talk.ok(b'SELECT "A &AOQ- b"')
    server.close()


# announcing


async def test_a_message_is_announced_when_its_summary_is_final(here: Home, monkeypatch) -> None:
    """Two mails come; the first is slow to be opened: neither is shown until it is."""
    talk = await here.talk().login()
    let, kept = asyncio.Event(), Opening.envelopes
    loop = asyncio.get_running_loop()
    waiting = asyncio.Event()

    def slow(self, found):
        loop.call_soon_threadsafe(waiting.set)
        asyncio.run_coroutine_threadsafe(let.wait(), loop).result(20)
        return kept(self, found)

    monkeypatch.setattr(Opening, "envelopes", slow)
    await here.server.deliver(PLAIN)
    await asyncio.wait_for(waiting.wait(), 20)
    assert b"EXISTS" not in await talk.ok(b"NOOP")
    said = await talk.ok(b"STATUS INBOX (MESSAGES UIDNEXT)")
    assert b"MESSAGES 2 UIDNEXT 3" in said
    let.set()

    async def told() -> bool:
        return b"* 3 EXISTS" in await talk.ok(b"NOOP")

    await eventually(told)
    assert b"ENVELOPE (NIL" in await talk.ok(b"FETCH 3 ENVELOPE")


async def test_what_comes_behind_a_slow_one_is_announced_after_it(here: Home) -> None:
    """Straight in the store: UID 4 is final before UID 3; a session misses neither."""
    talk = await here.talk().login()
    local = here.local()
    ready = await eventually(lambda: mails.summary(here.cache, _email_id(here, 2)))
    # the server knows nothing of these two, so its picture must not come in between
    here.lose()
    await eventually(lambda: not here.live.online)
    for uid in (3, 4):
        contents.add(here.cache, local.id, [contents.Skeleton(uid, f"E{uid}", frozenset(), 0)])
    mailboxes.listed(here.cache, local.id, uidnext=5, upstream_modseq=1)
    mails.put_summaries(here.cache, [("E4", ready)])
    here.live.changed()
    assert b"EXISTS" not in await talk.ok(b"NOOP")
    mails.put_summaries(here.cache, [("E3", ready)])
    here.live.changed()
    assert b"* 4 EXISTS" in await talk.ok(b"NOOP")
    assert b"UID 4" in await talk.ok(b"FETCH 4 UID")


async def test_a_mail_that_cannot_be_opened_now_holds_nothing_back(here: Home, monkeypatch) -> None:
    talk = await here.talk().login()
    await talk.ok(b"FETCH 1:2 BODY.PEEK[]")
    kept = Opening.envelopes
    monkeypatch.setattr(Opening, "envelopes", lambda _, found: [(one, Later()) for one, _ in found])
    monkeypatch.setattr(Opening, "bodies", lambda _, found: [(one, Later()) for one, _ in found])
    await here.server.deliver(PLAIN)

    async def told() -> bool:
        return b"* 3 EXISTS" in await talk.ok(b"NOOP")

    await eventually(told)
    said = await talk.no(b"FETCH 2:3 ENVELOPE")
    assert b"* 2 FETCH" in said  # what is here is given
    assert b"* 3 FETCH" not in said
    assert b"NO [UNAVAILABLE]" in said
    monkeypatch.setattr(Opening, "envelopes", kept)
    assert b"* 3 FETCH" in await talk.ok(b"FETCH 3 ENVELOPE")


def _email_id(here: Home, uid: int) -> str:
    return reads.known(here.cache, here.local().id, [uid])[0].email_id


# the server is gone


async def test_without_the_server_local_mail_is_read_and_the_rest_refused(here: Home) -> None:
    talk = await here.talk().login()
    await talk.ok(b"FETCH 1:2 (BODY.PEEK[])")
    with here.cache.write() as writer:  # as if the second were not fetched yet
        writer.execute("UPDATE mail SET state = 2 WHERE email_id = ?", (_email_id(here, 2),))
    here.lose()
    await eventually(lambda: not here.live.online)
    said = await talk.no(b"FETCH 1:2 (BODY.PEEK[])")
    assert literals(said) == [TRACE + MAIL]
    assert b"a NO [UNAVAILABLE]" in said
    for command in (
        b"COPY 1 INBOX",
        b"CREATE x",
        b"SEARCH BODY rot",
    ):
        assert b"a NO [UNAVAILABLE]" in await talk.no(command), command
    assert b"ENVELOPE" in await talk.ok(b"FETCH 1:2 ENVELOPE")
    other = await here.talk().login()
    assert b"* BYE [UNAVAILABLE]" in await other.ask(b"a APPEND INBOX {2+}\r\nx:\r\n")
    here.down = False
    await eventually(lambda: here.live.online)
    assert len(literals(await talk.ok(b"FETCH 1:2 (BODY.PEEK[])"))) == 2


async def test_what_was_stored_is_told_though_it_is_not_seen_yet(here: Home, monkeypatch) -> None:
    async def fails(*_: object) -> None:
        raise Offline("gone")

    talk = await here.talk().login()
    monkeypatch.setattr(sync_module.Sync, "news", fails)
    assert b"APPENDUID" in await talk.ok(b"APPEND INBOX {2+}\r\nx:")


async def test_what_is_asked_for_goes_before_the_background(here: Home) -> None:
    turns, order = here.live._sync._turns, []

    async def one(name: str, urgent: bool) -> None:
        async with turns.take(urgent=urgent):
            order.append(name)

    async with turns.take(urgent=False):
        tasks = [
            asyncio.create_task(one(name, urgent))
            for name, urgent in (("a", False), ("b", False), ("c", True), ("d", True))
        ]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["c", "d", "b"]


# logins


async def test_two_accounts_never_mix(here: Home) -> None:
    bob = ProxyAccount("bob@example.test", OnePassword("bobs"), here.cache, here.live)
    session = ProxySession([here.account, bob])
    for user, password in (
        ("alice@example.test", b"bobs"),
        ("bob@example.test", PASSWORD.encode()),
        ("nobody@example.test", PASSWORD.encode()),
        ("alice@example.test", b""),
        ("nobody@example.test", b""),
    ):
        with pytest.raises(errors.AuthenticationFailed) as refused:
            await session.login(user, password)
        assert refused.value.text == errors.AuthenticationFailed.text
    await session.login(" BOB@example.test", b"bobs")
    assert repr(session) == "ProxySession(bob@example.test)"
    assert "bobs" not in repr(bob)


def test_merged_entries() -> None:
    def entry(uid: int, *flags: str) -> Entry:
        return Entry(uid, frozenset(flags), 1)

    old = [entry(1), entry(2), entry(3)]
    assert merged(old, [entry(2, "x"), entry(4)], {3}) == [entry(1), entry(2, "x"), entry(4)]
    assert merged(old, [], set()) == old
    assert merged([], [entry(1)], set()) == [entry(1)]
