"""The clear header: nothing of anybody under `sealed`, what a reply needs under `baseline`."""

from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.policy import (
    MAX_SHOWN,
    NEUTRAL_ADDRESS,
    date,
    hp_outer,
    is_outer,
    outer_header,
)
from e2email_protocol.sealed.record import Form, Policy
from e2email_protocol.sealed.render import render
from support.sealing import TRACE, FakeIdentity, composed

ALICE = FakeIdentity()
HEADER = (
    b"Received: by x\r\nMessage-Id: <1@example.net>\r\nFROM: Bob\r\n <bob@example.net>\r\n"
    b"To: alice@example.test\r\nCc: carol@example.org\r\nReply-To: bob@example.com\r\n"
    b"Subject: canary\r\nBcc: dave@example.org\r\nSender: s@example.net\r\n"
    b"Date: Sat, 21 Nov 2026 10:00:00 +0100\r\nIn-Reply-To: <0@example.test>\r\n"
    b"References: <0@example.test>\r\nX-Note: canary\r\n\r\n"
)


def shown(header: bytes, policy: Policy) -> bytes:
    outer = outer_header(policy, Mail(TRACE + header, len(TRACE)), 1_795_334_400)
    assert is_outer(outer, policy, Form.SEALED)
    return outer


def test_sealed_says_nothing_but_the_time_of_arrival() -> None:
    assert shown(HEADER, Policy.SEALED) == (
        b"From: Sealed mail <sealed@e2email.invalid>\r\n"
        b"To: Sealed mail <sealed@e2email.invalid>\r\n"
        b"Subject: [...]\r\n"
        b"Date: Sun, 22 Nov 2026 08:00:00 +0000\r\n"
    )
    assert shown(HEADER, Policy.SEALED) == shown(b"\r\n", Policy.SEALED)
    assert NEUTRAL_ADDRESS.endswith(".invalid")


def test_baseline_shows_what_a_reply_needs() -> None:
    assert shown(HEADER, Policy.BASELINE) == (
        b"Subject: [...]\r\n"
        b"From: Bob\r\n <bob@example.net>\r\n"
        b"Date: Sat, 21 Nov 2026 10:00:00 +0100\r\n"
        b"Message-ID: <1@example.net>\r\n"
        b"Reply-To: bob@example.com\r\n"
        b"In-Reply-To: <0@example.test>\r\n"
        b"To: alice@example.test\r\n"
        b"Cc: carol@example.org\r\n"
        b"References: <0@example.test>\r\n"
    )


def test_baseline_invents_nothing() -> None:
    assert shown(b"X: y\r\n\r\n", Policy.BASELINE) == b"Subject: [...]\r\n"


def test_first_of_doubled_fields_is_shown() -> None:
    assert shown(b"From: a@b\r\nFrom: c@d\r\n\r\n", Policy.BASELINE) == (
        b"Subject: [...]\r\nFrom: a@b\r\n"
    )


def test_fields_become_clean_lines() -> None:
    header = (
        b"From: \xe9 <a@b>\0\r\nTo: x\ry\n \n z\r\nCc:\r\nDate: " + b"1" * 1000 + b"\r\n"
        b"Message-ID:<1@b>\r\n\r\n"
    )
    assert shown(header, Policy.BASELINE) == (
        b"Subject: [...]\r\nFrom: ? <a@b>?\r\nMessage-ID: <1@b>\r\nTo: x?y\r\n z\r\n"
    )


def test_what_has_no_room_is_not_shown() -> None:
    many = b",\r\n ".join(b"someone%03d@example.org" % n for n in range(200))
    header = b"References: <1@b>\r\nTo: " + many + b"\r\nFrom: a@b\r\n\r\n"
    outer = shown(header, Policy.BASELINE)
    assert outer == b"Subject: [...]\r\nFrom: a@b\r\nReferences: <1@b>\r\n"
    assert len(header) > MAX_SHOWN


def test_one_hp_outer_for_each_field() -> None:
    outer = b"Subject: [...]\r\nFrom: Bob\r\n <bob@example.net>\r\n"
    assert hp_outer(outer) == (
        b"HP-Outer: Subject: [...]\r\nHP-Outer: From: Bob\r\n <bob@example.net>\r\n"
    )


def test_hp_outer_is_inside_the_seal() -> None:
    for policy in Policy:
        record = composed(HEADER, ALICE, policy=policy)
        plaintext = ALICE.open(record.body, 1 << 20).plaintext
        seal, rest = plaintext.split(b"\r\n", 1)
        assert seal.startswith(b"E2email-Seal: 1; account=alice@example.test; id=0001")
        assert rest.startswith(hp_outer(record.outer))


def test_date() -> None:
    assert date(0) == b"Thu, 01 Jan 1970 00:00:00 +0000"
    assert date(951_782_400) == b"Tue, 29 Feb 2000 00:00:00 +0000"
    assert date(253_402_300_799) == b"Fri, 31 Dec 9999 23:59:59 +0000"


def test_nothing_of_the_mail_is_readable_in_its_rendering() -> None:
    words = (b"canary", b"bob", b"alice", b"carol", b"sat, 21", b"<1@")
    octets = render(composed(HEADER + b"canary\r\n", ALICE)).read(0, 1 << 30)
    assert [word for word in words if word in octets.lower()] == []
    record = composed(HEADER + b"canary\r\n", ALICE, policy=Policy.BASELINE)
    octets = render(record).read(0, 1 << 30)
    assert b"canary" not in octets
