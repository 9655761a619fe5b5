"""APPEND on the sealed face: our rendering comes back as its record, all else is sealed first."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_crypto import gate
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.packets import message_key_ids
from e2email_crypto.seal import seal
from e2email_protocol.sealed.armor import crc24
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.opened import CopyOfStored
from e2email_protocol.sealed.record import Form, Record
from e2email_protocol.sealed.render import parse_rendered, render
from e2email_server.imap.append import Appending
from e2email_server.sealing.job import Job, run
from e2email_server.sealing.pool import INLINE
from e2email_server.smtp.budget import MemoryBudget, Share
from e2email_server.smtp.limits import COPIES, Limits
from e2email_server.store.errors import DiskFull
from e2email_server.store.types import NewAccount
from e2email_server.targets import find_target
from support.residents import CREATED, resident
from support.sealed_face import House, Talk, clock, house, talk
from support.sealing import armored, encrypted_mail

MAIL = b"From: Carol <carol@example.net>\r\nSubject: canary\r\n\r\nAt nine?\r\n"
BOB = "bob@example.test"
BODY = b"FETCH 1 (BODY.PEEK[])"


@pytest.fixture(params=["memory", "sql"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path if request.param == "sql" else None) as running:
        yield running


def octets_of(record: Record) -> bytes:
    return render(record).read(0, 1 << 30)


async def stored(one: Talk, mailbox: bytes = b"INBOX", number: int = 1) -> Record:
    """The record behind what BODY[] gives."""
    await one.ok(b"SELECT " + mailbox)
    said = await one.ok(b"FETCH %d (BODY.PEEK[])" % number)
    octets = said.partition(b"}\r\n")[2].rpartition(b")\r\n")[0]
    record = parse_rendered(octets)
    assert record is not None
    return record


def appenduid(said: bytes) -> bytes:
    return said.partition(b"[APPENDUID ")[2].partition(b"]")[0]


# --- everything else is sealed ----------------------------------------------------------------


async def test_plaintext_is_sealed_and_opens_again(server: House) -> None:
    async with talk(server) as one:
        await one.ok(b'ID ("name" "mutt\\"" "version" "2")')
        assert appenduid(await one.append(MAIL, b"Drafts", b"(\\Draft)"))
        record = await stored(one, b"Drafts")
        assert b"FLAGS (\\Draft)" in await one.ok(b"FETCH 1 (FLAGS)")
    mail = server.resident.open(record)
    assert mail.received == MAIL
    assert mail.delivered == MAIL
    arrival = mail.envelope.envelope.arrival
    assert (arrival.origin, arrival.verdicts) == ('append:mutt"', ())
    assert mail.envelope.proven
    assert b"canary" not in octets_of(record)


@pytest.mark.parametrize("size", [0, INLINE, 1 << 20], ids=["tiny", "inline", "worker"])
async def test_any_size(server: House, size: int) -> None:
    mail = MAIL + b"x" * size
    async with talk(server) as one:
        assert appenduid(await one.append(mail))
        assert server.resident.open(await stored(one)).received == mail


async def test_octets_that_are_no_mail(server: House) -> None:
    async with talk(server) as one:
        for octets in (b"x", b"\r\n\r\n", b"a\nb\0c\xff", b"E2email-Envelope: 1\r\n\r\n"):
            answer = appenduid(await one.append(octets, b"Archive"))
            number = int(answer.split()[1])
            record = await stored(one, b"Archive", number)
            assert server.resident.open(record).received == octets


async def test_mail_that_its_sender_encrypted_stays_as_it_is_under_baseline() -> None:
    async with house(policy="baseline") as server:
        keys = [gate.recipient(server.resident.identity.cert, CREATED + 60)]
        mail = encrypted_mail(armored(seal(b"Subject: inner\r\n\r\nhi\r\n", keys)))
        async with talk(server) as one:
            first = await one.append(mail)
            record = await stored(one)
            assert record.form is Form.VERBATIM
            assert record.body == mail
            assert appenduid(await one.append(octets_of(record))) == appenduid(first)


# --- our own rendering ------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["sealed", "baseline"])
@pytest.mark.parametrize("size", [10, 300_000], ids=["row", "file"])
async def test_a_rendering_comes_back_as_its_record(tmp_path: Path, policy: str, size: int) -> None:
    async with house(tmp_path, policy) as server, talk(server) as one:
        (record,) = await server.deliver(MAIL + b"x" * size)
        assert appenduid(await one.append(octets_of(record), b"Archive"))
        assert await stored(one, b"Archive") == record
        assert b"EMAILID (E%b)" % record.record_id.hex().encode() in await one.ok(
            b"FETCH 1 (EMAILID)"
        )


async def test_a_second_append_answers_the_first_place(server: House) -> None:
    (record,) = await server.deliver(MAIL)
    async with talk(server) as one:
        first = appenduid(await one.append(octets_of(record), b"Archive"))
        assert first
        assert appenduid(await one.append(octets_of(record), b"Archive")) == first
        assert appenduid(await one.append(MAIL, b"Archive")) != first
        assert b"MESSAGES 2" in await one.ok(b"STATUS Archive (MESSAGES)")


async def test_a_forged_rendering_does_not_take_the_id_of_a_mail(server: House) -> None:
    (record,) = await server.deliver(MAIL)
    alice = [gate.recipient(server.resident.identity.cert, CREATED + 60)]
    message = seal(b"Subject: forged\r\n\r\nhi\r\n", alice)
    body = replace(record, body=message, body_size=len(message), crc=crc24(message))
    async with talk(server) as one:
        for fake in (body, replace(record, envelope=message)):
            for mailbox in (b"INBOX", b"Archive"):
                said = await one.append(octets_of(fake), mailbox)
                assert b"a NO [CANNOT] a different message has this id" in said
        assert b"MESSAGES 0" in await one.ok(b"STATUS Archive (MESSAGES)")
        assert b"MESSAGES 1" in await one.ok(b"STATUS INBOX (MESSAGES)")
        assert await stored(one) == record


def forged(record: Record) -> dict[str, bytes]:
    """Octets that are almost a rendering of this account."""
    mallory = [gate.recipient(resident("mallory@example.test").identity.cert, CREATED + 60)]
    alice = [gate.recipient(resident().identity.cert, CREATED + 60)]
    body = seal(b"Subject: forged\r\n\r\nhi\r\n", mallory)
    both = seal(b"Subject: forged\r\n\r\nhi\r\n", [*alice, *mallory])
    octets = octets_of(record)

    def of(body: bytes) -> bytes:
        return octets_of(replace(record, body=body, body_size=len(body), crc=crc24(body)))

    return {
        "body for another": of(body),
        "body for both": of(both),
        "envelope for another": octets_of(replace(record, envelope=body)),
        "envelope for both": octets_of(replace(record, envelope=both)),
        "body in clear": of(b"From: x\r\n\r\nin clear\r\n"),
        "a field more": b"X-More: 1\r\n" + octets,
        "a space more": octets.replace(b"Subject: [...]", b"Subject:  [...]"),
        "another subject": octets.replace(b"[...]", b"[---]"),
        "a later version": octets.replace(b"Envelope: 1;", b"Envelope: 2;"),
        "an epilogue": octets + b"more\r\n",
        "bare line feeds": octets.replace(b"\r\n", b"\n"),
        "a flipped crc": octets.replace(b"\r\n=", b"\r\n=A", 1),
    }


FOREIGN = ["body for another", "body for both", "body in clear", "an epilogue", "a flipped crc"]
OWN_BODY = [
    "envelope for another",
    "envelope for both",
    "a field more",
    "a space more",
    "another subject",
    "a later version",
    "bare line feeds",
]


@pytest.mark.parametrize("name", FOREIGN + OWN_BODY)
async def test_almost_our_rendering_is_sealed(name: str) -> None:
    async with house() as server, talk(server) as one:
        (record,) = await server.deliver(MAIL)
        octets = forged(record)[name]
        assert octets != octets_of(record)
        assert appenduid(await one.append(octets, b"Archive"))
        made = await stored(one, b"Archive")
        assert made.record_id != record.record_id
        for message in (made.envelope, made.body):
            assert message_key_ids(message) == server.resident.stated.key_ids
        if name in OWN_BODY:  # readable to nobody but as what it is: a copy that came as mail
            with pytest.raises(CopyOfStored):
                server.resident.open(made)
        else:
            assert server.resident.open(made).received == octets


# --- what a device of the account sealed ------------------------------------------------------

DEVICE = ArrivalKey(b"a device's seed of thirty-two by")


async def made_on_a_device(server: House, mail: bytes, key: ArrivalKey = DEVICE) -> Record:
    """As a client makes it: the server has no part in it."""
    target = await find_target(server.store, server.resident.address, clock)
    job = Job(
        b"",
        mail,
        target.address,
        secrets.token_bytes(16),
        secrets.token_hex(16).encode(),
        target.policy,
        Arrival("device", "", clock()),
        target.keys,
        target.known_key_ids,
    )
    return run(job, key)


@pytest.mark.parametrize("policy", ["sealed", "baseline"])
@pytest.mark.parametrize("size", [10, 300_000], ids=["row", "file"])
async def test_what_a_device_sealed_is_stored_as_it_is(
    tmp_path: Path, policy: str, size: int
) -> None:
    async with house(tmp_path, policy) as server, talk(server) as one:
        record = await made_on_a_device(server, MAIL + b"x" * size)
        first = appenduid(await one.append(octets_of(record), b"Drafts", b"(\\Draft)"))
        assert first
        assert await stored(one, b"Drafts") == record
        assert b"FLAGS (\\Draft)" in await one.ok(b"FETCH 1 (FLAGS)")
        # an answer that got lost: the same octets again are the same mail
        assert appenduid(await one.append(octets_of(record), b"Drafts")) == first


async def test_who_signed_it_is_not_for_the_server_to_say(server: House) -> None:
    """The signature is inside the encryption. A wrong one is the reader's to find."""
    async with talk(server) as one:
        for key in (DEVICE, ArrivalKey.generate()):
            record = await made_on_a_device(server, MAIL, key)
            number = int(appenduid(await one.append(octets_of(record), b"Drafts")).split()[1])
            assert await stored(one, b"Drafts", number) == record
            assert not server.resident.open(record).envelope.proven


async def test_what_a_device_of_somebody_else_sealed_is_mail(server: House) -> None:
    bob = replace(server, account=await server.store.register(resident(BOB).account, None))
    record = await made_on_a_device(replace(bob, resident=resident(BOB)), MAIL)
    async with talk(server) as one:
        assert appenduid(await one.append(octets_of(record), b"Drafts"))
        made = await stored(one, b"Drafts")
        assert made.record_id != record.record_id
        assert server.resident.open(made).received == octets_of(record)


async def test_a_device_cannot_take_the_id_of_another_mail(server: House) -> None:
    (delivered,) = await server.deliver(MAIL)
    record = replace(await made_on_a_device(server, MAIL), record_id=delivered.record_id)
    async with talk(server) as one:
        said = await one.append(octets_of(record), b"Drafts")
        assert b"a NO [CANNOT] a different message has this id" in said


# --- refusals ---------------------------------------------------------------------------------


async def test_without_a_key_nothing_is_stored(server: House) -> None:
    bob: NewAccount = replace(resident("bob@example.test").account, certificates=(), statement=None)
    account = await server.store.register(bob, None)
    keyless = replace(server, account=account, resident=resident("bob@example.test"))
    async with talk(keyless) as one:
        said = await one.append(MAIL)
        assert b"a NO [UNAVAILABLE] there is no usable key" in said
        assert b"MESSAGES 0" in await one.ok(b"STATUS INBOX (MESSAGES)")


async def test_too_big(server: House) -> None:
    small = replace(server.backend.appending, limit=100_000)
    server = replace(server, backend=replace(server.backend, appending=small))
    async with talk(server) as one:
        assert b"a NO [TOOBIG]" in await one.append(b"x" * 100_001)
        assert b"a NO [TOOBIG]" in await one.append(b"x" * (small.literal_limit + 1))
        (record,) = await server.deliver(b"\r\n" + b"x" * 99_000)
        rendering = octets_of(record)
        assert len(rendering) > small.limit
        assert appenduid(await one.append(rendering, b"Archive"))


def test_the_rendering_of_the_largest_mail_fits() -> None:
    appending = Appending(None, None, None, None, 50 << 20)  # type: ignore[arg-type]
    body = (50 << 20) + (64 << 10)  # what sealing and our fields add is far below 64 KiB
    assert body * 66 // 48 + (50 << 10) < appending.literal_limit


async def test_a_full_disk(server: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def append(*_: object) -> None:
        raise DiskFull("floor")

    monkeypatch.setattr(type(server.store), "append", append)
    async with talk(server) as one:
        assert b"a NO [OVERQUOTA]" in await one.append(MAIL)


async def test_no_such_mailbox(server: House) -> None:
    async with talk(server) as one:
        assert b"a NO [TRYCREATE]" in await one.append(MAIL, b"nowhere")


# --- memory -----------------------------------------------------------------------------------


async def test_what_is_on_its_way_in_is_bounded_over_all_connections(server: House) -> None:
    """And a connection that ends in the middle gives its part back."""
    memory = MemoryBudget(Limits(memory=500 << 20))
    share = Share(memory, 70_000_000)
    bounded = replace(server, backend=replace(server.backend, budget=share))
    async with talk(bounded) as one, talk(bounded) as two:
        assert await one.ask(b"a APPEND Drafts {60000000}\r\n") == b"+ OK\r\n"
        assert memory.used == share.used == 60_000_000 * COPIES
        assert b"a NO [UNAVAILABLE]" in await two.ask(b"a APPEND Drafts {40000000}\r\n")
        assert memory.take(60_000_000)  # arriving mail has room
        memory.give_back(60_000_000)
        assert share.reserve((250 << 20) // COPIES - 60_000_000)  # the half is full
        assert b"a OK [APPENDUID" in await two.append(MAIL)
        share.release((250 << 20) // COPIES - 60_000_000)
        await one.connection.close()
        assert memory.used == 0
        assert await two.ask(b"a APPEND Drafts {40000000}\r\n") == b"+ OK\r\n"
    assert memory.used == 0
