"""The envelope: canonical, bounded, strict; what does not fit is left out whole and named."""

import json
from dataclasses import replace

import pytest

from e2email_protocol.sealed.arrival import Arrival, appended
from e2email_protocol.sealed.change import Change
from e2email_protocol.sealed.compose import MAX_CHANGES_SIZE
from e2email_protocol.sealed.envelope import (
    MAX_ENVELOPE,
    MAX_NAMES,
    MAX_SIZE,
    BadEnvelope,
    Body,
    Envelope,
    UnknownVersion,
    decode,
    encode,
    names_size,
)
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.record import Policy
from e2email_protocol.sealed.signed import Signed, join_signed, split_signed
from e2email_protocol.sealed.summary import KEPT_FIRST, agrees, fill, fit, summarise
from support.sealing import ARRIVED, FakeIdentity, composed, opened

ENVELOPE = Envelope(
    account="alice@example.test",
    record_id=bytes(range(16)),
    policy=Policy.SEALED,
    arrival=ARRIVED,
    body=Body.CHANGED,
    encrypted=False,
    changes=(Change(0, b"", b"E2email-Seal: 1\r\n"), Change(70, b"\xff\0", b'"')),
    sha256=bytes(32),
    size=1234,
    header_size=100,
    trace=60,
    key_ids=frozenset({"00000000000000A1", "00000000000000A0"}),
    attachments=1,
    structure=b'("text" "plain" NIL)',
    preview="na\xefve \u732b \U0001f408",
    fields=b"Subject: canary\r\nTo: na\xefve\r\n",
    names=(b"x-canary", b"", b"na\xefve one"),
)
LINE, FIELDS = encode(ENVELOPE).split(b"\n", 1)


def test_first_line_is_json_and_the_fields_are_raw() -> None:
    members = json.loads(LINE)
    assert ENVELOPE.fields == FIELDS
    assert LINE.isascii()
    assert list(members) == sorted(members)
    assert members["changes"][1] == [70, "\xff\0", '"']
    assert members["keys"] == ["00000000000000A0", "00000000000000A1"]
    assert members["arrival"] == {
        "origin": "smtp",
        "time": 1_795_334_400,
        "tls": "TLSv1.3",
        "verdicts": [["dkim", "pass example.net"], ["spf", "pass example.net"]],
    }


def test_decode_is_the_inverse_of_encode() -> None:
    assert decode(encode(ENVELOPE)) == ENVELOPE


def changed(**members: object) -> bytes:
    text = json.dumps(json.loads(LINE) | members, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n" + FIELDS


BAD_MEMBERS = [
    {"account": ""},
    {"account": "a b"},
    {"account": "a" * 255},
    {"id": "00"},
    {"id": "0" * 31 + "G"},
    {"policy": "open"},
    {"body": "sealed"},
    {"encrypted": 0},
    {"size": -1},
    {"size": 1 << 40},
    {"size": 1.0},
    {"size": True},
    {"size": "1"},
    {"sha256": "00" * 31},
    {"keys": ["0"]},
    {"keys": ["00000000000000A1", "00000000000000A0"]},
    {"keys": ["00000000000000A0"] * 2},
    {"keys": [f"{n:016X}" for n in range(65)]},
    {"changes": [[0, ""]]},
    {"changes": [[0, "", "\u0100"]]},
    {"changes": [[0, "", ""]] * 65},
    {"changes": None},
    {"structure": "\u0100"},
    {"preview": "\ud800"},
    {"preview": "x" * 1001},
    {"omitted": [1]},
    {"arrival": {}},
    {"arrival": None},
    {"arrival": {"origin": "device", "time": 0, "tls": "", "verdicts": [["spf", "pass"]]}},
    {"arrival": {"origin": "post", "time": 0, "tls": "", "verdicts": []}},
    {"names": None},
    {"names": ["X"]},
    {"names": ["x", "x"]},
    {"names": ["x:"]},
    {"names": ["x\n"]},
    {"names": ["\u0100"]},
    {"names": [1]},
    {"names": [f"x-{n:020}" for n in range(100)]},
    {"more": 1},
]


@pytest.mark.parametrize("members", BAD_MEMBERS, ids=str)
def test_members_out_of_form_are_refused(members: dict[str, object]) -> None:
    with pytest.raises(BadEnvelope):
        decode(changed(**members))


@pytest.mark.parametrize("name", sorted(set(json.loads(LINE)) - {"names"}))
def test_a_missing_member_is_refused(name: str) -> None:
    members = json.loads(LINE)
    del members[name]
    with pytest.raises(BadEnvelope):
        decode(json.dumps(members, separators=(",", ":"), sort_keys=True).encode() + b"\n" + FIELDS)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\n",
        b"[]\n",
        b"{\n}\n",
        b"[" * 16000,
        LINE,
        LINE.replace(b",", b", ", 1) + b"\n" + FIELDS,
        LINE.replace(b'"version":1', b'"version":1,"version":1') + b"\n" + FIELDS,
        LINE.replace(b"1234", b"1234.0") + b"\n" + FIELDS,
        LINE.replace(b"1234", b"9" * 5000) + b"\n" + FIELDS,
        LINE.replace(b"1234", b"NaN") + b"\n" + FIELDS,
        LINE.replace(b"canary", b"\xff") + b"\r\n" + FIELDS,
        LINE + b"\n" + b"x" * MAX_ENVELOPE,
    ],
    ids=lambda octets: f"{octets[:20]!r} {len(octets)}",
)
def test_another_encoding_is_refused(octets: bytes) -> None:
    with pytest.raises(BadEnvelope):
        decode(octets)


@pytest.mark.parametrize("version", [0, 2, "1", None, True])
def test_unknown_version_is_told_apart(version: object) -> None:
    if version is True:  # equals 1 in Python, not in JSON
        with pytest.raises(BadEnvelope):
            decode(changed(version=version))
        return
    with pytest.raises(UnknownVersion):
        decode(changed(version=version))


SIGNED = Signed("5e5e5e5e5e5e5e5e", bytes(range(64)), b"envelope\n")


@pytest.mark.parametrize("signed", [SIGNED, Signed("", b"", b"{}\n\n")])
def test_signed_wrapper(signed: Signed) -> None:
    assert split_signed(join_signed(signed)) == signed


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"envelope\n",
        join_signed(SIGNED).replace(b"\n", b"", 1).replace(b"\n", b""),
        join_signed(SIGNED).replace(b":", b": ", 1),
        join_signed(SIGNED).replace(b"5e5e", b"5E5E"),
        join_signed(SIGNED).replace(b"Pw==", b"Px=="),
        join_signed(Signed("5e5e5e5e5e5e5e5e", bytes(63), b"")),
        b" " * 300 + join_signed(SIGNED),
    ],
)
def test_another_wrapper_is_refused(plaintext: bytes) -> None:
    with pytest.raises(BadEnvelope):
        split_signed(plaintext)


def summed(received: bytes) -> Envelope:
    return decode(fitted(ENVELOPE, received))


def fitted(envelope: Envelope, received: bytes) -> bytes:
    summary = summarise(Mail(received))
    return fit(fill(envelope, summary, ()), summary)


def test_what_is_published() -> None:
    header = (
        b"Received: by x\r\nDate: 1\r\nX-Spam: no\r\nFROM: a\r\n b\r\nDKIM-Signature: v=1\r\n"
        b"List-Id: <l>\r\nList-Evil: no\r\nSubject: \xe9\r\nSubject: twice\r\nContent-Foo: no\r\n"
    )
    envelope = summed(header + b"\r\nhi\r\n")
    assert envelope.fields == (
        b"Date: 1\r\nFROM: a\r\n b\r\nList-Id: <l>\r\nSubject: \xe9\r\nSubject: twice\r\n"
    )
    assert envelope.header_size == len(header) + 2
    assert envelope.preview == "hi"
    assert envelope.omitted == ()


def test_names_of_the_other_fields_each_once_in_order() -> None:
    header = (
        b"Received: 1\r\nX-A: 1\r\nno field\r\nDate: 1\r\nRECEIVED : 2\r\nX-\xe9: 2\r\nTo: a\r\n"
    )
    assert summed(header + b"\r\nLines: 1\r\n").names == (b"received", b"x-a", b"", b"x-\xe9")
    assert summed(b"To: a\r\n\r\n").names == ()


def named(count: int) -> bytes:
    """A mail with fields whose names are ten octets long, thirteen in JSON."""
    return b"To: a\r\n" + b"".join(b"x-%08d: y\r\n" % n for n in range(count)) + b"\r\nhi\r\n"


def test_names_stop_at_their_cap() -> None:
    most = MAX_NAMES // 13
    whole, above = summed(named(most)), summed(named(most + 1))
    assert names_size(whole.names) == 13 * most + 1 <= MAX_NAMES
    assert (whole.omitted, above.omitted) == ((), ("names",))
    assert above.names is None
    assert b"To: a" in above.fields
    assert all(agrees(summed(named(n)), summarise(Mail(named(n)))) for n in (most, most + 1))


def test_names_are_left_out_before_what_lists_show() -> None:
    received = b"Subject: " + b"s" * 14_000 + b"\r\n" + named(150)
    envelope = summed(received)
    assert envelope.omitted == ("names",)
    assert agrees(envelope, summarise(Mail(received)))


def test_an_envelope_made_before_it_had_names_is_no_lie() -> None:
    received = named(3)
    older = replace(summed(received), names=None)
    assert b'"names"' not in encode(older)
    assert decode(encode(older)) == older
    assert agrees(older, summarise(Mail(received)))
    assert not agrees(replace(older, omitted=("names",)), summarise(Mail(received)))


def test_a_field_that_was_cut_off_gets_a_line_end() -> None:
    assert summed(b"Subject: cut").fields == b"Subject: cut\r\n"


def test_what_does_not_fit_is_left_out_whole_and_named() -> None:
    received = (
        b"From: a@b\r\nTo: " + b"t@x, " * 4000 + b"\r\nCc: c@d\r\nReferences: " + b"<r> " * 2000
        + b"\r\nSubject: " + b"s" * 9000 + b"\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
    )  # fmt: skip
    envelope = summed(received)
    assert envelope.omitted == ("to", "references")
    assert b"Subject: sss" in envelope.fields
    assert b"To:" not in envelope.fields
    assert len(encode(envelope)) <= MAX_ENVELOPE


def test_structure_and_preview_are_left_out_before_the_names() -> None:
    parts = b"".join(
        b"--b\r\nContent-Type: text/plain; name=%d\r\n\r\n\r\n" % n for n in range(300)
    )
    received = b"From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--"
    envelope = summed(received)
    assert envelope.omitted == ("structure",)
    assert envelope.structure is None
    assert agrees(envelope, summarise(Mail(received)))


def test_everything_that_cannot_be_left_out_fits_together() -> None:
    """Longest account, all keys, all verdicts, changes at their limit, every field left out."""
    huge = b"".join(b"%b: %b\r\n" % (n.encode(), b"x" * 7000) for n in KEPT_FIRST) + named(200)
    envelope = replace(
        ENVELOPE,
        account="\xe9" * 127,
        arrival=Arrival("smtp", "T" * 64, 0, tuple((f"v{n:02}", "x" * 122) for n in range(16))),
        changes=(Change(MAX_SIZE - 1, b"", b"x" * (MAX_CHANGES_SIZE - 24)),),
        key_ids=frozenset(f"{n:016X}" for n in range(64)),
    )
    octets = fitted(envelope, huge)
    assert 14_000 < len(octets) <= MAX_ENVELOPE
    assert set(decode(octets).omitted) >= set(KEPT_FIRST) - {"structure", "preview"}


def test_account_longer_than_an_address_is_refused() -> None:
    with pytest.raises(ValueError):
        replace(ENVELOPE, account="\xe9" * 128)


def test_summary_is_under_2_kb_for_an_ordinary_mail() -> None:
    alice = FakeIdentity()
    received = (
        b"From: Bob <bob@example.net>\r\nTo: Alice <alice@example.test>\r\n"
        b"Subject: Lunch on Sunday?\r\nDate: Sun, 22 Nov 2026 07:00:00 +0000\r\n"
        b"Message-ID: <1@example.net>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: text/plain; charset=utf-8\r\n\r\nHello Alice\r\n--b\r\n"
        b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hello Alice</p>\r\n--b--\r\n"
    )
    for policy in Policy:
        envelope = opened(composed(received, alice, policy=policy), alice).envelope.envelope
        assert len(encode(envelope)) < 2048


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fields", b"Subject: another\r\n"),
        ("structure", b"()"),
        ("preview", "another"),
        ("attachments", 2),
        ("size", 3),
        ("header_size", 3),
        ("omitted", ("subject",)),
        ("names", (b"x-label",)),
    ],
)
def test_a_summary_that_says_something_else_is_noticed(field: str, value: object) -> None:
    received = b"Subject: x\r\n\r\nhi\r\n"
    envelope = summed(received)
    assert agrees(envelope, summarise(Mail(received)))
    assert not agrees(replace(envelope, **{field: value}), summarise(Mail(received)))


def test_other_rules_for_the_summary_are_no_lie() -> None:
    received = b"Subject: x\r\n\r\nhi\r\n"
    later = replace(summed(received), summary=2, structure=b"()", preview="other", attachments=7)
    assert decode(encode(later)) == later
    assert agrees(later, summarise(Mail(received)))
    assert not agrees(replace(later, fields=b""), summarise(Mail(received)))
    assert not agrees(replace(later, names=(b"x-label",)), summarise(Mail(received)))
    assert agrees(replace(later, names=None), summarise(Mail(received)))


@pytest.mark.parametrize(
    "arrival",
    [
        ("pop", "", 0, ()),
        ("append:", "", 0, ()),
        ("append:\n", "", 0, ()),
        ("append:x", "", 0, (("spf", "pass"),)),
        ("device", "", 0, (("spf", "pass"),)),
        ("smtp", "\x7f", 0, ()),
        ("smtp", "", -1, ()),
        ("smtp", "", 253_402_300_800, ()),
        ("smtp", "", 0, (("SPF", "pass"),)),
        ("smtp", "", 0, (("spf", 'pa"ss'),)),
        ("smtp", "", 0, (("spf", "x" * 2000),)),
        ("smtp", "", 0, (("spf", ""),) * 17),
    ],
)
def test_arrivals_out_of_form_are_refused(arrival: tuple[str, str, int, tuple]) -> None:
    with pytest.raises(ValueError):
        Arrival(*arrival)


def test_appended_cleans_the_programs_name() -> None:
    assert appended("Thunder\r\nbird\xe9" + "x" * 99, "", 7) == Arrival(
        "append:Thunderbird" + "x" * 53, "", 7
    )
    assert appended(" \0", "", 7).origin == "append:unknown"


def test_no_mail_text_in_repr() -> None:
    texts = repr((ENVELOPE, SIGNED, summarise(Mail(b"Subject: canary\r\n\r\ncanary\r\n"))))
    assert "canary" not in texts
    assert "na" not in texts


@pytest.mark.parametrize(
    "structure",
    [
        b"",
        b"NIL",
        b'("text" "plain" NIL',
        b'("text" "plain" NIL))',
        b'("text" "plain" NIL) ',
        b'("text" "plain" NIL)\r\n* BYE',
        b'NIL)\r\n* BYE\r\n* 1 FETCH (X ("a")',
        b'("text\r\n")',
        b'("t\xe9xt")',
        b"(text)",
        b"({5}\r\nab)",
        b"({1}\r\n\0)",
        b'({2}\r\n)\r)\r\n* BYE ("")',
    ],
)
def test_a_structure_that_would_say_more_in_an_answer_is_refused(structure: bytes) -> None:
    with pytest.raises(BadEnvelope):
        decode(encode(replace(ENVELOPE, structure=structure)))


def test_structures_with_literals_and_escapes() -> None:
    structure = b'({6}\r\n)\r\n* ( "x" "a\\"\\\\)" (NIL 12 ()))'
    assert decode(encode(replace(ENVELOPE, structure=structure))).structure == structure


def test_a_clear_mail_kept_as_it_came_is_refused() -> None:
    verbatim = replace(ENVELOPE, body=Body.VERBATIM, changes=(), policy=Policy.BASELINE)
    assert decode(encode(replace(verbatim, encrypted=True))).encrypted
    with pytest.raises(BadEnvelope):
        decode(encode(verbatim))
