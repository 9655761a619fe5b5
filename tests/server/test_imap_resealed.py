"""The sealed face while mail is sealed anew under it: the same mail, other octets, no mixture."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_crypto.gate import recipient
from e2email_crypto.seal import seal
from e2email_protocol.imap.errors import Vanished
from e2email_protocol.imap.session import Need, Section, Stream
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.structure import structure
from e2email_protocol.sealed.armor import crc24
from e2email_protocol.sealed.record import Form, Record
from e2email_protocol.sealed.render import render, rendered_sizes
from e2email_protocol.sealed.reseal import digest
from e2email_server.imap.access import Access
from e2email_server.imap.mailbox import SealedMailbox
from e2email_server.logins import Identity
from e2email_server.store.types import Resealed
from support.residents import resident
from support.sealed_face import EVERYTHING, House, house, imaplib_client
from support.sealing import armored, encrypted_mail

MAIL = b"From: bob@example.net\r\nSubject: x\r\n\r\nhi\r\n"
LARGE = MAIL + b"x" * 70 + b"\r\n" * 300_000
ALICE, BOB = resident(policy="baseline"), resident("bob@example.test")
# two, so that the new form has another size
TWO = [recipient(one.identity.cert, int(time.time())) for one in (ALICE, BOB)]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, policy="baseline") as made:
        yield made


async def reseal(home: House, record: Record) -> Record:
    """The record with a key more, stored."""
    with ALICE.opener() as opener:
        envelope = seal(opener.open(record.envelope, 1 << 20).plaintext, TWO)
        body = record.body
        if record.form is Form.SEALED:
            body = seal(opener.open(record.body, 1 << 26).plaintext, TWO)
    crc = 0 if record.form is Form.VERBATIM else crc24(body)
    new = replace(record, envelope=envelope, body=body, body_size=len(body), crc=crc)
    given = None if record.form is Form.VERBATIM else body
    old = digest(record.envelope)
    sizes = rendered_sizes(new)
    await home.store.reseal(
        home.account.account_id, Resealed(record.record_id, old, envelope, given, crc, *sizes)
    )
    return new


def to_alice() -> bytes:
    return encrypted_mail(armored(seal(b"\r\nhi\r\n", TWO[:1])))


async def selected(home: House) -> SealedMailbox:
    shared = await home.backend.mailboxes.open(home.account.inbox)
    identity = Identity(home.account, "app", EVERYTHING)
    access = Access(home.store, None, identity, home.store.epoch)  # type: ignore[arg-type]
    return SealedMailbox(home.store, home.backend.mailboxes, shared, access, False, None)  # type: ignore[arg-type]


async def test_a_session_hears_of_it_and_reads_on(home: House) -> None:
    records = await home.deliver(MAIL, to_alice())
    password = await home.password()
    loop = asyncio.get_running_loop()

    def session() -> None:
        with imaplib_client(home, password) as imap:
            imap.enable("QRESYNC")
            imap.select("INBOX")
            before = imap.fetch("1:2", "(UID EMAILID RFC822.SIZE BODY.PEEK[] BODYSTRUCTURE)")[1]
            news = [
                asyncio.run_coroutine_threadsafe(reseal(home, one), loop).result(30)
                for one in records
            ]
            imap.response("FETCH")
            imap.noop()
            told = imap.response("FETCH")[1]
            assert len(told) == 2
            assert all(b"FLAGS ()" in one and b"MODSEQ" in one for one in told)
            for number, new in enumerate(news, 1):
                octets = render(new).read(0, 1 << 30)
                found = fetched(imap, number)
                assert found == octets
                assert f"RFC822.SIZE {len(octets)}".encode() in line(imap, number, "RFC822.SIZE")
                shown = line(imap, number, "BODYSTRUCTURE")
                assert structure(octets, scan(octets), extended=True) in shown
                part = line(imap, number, "BODY.PEEK[2]", whole=True)
                inner = scan(octets).children[1]
                assert octets[inner.body : inner.end] in part
            after = imap.fetch("1:2", "(UID EMAILID)")[1]
            names = re.compile(rb"UID \d+ EMAILID \(E[0-9a-f]{32}\)")
            assert [names.search(one)[0] for one in after] == [  # type: ignore[index]
                names.search(one[0])[0]  # type: ignore[index]
                for one in before
                if isinstance(one, tuple)
            ]
            status = imap.status("INBOX", "(SIZE MESSAGES UIDNEXT)")[1][0]
            size = sum(rendered_sizes(one)[0] for one in news)
            assert b"SIZE %d" % size in status
            assert b"MESSAGES 2" in status
            assert b"UIDNEXT 3" in status

    await asyncio.to_thread(session)


def line(imap: object, number: int, item: str, *, whole: bool = False) -> bytes:
    found = imap.fetch(str(number), f"({item})")[1]  # type: ignore[attr-defined]
    if whole:
        return b"".join(part for one in found for part in (one if isinstance(one, tuple) else ()))
    return found[0]


def fetched(imap: object, number: int) -> bytes:
    return imap.fetch(str(number), "(BODY.PEEK[])")[1][0][1]  # type: ignore[attr-defined]


async def test_a_session_that_has_not_heard_of_it_gets_no_mixture(home: House) -> None:
    """The picture of the mailbox is of before; what is read is of now, and whole."""
    records = await home.deliver(MAIL, to_alice())
    mailbox = await selected(home)
    async for message in mailbox.fetch([1, 2], Need.BODY):
        await message.section(Section((2,)), None)  # its parts are remembered
    for number, record in enumerate(records, 1):
        octets = render(await reseal(home, record)).read(0, 1 << 30)
        (message,) = [one async for one in mailbox.fetch([number], Need.BODY)]
        assert await message.section(Section(), None) == octets
        part = scan(octets).children[1]
        assert await message.section(Section((2,)), None) == octets[part.body : part.end]
        assert message.size == len(octets)


async def test_a_download_that_was_under_way_ends(home: House) -> None:
    """Of a large body each stretch is read by itself; the new one is never gone on with."""
    (record,) = await home.deliver(LARGE)
    mailbox = await selected(home)
    (message,) = [one async for one in mailbox.fetch([1], Need.BODY)]
    stream = await message.section(Section(), None)
    assert isinstance(stream, Stream)
    first = await anext(aiter(stream.chunks))
    assert render(record).read(0, len(first)) == first
    new = await reseal(home, record)
    with pytest.raises(Vanished):
        async for _ in stream.chunks:
            pass
    (message,) = [one async for one in mailbox.fetch([1], Need.BODY)]
    stream = await message.section(Section(), None)
    assert isinstance(stream, Stream)
    again = b"".join([chunk async for chunk in stream.chunks])
    assert again == render(new).read(0, 1 << 30)


async def test_what_was_resealed_is_opened_as_before(home: House) -> None:
    for record in await home.deliver(MAIL, to_alice()):
        before = ALICE.open(record)
        with ALICE.opener() as opener:
            both = replace(opener, stated=(opener.known_key_ids, TWO[0].key_ids | TWO[1].key_ids))
            after = ALICE._open(await reseal(home, record), both)
        assert (after.view, after.delivered) == (before.view, before.delivered)
        assert after.envelope.proven
        assert not after.alarms
