"""Whatever is fetched of a sealed message agrees with what a scanner says of its rendering."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

import pytest

from e2email_protocol.imap.errors import Unavailable
from e2email_protocol.imap.session import Need, Section, Stream
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import Kind
from e2email_protocol.mime.section import section as mime_section
from e2email_protocol.mime.structure import structure
from e2email_protocol.sealed.record import Form, Policy, Record
from e2email_protocol.sealed.render import parse_envelope_field, render
from e2email_server.imap.access import Access
from e2email_server.imap.mailbox import PAGE_OCTETS, SealedMailbox
from e2email_server.imap.message import CHUNK, SealedMessage
from e2email_server.imap.shared import SharedMailboxes
from e2email_server.logins import Identity
from e2email_server.store.memory import MemoryStore
from support.corpus import messages
from support.sealed_face import EVERYTHING, new_message
from support.sealing import FakeIdentity, armored, composed, encrypted_mail, fake_message
from support.store_data import new_account

ALICE = FakeIdentity()
LARGE = b"From: bob@example.net\r\nSubject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 300_000
ENCRYPTED = encrypted_mail(armored(fake_message(b"\r\nhi\r\n" * 9000, "00000000000000A1")))
LARGE_ENCRYPTED = encrypted_mail(armored(fake_message(b"hi\r\n" * 90_000, "00000000000000A1")))
FIELDS = (b"E2EMAIL-ENVELOPE",), (b"Subject", b"from"), (b"x-none",), (b"Content-Type", b"Date")
SECTIONS = [
    Section(),
    *(Section((), what) for what in ("HEADER", "TEXT")),
    *(Section((), what, f) for what in ("HEADER.FIELDS", "HEADER.FIELDS.NOT") for f in FIELDS),
    *(Section(path, what) for path in ((1,), (2,), (3,), (2, 1)) for what in ("", "MIME")),
    Section((2,), "HEADER"),
    Section((2,), "TEXT"),
    Section((2,), "HEADER.FIELDS", (b"subject",)),
]


class NoBodies(MemoryStore):
    """A store whose bodies must not be touched, or only in small stretches."""

    largest = 0
    forbidden = False

    async def messages(self, mailbox_id, uids, *, bodies=False):
        found = await super().messages(mailbox_id, uids, bodies=bodies)
        assert not (bodies and self.forbidden)
        # as SqlStore does it: large bodies stand in files
        return [
            replace(m, body=m.body if m.body and len(m.body) < 1 << 18 else None) for m in found
        ]

    async def body(self, mailbox_id, uid, start, count, serial=None):
        assert not self.forbidden
        self.largest = max(self.largest, count)
        return await super().body(mailbox_id, uid, start, count, serial)


@pytest.fixture
def store() -> NoBodies:
    return NoBodies()


async def no_append(*_: object) -> NoReturn:
    raise AssertionError


async def opened(store: NoBodies, *records: Record) -> SealedMailbox:
    account = await store.register(new_account(), None)
    await store.deliver([new_message(account.inbox, record) for record in records])
    mailboxes = SharedMailboxes(store)
    shared = await mailboxes.open(account.inbox)
    access = Access(store, None, Identity(account, "app", EVERYTHING), store.epoch)  # type: ignore[arg-type]
    return SealedMailbox(store, mailboxes, shared, access, False, no_append)


async def fetched(mailbox: SealedMailbox, need: Need) -> list[SealedMessage]:
    uids = [entry.uid for entry in (await mailbox.snapshot()).entries]
    return [message async for message in mailbox.fetch(uids, need)]


async def octets_of(value: bytes | Stream | None) -> bytes | None:
    if not isinstance(value, Stream):
        return value
    octets = b"".join([chunk async for chunk in value.chunks])
    assert len(octets) == value.size
    return octets


def expected(octets: bytes, section: Section) -> bytes | None:
    kind = Kind(section.what) if section.what else None
    found = mime_section(octets, scan(octets), section.path, kind, section.fields)
    return None if found is None else bytes(found)


def records() -> Iterator[tuple[str, Record]]:
    for policy in Policy:
        for name, octets in messages():
            yield f"{name} {policy}", composed(octets, ALICE, policy=policy)
    for name, octets in (("encrypted", ENCRYPTED), ("large encrypted", LARGE_ENCRYPTED)):
        yield name, composed(octets, ALICE, policy=Policy.BASELINE)
    yield "large", composed(LARGE, ALICE)
    header = b"X-Long: " + b"x" * 70 + b"\r\n " * 2000
    long = ENCRYPTED.replace(b"MIME-Version", header + b"y\r\nMIME-Version", 1)
    yield "long header", composed(long, ALICE, policy=Policy.BASELINE)


@pytest.mark.parametrize("need", [Need.HEADER | Need.STRUCTURE | Need.ENVELOPE, Need.BODY])
async def test_everything_agrees_with_a_scanner(store: NoBodies, need: Need) -> None:
    named = list(records())
    assert {record.form for _, record in named} == set(Form)
    mailbox = await opened(store, *(record for _, record in named))
    found = await fetched(mailbox, need)
    chance = random.Random(3501)
    for (name, record), message in zip(named, found, strict=True):
        rendered = render(record)
        whole = rendered.read(0, rendered.size)
        root = scan(whole)
        assert message.size == len(whole), name
        assert await message.envelope() == envelope(whole, 0, root.body), name
        for extended in (False, True):
            said = await message.structure(extended)
            assert said == structure(whole, root, extended=extended), name
        for section in SECTIONS:
            right = expected(whole, section)
            assert await octets_of(await message.section(section, None)) == right, (name, section)
            if right is not None:
                start, count = chance.randrange(len(right) + 9), chance.randrange(1, 3 * CHUNK)
                part = await octets_of(await message.section(section, (start, count)))
                assert part == right[start : start + count], (name, section, start, count)
    await mailbox.close()


async def test_listing_touches_no_body(store: NoBodies) -> None:
    verbatim = composed(ENCRYPTED, ALICE, policy=Policy.BASELINE)
    mailbox = await opened(store, composed(LARGE, ALICE), verbatim)
    store.forbidden = True
    envelopes = Section((), "HEADER.FIELDS", (b"E2EMAIL-ENVELOPE",))
    for message in await fetched(mailbox, Need.HEADER):
        field = await message.section(envelopes, None)
        assert isinstance(field, bytes)
        assert field.startswith(b"E2email-Envelope: 1; id=")
        assert field.endswith(b"\r\n\r\n")
    sealed = (await fetched(mailbox, Need.STRUCTURE))[0]
    await sealed.structure(True)
    await sealed.envelope()
    await sealed.section(Section((), "HEADER"), None)
    await mailbox.close()


async def test_a_field_of_ours_that_the_sender_wrote_is_not_listed(store: NoBodies) -> None:
    """Else a sender could make a mail that no client can list."""
    claimed = b"E2email-Envelope: 1; id=00; policy=sealed;\r\n AAAA\r\nMIME-Version"
    octets = ENCRYPTED.replace(b"MIME-Version", claimed, 1)
    record = composed(octets, ALICE, policy=Policy.BASELINE)
    assert record.form is Form.VERBATIM
    mailbox = await opened(store, record)
    (message,) = await fetched(mailbox, Need.HEADER)
    field = await message.section(Section((), "HEADER.FIELDS", (b"e2email-envelope",)), None)
    assert isinstance(field, bytes)
    assert parse_envelope_field(field) is not None
    header = await message.section(Section((), "HEADER"), None)
    assert isinstance(header, bytes)
    assert claimed in header
    await mailbox.close()


async def test_meta_data_needs_no_record(store: NoBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    record = composed(LARGE, ALICE)
    mailbox = await opened(store, record)
    monkeypatch.setattr(store, "messages", None)
    (message,) = await fetched(mailbox, Need.DATE | Need.SIZE | Need.ID)
    assert message.email_id == "E" + record.record_id.hex()
    assert message.internal_date.utcoffset() is not None
    await mailbox.close()


async def test_a_large_body_is_never_whole_in_memory(store: NoBodies) -> None:
    mailbox = await opened(store, composed(LARGE, ALICE))
    (message,) = await fetched(mailbox, Need.BODY)
    stream = await message.section(Section(), None)
    assert isinstance(stream, Stream)
    assert max([len(chunk) async for chunk in stream.chunks]) <= CHUNK
    assert 0 < store.largest <= CHUNK
    part = await message.section(Section(), (500_000, 1000))
    assert isinstance(part, bytes)
    await mailbox.close()


async def test_a_page_is_bounded_in_octets(
    store: NoBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = composed(b"Subject: x\r\n\r\n" + b"x\r\n" * 40_000, ALICE)
    mailbox = await opened(store, *[record] * 60)
    read: list[int] = []
    inner = store.messages

    async def messages(mailbox_id: int, uids: list[int], **options: bool) -> object:
        read.append(len(uids))
        return await inner(mailbox_id, uids, **options)

    monkeypatch.setattr(store, "messages", messages)
    assert len(await fetched(mailbox, Need.BODY)) == 60
    assert sum(read) == 60
    assert max(read) <= PAGE_OCTETS // render(record).size
    await mailbox.close()


async def test_a_body_that_was_cut_is_not_filled_up(store: NoBodies) -> None:
    mailbox = await opened(store, composed(LARGE, ALICE))
    (message,) = await fetched(mailbox, Need.BODY)

    async def body(
        mailbox_id: int, uid: int, start: int, count: int, serial: int | None = None
    ) -> bytes:
        return b"short"

    store.body = body  # type: ignore[method-assign]
    (message,) = await fetched(mailbox, Need.BODY)
    with pytest.raises(Unavailable):
        await message.section(Section(), (0, 10_000))
    await mailbox.close()


async def test_nothing_of_a_mail_is_in_a_repr(store: NoBodies) -> None:
    record = composed(b"From: canary@example.net\r\nSubject: canary\r\n\r\nhi\r\n", ALICE)
    mailbox = await opened(store, replace(record, policy=Policy.SEALED))
    (message,) = await fetched(mailbox, Need.BODY)
    await message.section(Section(), None)
    for thing in (mailbox, message):
        assert "canary" not in repr(thing)
        assert len(repr(thing)) < 200
    await mailbox.close()
