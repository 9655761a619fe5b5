"""Resealing: the same octets and the same signature under other keys, or nothing at all."""

from dataclasses import replace

import pytest

from e2email_protocol.sealed.armor import crc24
from e2email_protocol.sealed.opened import Damaged, NotThisRecord
from e2email_protocol.sealed.record import Policy, Record
from e2email_protocol.sealed.reseal import Messages, NotResealed, digest, resealed
from support.sealing import ACCOUNT, FakeIdentity, armored, composed, encrypted_mail, fake_message
from support.sealing import opened as opened_record

OLD, NEW, FOREIGN = "00000000000000A0", "00000000000000A1", "00000000000000E1"
ALICE = FakeIdentity()  # rotated from OLD to NEW
BEFORE = ALICE.but(key_ids=frozenset({OLD}))
MAIL = b"From: bob@example.net\r\nSubject: x\r\n\r\nhi\r\n"


def reseal(record: Record, opener: FakeIdentity = ALICE, sealer: FakeIdentity = ALICE) -> Messages:
    return resealed(record, account=ACCOUNT, opener=opener, sealer=sealer)


def with_messages(record: Record, new: Messages) -> Record:
    body = new.body or record.body
    crc = crc24(body) if new.body else record.crc
    return replace(record, envelope=new.envelope, body=body, body_size=len(body), crc=crc)


@pytest.mark.parametrize("policy", Policy)
def test_everything_inside_stays(policy: Policy) -> None:
    old = composed(MAIL, BEFORE, policy=policy)
    new = reseal(old)
    assert new.senders == frozenset()
    assert ALICE.message_key_ids(new.envelope) == ALICE.message_key_ids(new.body) == {NEW}
    for before, after in ((old.envelope, new.envelope), (old.body, new.body)):
        assert ALICE.open(before, 1 << 20).plaintext == ALICE.open(after, 1 << 20).plaintext
    was, now = (opened_record(one, ALICE) for one in (old, with_messages(old, new)))
    assert (now.delivered, now.view, now.envelope.envelope) == (
        was.delivered,
        was.view,
        was.envelope.envelope,
    )
    assert now.envelope.proven
    assert not now.alarms


def test_of_what_its_sender_encrypted_only_the_envelope_is_sealed_anew() -> None:
    mail = encrypted_mail(armored(fake_message(b"\r\nhi\r\n", OLD)))
    old = composed(mail, BEFORE, policy=Policy.BASELINE)
    new = reseal(old)
    assert new.body == b""
    assert new.senders == {OLD}
    sealed = reseal(composed(mail, BEFORE))
    assert (sealed.senders, bool(sealed.body)) == ({OLD}, True)
    later = opened_record(with_messages(old, new), ALICE)
    assert later.delivered == old.body
    assert not later.alarms


def test_an_alarm_keeps_its_evidence() -> None:
    both = BEFORE.but(key_ids=frozenset({OLD, FOREIGN}))
    clean, alarming = composed(MAIL, BEFORE), composed(MAIL, both)
    with pytest.raises(NotResealed):
        reseal(alarming)
    with pytest.raises(NotResealed):
        reseal(replace(clean, body=alarming.body, body_size=len(alarming.body)))


def test_what_does_not_open_as_this_record_is_left() -> None:
    record, other = composed(MAIL, BEFORE), composed(MAIL, BEFORE, record_id=bytes(16))
    with pytest.raises(NotThisRecord):
        reseal(replace(record, body=other.body))
    with pytest.raises(NotThisRecord):
        reseal(replace(record, envelope=other.envelope))
    inside = ALICE.open(record.body, 1 << 20).plaintext
    with pytest.raises(Damaged):
        reseal(replace(record, body=fake_message(inside.replace(b"hi", b"ho"), OLD)))


class Careless(FakeIdentity):
    """A sealer whose messages are not what they should be."""

    def seal(self, plaintext: bytes) -> bytes:
        return fake_message(plaintext + b"?", *sorted(self.key_ids))


class Generous(FakeIdentity):
    """One that seals to a key more."""

    def seal(self, plaintext: bytes) -> bytes:
        return fake_message(plaintext, *sorted(self.key_ids), FOREIGN)


@pytest.mark.parametrize("sealer", [Careless(), Generous()])
def test_a_new_form_that_is_not_proved_replaces_nothing(sealer: FakeIdentity) -> None:
    with pytest.raises((NotResealed, ValueError)):
        reseal(composed(MAIL, BEFORE), sealer=sealer)


def test_a_device_that_cannot_open_the_new_form_does_not_make_it() -> None:
    # its key was given up, and it has not heard of it
    with pytest.raises(ValueError, match="cannot be opened"):
        reseal(composed(MAIL, BEFORE), sealer=ALICE.but(key_ids=frozenset({FOREIGN})))


def test_both_messages_travel_as_one() -> None:
    for body in (b"", b"body" * 1000):
        messages = Messages(b"envelope", body)
        octets = messages.encode()
        assert octets == b"\0\0\0\x08envelope" + body
        assert Messages.decode(octets) == messages


@pytest.mark.parametrize(
    "octets",
    [b"", b"\0\0\0", b"\0\0\0\0body", b"\0\0\0\x09envelope", b"\0\0\x80\x01" + bytes(40000)],
)
def test_messages_out_of_form(octets: bytes) -> None:
    with pytest.raises(ValueError, match="not the messages"):
        Messages.decode(octets)


def test_each_form_has_a_name_of_its_own() -> None:
    assert digest(b"one") != digest(b"two")
    assert len(digest(b"one")) == 32
    assert "secret" not in repr(Messages(b"secret", b"secret"))
