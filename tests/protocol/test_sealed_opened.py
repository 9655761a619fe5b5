"""Opening: what is shown, what is refused, what is an alarm."""

from dataclasses import replace

import pytest

from e2email_protocol.mime.envelope import envelope as imap_envelope
from e2email_protocol.sealed.arrival import Arrival, appended
from e2email_protocol.sealed.change import Change
from e2email_protocol.sealed.envelope import (
    BadEnvelope,
    Body,
    Envelope,
    decode,
    encode,
)
from e2email_protocol.sealed.opened import (
    Alarm,
    CopyOfStored,
    Damaged,
    NotEncrypted,
    NotThisRecord,
    Security,
    open_body,
    open_envelope,
    plaintext_size,
)
from e2email_protocol.sealed.record import Form, Policy, Record
from e2email_protocol.sealed.reseal import resealed
from e2email_protocol.sealed.sealer import Decrypted, Signature
from e2email_protocol.sealed.signed import Signed, join_signed, split_signed
from support.sealing import (
    ACCOUNT,
    ARRIVED,
    RECORD_ID,
    TRACE,
    FakeIdentity,
    armored,
    composed,
    encrypted_mail,
    fake_message,
    opened,
)

ALICE = FakeIdentity()
RECEIVED = b"From: bob@example.net\r\nSubject: x\r\n\r\nhi\r\n"
OTHER_ID = bytes(16)
KEY = "00000000000000A1"
OLD_KEY = "00000000000000A0"


def encrypted_to_alice(entity: bytes, key: str = KEY, **parts: bytes) -> bytes:
    return encrypted_mail(armored(fake_message(entity, key)), **parts)


def envelope_of(record: Record) -> Envelope:
    return decode(split_signed(ALICE.open(record.envelope, 1 << 20).plaintext).envelope)


def with_envelope(record: Record, **changes: object) -> Record:
    """The record with an envelope that says something else, properly signed."""
    octets = encode(replace(envelope_of(record), **changes))
    signed = join_signed(Signed(ALICE.signer, ALICE.sign(octets), octets))
    return replace(record, envelope=ALICE.seal(signed))


def with_body(record: Record, plaintext: bytes) -> Record:
    body = ALICE.seal(plaintext)
    return replace(record, body=body, body_size=len(body))


@pytest.mark.parametrize("policy", list(Policy))
def test_clear_mail_is_shown_as_delivered(policy: Policy) -> None:
    mail = opened(composed(RECEIVED, ALICE, policy=policy), ALICE)
    assert mail.view == mail.delivered == TRACE + RECEIVED
    assert mail.received == RECEIVED
    assert mail.envelope.security is Security.ARRIVAL
    assert mail.envelope.verdicts == (("dkim", "pass example.net"), ("spf", "pass example.net"))
    assert mail.signatures == ()


@pytest.mark.parametrize("policy", list(Policy))
def test_mail_that_only_claims_pgp_mime_is_sealed(policy: Policy) -> None:
    for claim in (b"words, not packets\r\n", armored(b"not packets"), b""):
        record = composed(encrypted_mail(claim), ALICE, policy=policy)
        assert record.form is Form.SEALED
        mail = opened(record, ALICE)
        assert mail.envelope.security is Security.ARRIVAL
        assert mail.view == mail.delivered


@pytest.mark.parametrize("policy", list(Policy))
def test_mail_whose_packets_name_nobody_here_is_sealed(policy: Policy) -> None:
    received = encrypted_to_alice(b"\r\nhi\r\n", "00000000000000E1")
    record = composed(received, ALICE, policy=policy)
    assert record.form is Form.SEALED
    assert opened(record, ALICE).view == TRACE + received


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            b"--b1\r\nContent-Type: application/pgp",
            b"words\r\n--b1\r\nContent-Type: application/pgp",
        ),
        (b"--b1--\r\n", b"--b1--\r\nwords\r\n"),
        (b"Version: 1\r\n", b"Version: 1\r\nwords\r\n"),
        (b"--b1--", b"--b1\r\n\r\nthird part\r\n--b1--"),
        (b'protocol="application/pgp-encrypted"', b'protocol="application/pgp"'),
        (b"application/octet-stream", b"text/plain"),
        (b"multipart/encrypted", b"multipart/mixed"),
    ],
)
def test_words_beside_an_encryption_are_sealed(old: bytes, new: bytes) -> None:
    received = encrypted_to_alice(b"\r\nhi\r\n")
    assert composed(received, ALICE, policy=Policy.BASELINE).form is Form.VERBATIM
    received = received.replace(old, new, 1)
    assert composed(received, ALICE, policy=Policy.BASELINE).form is Form.SEALED


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
@pytest.mark.parametrize("policy", list(Policy))
def test_sender_encrypted_mail_is_opened(policy: Policy, key: str) -> None:
    received = encrypted_to_alice(b"Content-Type: text/plain\r\n\r\nhello\r\n", key)
    record = composed(received, ALICE, policy=policy)
    assert record.form is (Form.VERBATIM if policy is Policy.BASELINE else Form.SEALED)
    mail = opened(record, ALICE.but(signatures=(Signature("valid", "F" * 40),)))
    assert mail.received == received
    assert mail.envelope.security is Security.SENDER
    assert mail.signatures == (Signature("valid", "F" * 40),)
    assert not mail.alarms
    assert mail.view == TRACE + (
        b"From: Carol <carol@example.org>\r\nTo: alice@example.test\r\nSubject: ...\r\n"
        b"Content-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\nhello\r\n"
    )
    assert mail.summary.preview == "hello"
    assert mail.summary.size == len(mail.view)


def test_thunderbirds_preamble_is_none() -> None:
    preamble = b"This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\r\n"
    received = encrypted_to_alice(b"\r\nhi\r\n", preamble=preamble)
    assert composed(received, ALICE, policy=Policy.BASELINE).form is Form.VERBATIM


OUTER = (
    b"Received: by relay\r\nFrom: outer@x\r\nSubject: ...\r\nTo: outer@y\r\n"
    b"List-Post: <mailto:l@z>\r\nHP-Outer: Subject: no\r\n"
    b"E2email-Seal: no\r\nContent-Language: no\r\nX-Note: outer\r\n"
)
INNER = (
    b"Subject: inner\r\nFROM: inner@x\r\nReceived: by nobody\r\nReturn-Path: <no>\r\n"
    b"HP-Outer: Subject: ...\r\nE2email-Envelope: no\r\nX-Inner: yes\r\nContent-Type: text/plain"
)


def view(entity: bytes, outer: bytes = OUTER) -> str:
    mail = opened(composed(encrypted_to_alice(entity, outer=outer), ALICE), ALICE)
    assert mail.view.startswith(TRACE)
    return mail.view.removeprefix(TRACE).replace(b"\r\n", b"\n").decode("latin-1")


@pytest.mark.parametrize("hp", [b'; hp="cipher"', b"; HP=Clear"])
def test_view_under_rfc_9788_takes_only_trace_fields_from_outside(hp: bytes) -> None:
    assert view(INNER + hp + b"\r\n\r\nhi\r\n") == (
        "Received: by relay\nSubject: inner\nFROM: inner@x\nX-Inner: yes\n"
        f"Content-Type: text/plain{hp.decode()}\nMIME-Version: 1.0\n\nhi\n"
    )


@pytest.mark.parametrize("marker", [b"", b'; protected-headers="v1"', b'; hp="other"'])
def test_view_otherwise_fills_in_what_is_missing_inside(marker: bytes) -> None:
    assert view(INNER + marker + b"\r\nMIME-Version: 1.1\r\n\r\nhi\r\n") == (
        "Received: by relay\nTo: outer@y\nList-Post: <mailto:l@z>\nX-Note: outer\n"
        "Subject: inner\nFROM: inner@x\nX-Inner: yes\n"
        f"Content-Type: text/plain{marker.decode()}\nMIME-Version: 1.1\n\nhi\n"
    )


PLAIN = b"From: a@b\r\n"


@pytest.mark.parametrize(
    ("entity", "shown"),
    [
        (b"\r\nhi\r\n", "From: a@b\nMIME-Version: 1.0\n\nhi\n"),
        (b"hi there\r\n", "From: a@b\nMIME-Version: 1.0\n\nhi there\n"),
        (b" hi: there\r\n\r\nyou\r\n", "From: a@b\nMIME-Version: 1.0\n\n hi: there\n\nyou\n"),
        (b"Subject: x\n\nhi\n", "From: a@b\nSubject: x\nMIME-Version: 1.0\n\nhi\n"),
        (b"Subject: x", "From: a@b\nSubject: x\nMIME-Version: 1.0\n\n"),
        (b"", "From: a@b\nMIME-Version: 1.0\n\n"),
    ],
    ids=["no header", "not an entity", "leading space", "unix lines", "no body", "empty"],
)
def test_view_of_odd_entities(entity: bytes, shown: str) -> None:
    assert view(entity, PLAIN) == shown


def test_a_single_cr_leaves_line_ends_alone() -> None:
    mail = opened(composed(encrypted_to_alice(b"\r\na\nb\rc\r\n", outer=PLAIN), ALICE), ALICE)
    assert mail.view.endswith(b"\r\n\r\na\nb\rc\r\n")


def test_only_one_layer_is_opened() -> None:
    nested = encrypted_to_alice(b"\r\nhi\r\n", outer=b"Subject: nested\r\n")
    text = view(nested, PLAIN)
    assert "BEGIN PGP MESSAGE" in text
    assert "Subject: nested" in text


def test_envelope_of_the_view_has_the_inner_subject() -> None:
    entity = b'Subject: inner\r\nContent-Type: text/plain; protected-headers="v1"\r\n\r\nhi\r\n'
    mail = opened(composed(encrypted_to_alice(entity), ALICE), ALICE)
    assert b'"inner"' in imap_envelope(mail.view)
    published = b"".join(raw for _, raw in mail.summary.fields)
    assert b"Subject: inner\r\n" in published
    assert b"Subject: ..." not in published


@pytest.mark.parametrize("policy", list(Policy))
def test_a_stored_body_mailed_back_to_its_owner_is_not_shown(policy: Policy) -> None:
    stored = composed(b"Subject: canary\r\n\r\nsecret\r\n", ALICE)
    for ciphertext in (stored.body, stored.envelope):
        received = encrypted_mail(armored(ciphertext))
        record = composed(received, ALICE, policy=policy, record_id=OTHER_ID)
        with pytest.raises(CopyOfStored) as caught:
            opened(record, ALICE)
        assert caught.value.sender == "Carol <carol@example.org>"
        assert "carol" not in str(caught.value)


def test_the_body_of_another_record_is_not_shown() -> None:
    record = composed(RECEIVED, ALICE)
    other = composed(RECEIVED, ALICE, record_id=OTHER_ID)
    with pytest.raises(NotThisRecord):
        opened(replace(record, body=other.body), ALICE)


def test_a_body_without_seal_is_not_shown() -> None:
    record = composed(RECEIVED, ALICE)
    bare = with_envelope(with_body(record, TRACE + RECEIVED), changes=())
    with pytest.raises(NotThisRecord):
        opened(bare, ALICE)


def test_the_envelope_of_another_record_is_refused() -> None:
    record = composed(RECEIVED, ALICE)
    for account, record_id in ((ACCOUNT, OTHER_ID), ("bob@example.test", RECORD_ID)):
        with pytest.raises(NotThisRecord):
            open_envelope(record.envelope, account=account, record_id=record_id, opener=ALICE)


def test_an_envelope_that_is_none_is_refused() -> None:
    record = composed(RECEIVED, ALICE)
    with pytest.raises(BadEnvelope):
        opened(replace(record, envelope=record.body), ALICE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": bytes(32)},
        {"size": 9},
        {"changes": ()},
        {"changes": (Change(0, b"", b"E2email-Seal: 1; account="),)},
        {"changes": (Change(1 << 30, b"", b""),)},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_octets_that_do_not_come_back_are_damaged(wrong: dict[str, object]) -> None:
    record = composed(RECEIVED, ALICE)
    limitless = ALICE.open(record.body, 1 << 20).plaintext
    envelope = open_envelope(
        with_envelope(record, **wrong).envelope,
        account=ACCOUNT,
        record_id=RECORD_ID,
        opener=ALICE,
    )

    class Unlimited(FakeIdentity):
        def open(self, message: bytes, max_plaintext: int) -> Decrypted:
            return Decrypted(limitless)

    with pytest.raises(Damaged):
        open_body(envelope, record.body, Unlimited())


def test_clear_mail_that_is_called_encrypted_is_not_opened() -> None:
    record = composed(RECEIVED, ALICE)
    envelope = open_envelope(
        with_envelope(record, encrypted=True).envelope,
        account=ACCOUNT,
        record_id=RECORD_ID,
        opener=ALICE,
    )
    with pytest.raises(NotEncrypted):
        open_body(envelope, record.body, ALICE)


def test_changed_verbatim_octets_are_damaged() -> None:
    record = composed(encrypted_to_alice(b"\r\nhi\r\n"), ALICE, policy=Policy.BASELINE)
    body = record.body.replace(b"Carol", b"Clara")
    with pytest.raises(Damaged):
        opened(replace(record, body=body), ALICE)


def test_the_plaintext_limit_is_exact() -> None:
    record = composed(RECEIVED, ALICE)
    size = len(ALICE.open(record.body, 1 << 20).plaintext)
    assert plaintext_size(envelope_of(record)) == size


def test_a_foreign_key_is_an_alarm() -> None:
    both = ALICE.but(key_ids=frozenset({KEY, "00000000000000E1"}))
    record = composed(RECEIVED, both)
    assert opened(record, ALICE).alarms == {Alarm.FOREIGN_KEY}
    clean = composed(RECEIVED, ALICE)
    assert opened(replace(clean, envelope=record.envelope), ALICE).alarms == {Alarm.FOREIGN_KEY}
    body = replace(clean, body=record.body, body_size=len(record.body))
    assert opened(body, ALICE).alarms == {Alarm.FOREIGN_KEY}


OLD_KEY = "00000000000000A0"
BOTH = frozenset({OLD_KEY, KEY})


def test_an_id_of_another_statement_may_stand_on_a_strangers_key() -> None:
    sealed_to_both = composed(RECEIVED, ALICE.but(key_ids=BOTH))
    assert opened(sealed_to_both, ALICE).alarms == {Alarm.FOREIGN_KEY}
    stated = ALICE.but(stated_key_ids=(BOTH, *ALICE.stated_key_ids))
    assert not opened(sealed_to_both, stated).alarms
    assert not opened(composed(RECEIVED, ALICE.but(key_ids=frozenset({OLD_KEY}))), ALICE).alarms
    # what is sealed is more than what the envelope says, or less
    clean = composed(RECEIVED, ALICE)
    body = replace(clean, body=sealed_to_both.body, body_size=len(sealed_to_both.body))
    assert opened(body, stated).alarms == {Alarm.FOREIGN_KEY}
    assert opened(replace(clean, envelope=sealed_to_both.envelope), ALICE).alarms == {
        Alarm.FOREIGN_KEY
    }


def test_what_was_resealed_names_a_later_statement_and_never_an_earlier_one() -> None:
    old = composed(RECEIVED, ALICE.but(key_ids=frozenset({OLD_KEY})))
    new = resealed(old, account=ACCOUNT, opener=ALICE, sealer=ALICE)
    later = replace(
        old,
        envelope=new.envelope,
        body=new.body,
        body_size=len(new.body),
    )
    assert not opened(later, ALICE).alarms
    assert opened(later, ALICE).envelope.verdicts == ARRIVED.verdicts
    turned = ALICE.but(stated_key_ids=ALICE.stated_key_ids[::-1])
    assert opened(later, turned).alarms == {Alarm.FOREIGN_KEY}
    # each of the two messages is asked
    assert opened(replace(old, envelope=new.envelope), turned).alarms == {Alarm.FOREIGN_KEY}
    half = replace(old, body=new.body, body_size=len(new.body))
    assert opened(half, turned).alarms == {Alarm.FOREIGN_KEY}


def test_a_pkesk_that_was_taken_away_is_an_alarm() -> None:
    """Of a mail for two machines one could be locked out, and the sets are both stated."""
    history = (frozenset({OLD_KEY}), BOTH, frozenset({KEY}))
    stated = ALICE.but(stated_key_ids=history)
    record = composed(RECEIVED, ALICE.but(key_ids=BOTH))
    assert not opened(record, stated).alarms
    less = fake_message(ALICE.open(record.body, 1 << 20).plaintext, OLD_KEY)
    assert opened(replace(record, body=less, body_size=len(less)), stated).alarms == {
        Alarm.FOREIGN_KEY
    }


def test_of_an_unproven_envelope_only_the_history_is_asked() -> None:
    record = composed(RECEIVED, ALICE.but(key_ids=BOTH, signer=""))
    assert not opened(record, ALICE).alarms
    strange = composed(RECEIVED, ALICE.but(key_ids=BOTH | {"00000000000000E1"}, signer=""))
    assert opened(strange, ALICE).alarms == {Alarm.FOREIGN_KEY}


def test_other_recipients_of_sender_encrypted_mail_are_no_alarm() -> None:
    both = armored(fake_message(b"\r\nhi\r\n", KEY, "00000000000000E1"))
    record = composed(encrypted_mail(both), ALICE, policy=Policy.BASELINE)
    assert not opened(record, ALICE).alarms


@pytest.mark.parametrize(
    "wrong",
    [
        {"fields": b"Subject: another\r\n"},
        {"preview": "another"},
        {"structure": None, "omitted": ("structure",)},
        {"attachments": 3},
        {"header_size": 1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_summary_that_said_something_else_is_an_alarm(wrong: dict[str, object]) -> None:
    record = with_envelope(composed(RECEIVED, ALICE), **wrong)
    mail = opened(record, ALICE)
    assert mail.alarms == {Alarm.SUMMARY}
    assert mail.summary.preview == "hi"


@pytest.mark.parametrize(
    "stranger",
    [
        ALICE.but(signer="0" * 16),
        ALICE.but(signer=""),
    ],
    ids=["another key", "unsigned"],
)
def test_an_unproven_origin_has_no_verdicts(stranger: FakeIdentity) -> None:
    mail = opened(composed(RECEIVED, stranger), ALICE)
    assert not mail.envelope.proven
    assert mail.envelope.verdicts == ()
    assert mail.envelope.security is Security.STORED  # "on arrival" is the server's word
    assert mail.received == RECEIVED


def test_no_signature_proves_nothing_to_a_trusting_opener() -> None:
    trusting = ALICE.but(trusted=frozenset({""}))
    unsigned = composed(RECEIVED, ALICE.but(signer=""))
    octets = split_signed(ALICE.open(unsigned.envelope, 1 << 20).plaintext).envelope
    forged = ALICE.seal(join_signed(Signed("", ALICE.sign(octets), octets)))
    assert not opened(replace(unsigned, envelope=forged), trusting).envelope.proven


def test_a_changed_envelope_is_unproven() -> None:
    record = composed(RECEIVED, ALICE)
    signed = split_signed(ALICE.open(record.envelope, 1 << 20).plaintext)
    octets = signed.envelope.replace(b"pass", b"fail")
    forged = join_signed(Signed(signed.signer, signed.signature, octets))
    mail = opened(replace(record, envelope=ALICE.seal(forged)), ALICE)
    assert not mail.envelope.proven


@pytest.mark.parametrize("arrival", [appended("mutt", "", 7), Arrival("device", "", 7)])
def test_what_was_stored_by_a_program_has_no_verdicts(arrival: Arrival) -> None:
    mail = opened(composed(RECEIVED, ALICE, arrival=arrival, trace=b""), ALICE)
    assert mail.envelope.security is Security.STORED
    assert mail.envelope.envelope.arrival == arrival
    assert mail.envelope.verdicts == ()
    assert mail.received == mail.delivered == RECEIVED


def test_kind_of_the_body_is_told() -> None:
    kinds = {
        Body.CHANGED: RECEIVED,
        Body.WHOLE: b" " + RECEIVED,
        Body.VERBATIM: encrypted_to_alice(b"\r\nhi\r\n"),
    }
    for kind, received in kinds.items():
        record = composed(received, ALICE, policy=Policy.BASELINE)
        assert opened(record, ALICE).envelope.envelope.body is kind


def test_no_mail_text_in_repr() -> None:
    mail = opened(composed(RECEIVED, ALICE), ALICE)
    assert "bob" not in repr(mail)
    assert "hi" not in repr(mail)
    assert "secret" not in repr(Decrypted(b"secret"))
