"""The rendering: exact layout, exact sizes, any stretch alone, and read back only if exact."""

import os
import re
from base64 import b64decode
from dataclasses import replace

import pytest

from e2email_protocol.sealed.append import own_record
from e2email_protocol.sealed.armor import armored_size, crc24, dearmor
from e2email_protocol.sealed.record import Form, Policy, Record, RecordHead
from e2email_protocol.sealed.render import (
    Rendered,
    parse_envelope_field,
    parse_rendered,
    render,
    rendered_sizes,
    stored_messages,
)
from support.sealing import (
    RECORD_ID,
    FakeIdentity,
    armored,
    composed,
    encrypted_mail,
    fake_message,
)

ALICE = FakeIdentity()
MALLORY = FakeIdentity(key_ids=frozenset({"00000000000000E1"}))
RECEIVED = b"From: bob@example.net\r\nTo: alice@example.test\r\nSubject: x\r\n\r\nhi\r\n"


ENCRYPTED = encrypted_mail(armored(fake_message(b"\r\nhi\r\n", "00000000000000A1")))


def record_of(received: bytes = RECEIVED, policy: Policy = Policy.SEALED) -> Record:
    return composed(received, ALICE, policy=policy)


def octets_of(record: Record) -> bytes:
    return render(record).read(0, 1 << 30)


RECORDS = {
    "sealed": record_of(),
    "baseline": record_of(policy=Policy.BASELINE),
    "verbatim": record_of(ENCRYPTED, Policy.BASELINE),
}


def test_layout_of_the_sealed_form() -> None:
    text = octets_of(record_of()).decode()
    base64 = r"(?: [A-Za-z0-9+/=]{1,64}\r\n)+"
    assert re.fullmatch(
        "From: Sealed mail <sealed@e2email.invalid>\r\n"
        "To: Sealed mail <sealed@e2email.invalid>\r\n"
        r"Subject: \[...\]" + "\r\n"
        r"Date: Sun, 22 Nov 2026 08:00:00 \+0000" + "\r\n"
        "E2email-Envelope: 1; id=000102030405060708090a0b0c0d0e0f; policy=sealed;\r\n"
        + base64
        + "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted";\r\n'
        ' boundary="0123456789abcdef0123456789abcdef"\r\n'
        "\r\n"
        "--0123456789abcdef0123456789abcdef\r\n"
        "Content-Type: application/pgp-encrypted\r\n"
        "\r\n"
        "Version: 1\r\n"
        "\r\n"
        "--0123456789abcdef0123456789abcdef\r\n"
        'Content-Type: application/octet-stream; name="encrypted.asc"\r\n'
        'Content-Disposition: inline; filename="encrypted.asc"\r\n'
        "\r\n"
        "-----BEGIN PGP MESSAGE-----\r\n"
        "\r\n"
        r"(?:[A-Za-z0-9+/=]{1,64}\r\n)+"
        "=[A-Za-z0-9+/]{4}\r\n"
        "-----END PGP MESSAGE-----\r\n"
        "\r\n"
        "--0123456789abcdef0123456789abcdef--\r\n",
        text,
    )


def test_layout_of_the_verbatim_form() -> None:
    record = RECORDS["verbatim"]
    assert record.form is Form.VERBATIM
    octets = octets_of(record)
    assert octets.startswith(
        b"E2email-Envelope: 1; id=000102030405060708090a0b0c0d0e0f; policy=baseline;\r\n "
    )
    assert octets.endswith(b"\r\nReturn-Path: <bob@example.net>" + record.body[30:])
    assert record.body.endswith(ENCRYPTED)


@pytest.mark.parametrize("name", RECORDS)
def test_every_stretch_is_a_slice_of_the_whole(name: str) -> None:
    rendered = render(RECORDS[name])
    whole = rendered.read(0, 1 << 30)
    assert rendered.size == len(whole)
    assert rendered_sizes(RECORDS[name]) == (rendered.size, len(rendered.header))
    for start in range(len(whole) + 2):
        for count in (0, 1, 2, 65, 67, 300):
            assert rendered.read(start, count) == whole[start : start + count]


@pytest.mark.parametrize("size", [*range(100), 4095, 4096, 4097, 8921, 8922, 8923, 30_000])
def test_armor_of_every_length(size: int) -> None:
    message = os.urandom(size)
    text = armored(message)
    assert len(text) == armored_size(size)
    assert dearmor(b"x" + text + b"y", 1, 1 + len(text)) == message
    assert dearmor(text, 0, len(text) - 1) is None
    lines = text.split(b"\r\n")
    assert lines[0] == b"-----BEGIN PGP MESSAGE-----"
    assert lines[-3] == b"=" + lines[-3][1:]
    assert int.from_bytes(b64decode(lines[-3][1:])) == slow_crc24(message) == crc24(message)
    assert all(len(line) == 64 for line in lines[2:-4])


def slow_crc24(octets: bytes) -> int:
    """RFC 9580 §6.1.1, as written there."""
    crc = 0xB704CE
    for octet in octets:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc & 0xFFFFFF


def test_partial_reads_touch_only_what_they_need() -> None:
    record = record_of(RECEIVED + b"x" * 100_000)
    asked = []

    def read(start: int, count: int) -> bytes:
        asked.append(count)
        return record.body[start : start + count]

    rendered = Rendered(record, read)
    rendered.read(0, 100)
    assert asked == []
    rendered.read(70_000, 100)
    assert sum(asked) <= 3 * 48


def test_header_is_known_without_the_body() -> None:
    def never(start: int, count: int) -> bytes:
        raise AssertionError("the body was read")

    rendered = Rendered(RECORDS["sealed"], never)
    assert rendered.header.endswith(b"\r\n\r\n")
    assert rendered.header == octets_of(RECORDS["sealed"]).split(b"--")[0]


def test_envelope_field_is_read_back() -> None:
    octets = octets_of(RECORDS["sealed"])
    start = octets.index(b"E2email-Envelope:")
    field = octets[start : octets.index(b"MIME-Version")]
    for text in (field, field + b"\r\n"):  # IMAP's HEADER.FIELDS ends in an empty line
        parsed = parse_envelope_field(text)
        assert parsed is not None
        assert (parsed.record_id, parsed.policy) == (RECORD_ID, Policy.SEALED)
        assert parsed.message == RECORDS["sealed"].envelope


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b": 1;", b": 2;"),
        (b"id=0", b"id=g"),
        (b"policy=sealed", b"policy=open"),
        (b"policy=sealed;", b"policy=sealed; more=1;"),
        (b"\r\n ", b"\r\n"),
        (b"E2email", b"X"),
    ],
)
def test_another_envelope_field_is_none(old: bytes, new: bytes) -> None:
    octets = octets_of(RECORDS["sealed"])
    field = octets[octets.index(b"E2email-Envelope:") : octets.index(b"MIME-Version")]
    assert parse_envelope_field(field) is not None
    assert parse_envelope_field(field.replace(old, new, 1)) is None
    assert parse_envelope_field(field + b"x\r\n") is None


@pytest.mark.parametrize("name", RECORDS)
def test_own_rendering_is_read_back(name: str) -> None:
    record = RECORDS[name]
    octets = octets_of(record)
    read = parse_rendered(octets)
    assert read is not None
    assert octets_of(read) == octets
    assert (read.record_id, read.form, read.policy) == (
        record.record_id,
        record.form,
        record.policy,
    )
    assert (read.outer, read.envelope, read.body) == (record.outer, record.envelope, record.body)
    assert own_record(octets, ALICE) == read
    stored = stored_messages(octets)
    assert stored is not None
    assert (stored.form, stored.envelope, stored.body) == (
        record.form, record.envelope, record.body,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["sealed", "baseline"])
def test_a_rendering_that_differs_in_one_octet_is_mail_like_any_other(name: str) -> None:
    octets = octets_of(RECORDS[name])
    date = octets.index(b"Date:") if name == "sealed" else -1
    id_start = octets.index(b"id=")
    for at in range(len(octets)):
        if date < at < date + 36 or id_start < at < id_start + 35:
            continue  # another date and another id are as good
        flipped = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
        read = parse_rendered(flipped)
        if read is not None:  # other octets of the envelope, or of a name shown: the same form
            assert octets_of(read) == flipped
            assert read.body == RECORDS[name].body
    for other in (octets[:-2], octets + b"\r\n", octets.replace(b"\r\n", b"\n"), b" " + octets):
        assert parse_rendered(other) is None


@pytest.mark.parametrize(
    "outer",
    [
        b"Subject: secret\r\n",
        b"Subject: [...]\r\nX-Spam: no\r\n",
        b"Subject: [...]\r\nFrom: a@b\r\nFrom: a@b\r\n",
        b"Subject: [...]\r\nfrom: a@b\r\n",
        b"Subject: [...]\r\nFrom: \xe9@b\r\n",
        b"Subject: [...]\r\nFrom: " + b"x" * 999 + b"\r\n",
        b"Subject: [...]\r\n\r\n",
        b"Subject: [...]\r\nFrom: a@b\n",
        b"Subject: [...]\r\nsecret\r\n",
        b"Subject: [...]\r\n" + b"To: a@b,\r\n a@b\r\n" + b"Cc: x" + b"\r\n x" * 1000 + b"\r\n",
    ],
    ids=lambda outer: repr(outer[:40]),
)
@pytest.mark.parametrize("policy", list(Policy))
def test_a_clear_header_that_no_policy_makes_is_not_taken(outer: bytes, policy: Policy) -> None:
    octets = octets_of(RECORDS[policy])
    own = RECORDS[policy].outer
    assert parse_rendered(octets) is not None
    assert parse_rendered(outer + octets.removeprefix(own)) is None


def test_the_baseline_header_is_not_taken_under_sealed() -> None:
    octets = octets_of(RECORDS["baseline"])
    assert parse_rendered(octets.replace(b"policy=baseline", b"policy=sealed")) is None


def test_verbatim_only_under_baseline() -> None:
    octets = octets_of(RECORDS["verbatim"])
    assert parse_rendered(octets.replace(b"policy=baseline", b"policy=sealed")) is None


@pytest.mark.parametrize("name", RECORDS)
def test_a_rendering_for_another_account_is_not_own(name: str) -> None:
    octets = octets_of(RECORDS[name])
    bob = FakeIdentity(known_key_ids=frozenset({"00000000000000B1"}))
    assert own_record(octets, bob) is None


def test_a_rendering_that_somebody_else_can_read_is_not_own() -> None:
    both = ALICE.but(key_ids=ALICE.key_ids | MALLORY.key_ids)
    record, own = composed(RECEIVED, both), RECORDS["sealed"]
    for shared in (
        record,
        replace(record, envelope=own.envelope),
        replace(own, envelope=record.envelope),
    ):
        assert parse_rendered(octets_of(shared)) == shared
        assert own_record(octets_of(shared), ALICE) is None


def test_clear_text_behind_an_envelope_field_is_not_own() -> None:
    field = octets_of(RECORDS["verbatim"]).split(b"Return-Path")[0]
    for clear in (RECEIVED, encrypted_mail(b"words\r\n"), b""):
        assert own_record(field + clear, ALICE) is None


def test_what_a_sender_wrote_in_an_envelope_field_is_inside_the_seal() -> None:
    octets = octets_of(composed(octets_of(RECORDS["baseline"]), ALICE))
    assert octets.count(b"E2email-Envelope") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"record_id": b"short"},
        {"version": 2},
        {"boundary": b"has space in it  "},
        {"boundary": b"short"},
        {"outer": b"x" * 9000},
        {"envelope": b""},
        {"envelope": b"x" * 40_000},
        {"crc": 1 << 24},
        {"body_size": -1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_records_out_of_form_are_refused(wrong: dict[str, object]) -> None:
    good = {name: getattr(RECORDS["sealed"], name) for name in RecordHead.__slots__}
    RecordHead(**good)
    with pytest.raises(ValueError):
        RecordHead(**good | wrong)
    with pytest.raises(ValueError):
        Record(**good | {"body": b"another length"})


def test_no_mail_text_in_repr() -> None:
    for record in RECORDS.values():
        text = repr((record, render(record)))
        assert "example" not in text
        assert "hi" not in text.replace("0x", "")
