"""What the server serves, opened: summaries, bodies, and every way it can fail."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2email_client.failure import Offline
from e2email_client.local.mails import State
from e2email_client.notice import sealed_original
from e2email_client.opener import Device, Keys
from e2email_client.opening import Opening, record_id
from e2email_client.parsing import NoParser, Parsing
from e2email_client.unreadable import Later, Unreadable
from e2email_crypto.armor import dearmor
from e2email_crypto.arrival import ArrivalKey, key_id
from e2email_crypto.child_process import ChildGone
from e2email_crypto.errors import OpenFailed
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import new_identity
from e2email_crypto.seal import seal
from e2email_protocol.sealed.armor import armored_slice, crc24
from e2email_protocol.sealed.arrival import Arrival, appended
from e2email_protocol.sealed.record import Policy, Record
from e2email_protocol.sealed.render import envelope_field, render
from support import corpus, sealing

FOREIGN = "someone else can read this mail"
EMAIL_ID = "E" + sealing.RECORD_ID.hex()
MAIL = (
    b"From: Bob <bob@example.net>\r\nTo: alice@example.test\r\n"
    b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nhello\r\n"
)


class World:
    """One account with a real key, and a server's arrival key."""

    def __init__(self) -> None:
        now = int(time.time())
        self.identity = new_identity(sealing.ACCOUNT, "Alice", now)
        self.arrival = ArrivalKey.generate()
        self.recipient = recipient(self.identity.cert, now)
        self.sealer = sealing.RealSealer(self.recipient, self.arrival)
        self.keys = Keys(sealing.ACCOUNT, (self.recipient.key_ids,), (self.arrival.public,))
        self.opening = Opening(self.keys, [self.identity.tsk], workers=1)

    def record(self, mail: bytes = MAIL, policy: Policy = Policy.SEALED) -> Record:
        return sealing.composed(mail, self.sealer, policy=policy)

    def summary(self, record: Record, email_id: str = EMAIL_ID):
        ((_, result),) = self.opening.envelopes([(email_id, envelope_field(record))])
        return result

    def body(self, record: Record, email_id: str = EMAIL_ID):
        ((_, result),) = self.opening.bodies([(email_id, rendered(record))])
        return result


def rendered(record: Record) -> bytes:
    whole = render(record)
    return whole.read(0, whole.size)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.opening.close()


def test_a_summary_comes_from_the_envelope_alone(world: World) -> None:
    summary = world.summary(world.record())
    assert summary.state is State.READY
    assert (summary.subject, summary.sender) == ("grüße", "Bob <bob@example.net>")
    assert summary.size == len(sealing.TRACE + MAIL)
    assert summary.security.encryption == "sealed on arrival"
    assert summary.security.origin == "smtp"
    assert summary.security.verdicts["spf"] == "pass example.net"


def test_a_body_gives_back_the_octets_and_agrees_with_the_summary(world: World) -> None:
    record = world.record()
    before, (after, body) = world.summary(record), world.body(record)
    assert body.delivered == body.view == sealing.TRACE + MAIL
    assert body.delivered[body.trace_length :] == MAIL
    assert "hello" in body.text
    assert after.state is State.OPENED
    assert (before.envelope, before.structure, before.size, before.fields) == (
        (after.envelope, after.structure, after.size, after.fields)
    )


@pytest.mark.parametrize("policy", list(Policy))
def test_the_corpus_comes_back(world: World, policy: Policy) -> None:
    mails = list(corpus.messages())[::7]
    records = [world.record(octets, policy) for _, octets in mails]
    opened = world.opening.bodies([(EMAIL_ID, rendered(record)) for record in records])
    for (name, octets), (_, (summary, body)) in zip(mails, opened, strict=True):
        assert body.delivered == sealing.TRACE + octets, name
        assert summary.security.alarms == (), name


def test_mail_that_its_sender_encrypted_is_closed_until_opened(world: World) -> None:
    inner = b"Content-Type: text/plain\r\n\r\nsecret words\r\n"
    message = seal(inner, [world.recipient])
    armored = armored_slice(
        lambda start, count: message[start : start + count],
        len(message),
        crc24(message),
        0,
        1 << 20,
    )
    for policy in Policy:
        record = world.record(sealing.encrypted_mail(armored), policy)
        assert world.summary(record).state is State.CLOSED
        summary, body = world.body(record)
        assert b"secret words" in body.view
        assert b"secret words" not in body.delivered
        assert summary.security.encryption == "encrypted by the sender"
        assert summary.size == len(body.view)


def test_an_envelope_of_another_record_is_unreadable(world: World) -> None:
    other = "E" + bytes(16).hex()
    assert isinstance(world.summary(world.record(), other), Unreadable)
    summary, body = world.body(world.record(), other)
    assert summary.state is State.UNREADABLE
    assert b"parts of different messages" in body.view


def test_bodies_exchanged_by_the_server_are_unreadable(world: World) -> None:
    one = world.record()
    two = sealing.composed(MAIL, world.sealer, record_id=bytes(16))
    swapped = sealing.composed(MAIL, world.sealer)
    swapped = Record(
        one.record_id, one.form, one.version, one.policy, one.outer, one.boundary,
        one.envelope, two.crc, two.body_size, two.body,
    )  # fmt: skip
    summary, body = world.body(swapped)
    assert summary.state is State.UNREADABLE
    assert b"hello" not in body.view


@pytest.mark.parametrize("octets", [b"", b"From: x\r\n\r\nclear text\r\n", b"E2email-Envelope: 1"])
def test_what_is_no_record_is_a_notice_with_the_original_attached(
    world: World, octets: bytes
) -> None:
    ((_, (summary, body)),) = world.opening.bodies([(EMAIL_ID, octets)])
    assert summary.state is State.UNREADABLE
    assert b"sealed.eml" in body.view
    assert b"clear text" not in body.view


def test_a_foreign_key_is_an_alarm(world: World) -> None:
    other = World()
    both = sealing.RealSealer(world.recipient, world.arrival)

    class Leaking(type(both)):
        def seal(self, plaintext: bytes) -> bytes:
            return seal(plaintext, [world.recipient, other.recipient])

    record = sealing.composed(MAIL, Leaking(world.recipient, world.arrival))
    other.opening.close()
    assert world.summary(record).security.alarms == ("someone else can read this mail",)
    summary, body = world.body(record)
    assert "someone else can read this mail" in summary.security.alarms
    assert b"hello" in body.view


@pytest.mark.parametrize("told", ["nobody", "the owner once more"])
def test_a_reader_whose_key_is_not_told_is_an_alarm(world: World, told: str) -> None:
    other = World()
    (own,) = world.recipient.key_ids
    instead = bytes(8) if told == "nobody" else bytes.fromhex(own)

    class Leaking(sealing.RealSealer):
        def seal(self, plaintext: bytes) -> bytes:
            message = seal(plaintext, [world.recipient, other.recipient])
            (foreign,) = other.recipient.key_ids
            return message.replace(bytes.fromhex(foreign), instead, 1)

    record = sealing.composed(MAIL, Leaking(world.recipient, world.arrival))
    other.opening.close()
    assert world.summary(record).security.alarms == ("someone else can read this mail",)
    assert "someone else can read this mail" in world.body(record)[0].security.alarms


def test_a_signature_by_an_unknown_server_proves_nothing(world: World) -> None:
    record = sealing.composed(MAIL, sealing.RealSealer(world.recipient, ArrivalKey.generate()))
    summary = world.summary(record)
    assert summary.security.origin == "unproven"
    assert summary.security.verdicts == {}
    assert summary.state is State.CLOSED  # nothing it says is shown before the octets are seen
    assert world.body(record)[0].state is State.OPENED


def test_mail_for_another_key_is_unreadable_and_the_next_one_opens(world: World) -> None:
    other = World()
    foreign = other.record()
    other.opening.close()
    assert isinstance(world.summary(foreign), Unreadable)
    assert world.body(foreign)[0].state is State.UNREADABLE
    assert world.body(world.record())[0].state is State.OPENED


def test_a_worker_that_died_is_a_reason_to_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = world.record()
    died = lambda _, messages, *__: (OpenFailed(final=False) for _ in messages)  # noqa: E731
    monkeypatch.setattr("e2email_crypto.open.OpenPool.open_many", died)
    assert isinstance(world.summary(record), Later)
    assert isinstance(world.body(record), Later)


def encrypted_record(world: World, sealer: sealing.RealSealer | None = None) -> Record:
    """Of mail that its sender encrypted to the account."""
    message = sealing.armored(seal(b"\r\nsecret words\r\n", [world.recipient]))
    return sealing.composed(sealing.encrypted_mail(message), sealer or world.sealer)


DIED, DIED_ALONE = OpenFailed(final=False), OpenFailed(final=False, alone=True)


@pytest.mark.parametrize(
    ("ends", "final"),
    [
        ([DIED, DIED], False),  # no worker starts
        ([DIED, DIED_ALONE, DIED], False),
        ([DIED_ALONE, DIED], False),
        ([DIED_ALONE, DIED_ALONE], True),
        ([DIED, DIED_ALONE, DIED_ALONE], True),
    ],
)
def test_only_what_takes_two_fresh_workers_alone_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch, ends: list[OpenFailed], final: bool
) -> None:
    record, left, asked = encrypted_record(world), list(ends), []

    def opened(*_: object, fresh: bool) -> None:
        asked.append(fresh)
        raise left.pop(0)

    with monkeypatch.context() as broken:
        broken.setattr("e2email_crypto.open.OpenPool.open", opened)
        found = world.body(record)
    assert not left
    assert asked == [False] + [True] * (len(ends) - 1)
    if final:
        assert found[0].state is State.UNREADABLE
        assert b"more memory or time" in found[1].view
    else:
        assert isinstance(found, Later)
    assert world.body(record)[0].state is State.OPENED


def test_workers_that_do_not_start_are_a_reason_to_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ChildGone

    record = encrypted_record(world)
    with monkeypatch.context() as broken:
        broken.setattr("e2email_crypto.open.Child", gone)
        for one in world.opening._pool._workers:
            one._child.end()
        assert isinstance(world.summary(record), Later)
        assert isinstance(world.body(record), Later)
    assert world.body(record)[0].state is State.OPENED


def leaking(world: World) -> sealing.RealSealer:
    """Seals to somebody else too."""
    other = World()
    other.opening.close()

    class Leaking(sealing.RealSealer):
        def seal(self, plaintext: bytes) -> bytes:
            return seal(plaintext, [world.recipient, other.recipient])

    return Leaking(world.recipient, world.arrival)


def test_a_notice_keeps_alarm_and_origin(world: World) -> None:
    foreign = World()
    foreign.opening.close()
    message = sealing.armored(seal(b"\r\nhi\r\n", [foreign.recipient]))
    message = message_to(message, foreign, world)
    record = sealing.composed(sealing.encrypted_mail(message), leaking(world))
    security = world.body(record)[0].security
    assert (security.encryption, security.origin) == ("unreadable", "smtp")
    assert security.verdicts["spf"] == "pass example.net"
    assert FOREIGN in security.alarms
    assert len(security.alarms) == 2


def message_to(armored: bytes, named: World, instead: World) -> bytes:
    """The same with another key id: it cannot be opened by whom it names."""
    (old,), (new,) = named.recipient.key_ids, instead.recipient.key_ids
    binary = dearmor(armored, b"MESSAGE", 1 << 20)
    return sealing.armored(binary.replace(bytes.fromhex(old), bytes.fromhex(new), 1))


def test_a_notice_of_a_record_that_is_damaged_keeps_the_alarm(world: World) -> None:
    record = sealing.composed(MAIL, leaking(world))
    damaged = bytearray(record.body)
    damaged[-1] ^= 1
    broken = replace(record, body=bytes(damaged), crc=crc24(bytes(damaged)))
    summary, body = world.body(broken)
    assert summary.state is State.UNREADABLE
    assert b"hello" not in body.view
    assert FOREIGN in summary.security.alarms
    assert summary.security.origin == "unproven"  # of what is here, nothing is


@pytest.mark.parametrize(
    "email_id", ["", "E", "Ezz", EMAIL_ID[:-2], EMAIL_ID + " ", "E" + "é" * 32]
)
def test_an_email_id_that_is_none_costs_only_its_message(world: World, email_id: str) -> None:
    record = world.record()
    found = world.opening.envelopes(
        [(email_id, envelope_field(record)), (EMAIL_ID, envelope_field(record))]
    )
    assert [isinstance(one, Unreadable) for _, one in found] == [True, False]
    assert world.body(record, email_id)[0].state is State.UNREADABLE


def test_record_ids() -> None:
    assert record_id(EMAIL_ID) == sealing.RECORD_ID


# --- who may say how a mail came --------------------------------------------------------------

DEVICE = ArrivalKey(b"a device's seed of thirty-two by")
MADE_HERE = Arrival("device", "", sealing.ARRIVED.time)


def origin(world: World, key: ArrivalKey, arrival: Arrival, device: object) -> str:
    """As it is shown, for a record that `key` signed where `device` is asked for devices."""
    keys = replace(world.keys, device=device)
    opening = Opening(keys, [world.identity.tsk], workers=1)
    try:
        sealer = sealing.RealSealer(world.recipient, key)
        record = sealing.composed(MAIL, sealer, trace=b"", arrival=arrival)
        ((_, summary),) = opening.envelopes([(EMAIL_ID, envelope_field(record))])
        ((_, outcome),) = opening.bodies([(EMAIL_ID, rendered(record))])
        if isinstance(summary, Later):
            assert isinstance(outcome, Later)
            return "later"
        assert outcome[0].security.origin == summary.security.origin
        assert outcome[0].security.verdicts == summary.security.verdicts
        assert bool(summary.security.verdicts) is (summary.security.origin == "smtp")
        return summary.security.origin
    finally:
        opening.close()


def only(public: bytes, until: int | None = None):
    return lambda signer: Device(public, until) if signer == key_id(public) else None


def test_a_device_speaks_for_what_was_made_on_it_and_nothing_else(world: World) -> None:
    device = only(DEVICE.public)
    assert origin(world, DEVICE, MADE_HERE, device) == "device"
    assert origin(world, DEVICE, sealing.ARRIVED, device) == "unproven"
    assert origin(world, DEVICE, appended("mutt", "TLS", 5), device) == "unproven"


def test_the_server_speaks_for_what_it_received_and_not_for_a_device(world: World) -> None:
    """Or it could put words into its user's mouth: a draft, a mail that they never sent."""
    device = only(DEVICE.public)
    assert origin(world, world.arrival, sealing.ARRIVED, device) == "smtp"
    assert origin(world, world.arrival, appended("mutt", "TLS", 5), device) == "append:mutt"
    assert origin(world, world.arrival, MADE_HERE, device) == "unproven"


def test_a_stranger_is_no_device(world: World) -> None:
    assert origin(world, ArrivalKey.generate(), MADE_HERE, only(DEVICE.public)) == "unproven"
    # one that calls itself by a device's name
    named = lambda _: Device(DEVICE.public)  # noqa: E731
    assert origin(world, ArrivalKey.generate(), MADE_HERE, named) == "unproven"


def test_a_device_that_was_given_up_stands_for_what_came_before(world: World) -> None:
    time = MADE_HERE.time
    assert origin(world, DEVICE, MADE_HERE, only(DEVICE.public, time)) == "device"
    assert origin(world, DEVICE, MADE_HERE, only(DEVICE.public, time - 1)) == "unproven"


def test_while_nobody_can_be_asked_it_is_not_called_unproven(world: World) -> None:
    def offline(_: str) -> Device:
        raise Offline("not reached")

    assert origin(world, DEVICE, MADE_HERE, offline) == "later"
    assert origin(world, world.arrival, sealing.ARRIVED, offline) == "smtp"


def test_a_mail_that_is_not_encrypted_as_its_envelope_says(world: World) -> None:
    known = world.opening._envelope

    def lying(*given: object) -> object:
        opened = known(*given)
        return replace(opened, envelope=replace(opened.envelope, encrypted=True))

    world.opening._envelope = lying
    try:
        summary, body = world.body(world.record())
    finally:
        del world.opening._envelope
    assert summary.state is State.UNREADABLE
    assert "marked as encrypted by its sender, and is not" in summary.preview
    assert body.delivered == sealing.TRACE + MAIL


def unparsed(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Parsing a mail that says `what` takes too much."""
    real = Parsing._asked

    def asked(self: Parsing, requests: list, read: object) -> list:
        if any(what.encode() in octets for _, *both in requests for octets in both):
            return [None] * len(requests)
        return real(self, requests, read)

    monkeypatch.setattr(Parsing, "_asked", asked)


def test_a_mail_that_cannot_be_parsed_keeps_its_octets_and_what_was_announced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = world.record()
    before = world.summary(record)
    unparsed(monkeypatch, "hello")
    after, body = world.body(record)
    assert replace(before, state=State.OPENED) == after
    assert body.view == body.delivered == sealing.TRACE + MAIL
    assert (body.text, body.header) == ("hello\r\n", (sealing.TRACE + MAIL)[: -len("hello\r\n")])
    assert "=?utf-8?q?gr=c3=bc=c3=9fe?=" in body.header_text  # not decoded, and not forgotten


@pytest.mark.parametrize("why", ["origin unproven", "something omitted", "encrypted"])
def test_where_nothing_was_announced_such_a_mail_is_a_notice(
    world: World, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "origin unproven":
        stranger = sealing.RealSealer(world.recipient, ArrivalKey.generate())
        record = sealing.composed(MAIL, stranger)
    elif why == "encrypted":
        inner = sealing.armored(seal(b"\r\nhello\r\n", [world.recipient]))
        record = world.record(sealing.encrypted_mail(inner))
    else:
        record = world.record(b"Cc: " + b"a@b, " * 5000 + b"\r\n" + MAIL)
    assert world.summary(record).state is State.CLOSED
    unparsed(monkeypatch, "hello")
    summary, body = world.body(record)
    assert summary.state is State.UNREADABLE
    assert b"more memory or time" in body.view
    assert body.delivered.startswith(sealing.TRACE)
    assert summary.security.origin == ("unproven" if why == "origin unproven" else "smtp")


def test_fields_that_cannot_be_parsed_wait_for_the_octets(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unparsed(monkeypatch, "Bob")
    assert isinstance(world.summary(world.record()), Unreadable)


def test_without_a_parsing_process_all_of_it_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise NoParser

    records = [world.record(), encrypted_record(world)]
    with monkeypatch.context() as broken:
        broken.setattr(Parsing, "_asked", none)
        for record in records:
            assert isinstance(world.summary(record), Later)
            assert isinstance(world.body(record), Later)
        ((_, result),) = world.opening.bodies([(EMAIL_ID, b"no record")])
        assert isinstance(result, Later)
    assert world.body(records[0])[0].state is State.OPENED


def test_what_was_asked_for_is_let_go(world: World) -> None:
    asked = [(EMAIL_ID, rendered(world.record()))]
    world.opening.bodies(asked)
    assert asked == []


def test_the_notice_of_a_large_record_has_all_that_the_server_holds(world: World) -> None:
    octets = rendered(world.record(MAIL + b"x" * 300_000))
    other = "E" + bytes(16).hex()
    ((_, (summary, body)),) = world.opening.bodies([(other, octets)])
    assert summary.state is State.UNREADABLE
    assert sealed_original(body.view) == octets
