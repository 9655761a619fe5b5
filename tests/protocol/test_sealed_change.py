"""Recorded changes: whatever the octets are, the inverse gives them back or it is refused."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from e2email_protocol.sealed.change import BadChange, Change, apply, invert, restores
from e2email_protocol.sealed.compose import body_plaintext, seal_field
from e2email_protocol.sealed.mail import Mail
from support.sealing import ACCOUNT, BOUNDARY, RECORD_ID, TRACE, FakeIdentity, composed, opened

FRONT = seal_field(ACCOUNT, RECORD_ID)
ALICE = FakeIdentity()
# Pieces that headers go wrong with, and any octets at all.
PIECES = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b"/", b'"', b"\0", b"\xe9", b"--b", b"(",
        b"Content-Type: ", b"content-type:text/html", b"Content-Transfer-Encoding: base64\r\n",
        b"multipart/mixed; boundary=b", b"multipart/signed; boundary=b", b"text/plain", b"hp=",
        b'protocol="application/pgp-signature"', b"Subject: x\r\n", b"From: a@b\r\n", b"\r\n\r\n",
        b'; protected-headers="v1"', b"multipart/encrypted; boundary=b", b"E2email-Seal: 1;",
    ]
)  # fmt: skip
OCTETS = st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=30).map(b"".join)


@given(OCTETS, st.sampled_from([b"", TRACE]))
@settings(max_examples=600, deadline=None)
@example(b" ", TRACE)
@example(b"\r\n" * 3, b"")
@example(b"Content-Type: text/plain\r", b"")
@example(b"Content-Type: text/plain\r\n\r\r\nContent-Type: text/html\r\n\r\n", b"")
def test_any_octets_come_back(received: bytes, trace: bytes) -> None:
    octets = trace + received
    _, changes, plaintext = body_plaintext(Mail(octets, len(trace)), FRONT, BOUNDARY)
    assert plaintext.startswith(FRONT)
    assert invert(plaintext, changes) == octets
    assert apply(octets, changes) == plaintext


@given(OCTETS)
@settings(max_examples=150, deadline=None)
def test_any_octets_go_through_seal_and_envelope(received: bytes) -> None:
    mail = opened(composed(received, ALICE), ALICE)
    assert mail.received == received
    assert not mail.alarms


@given(st.binary(max_size=40), st.data())
@settings(max_examples=300, deadline=None)
def test_inverse_of_any_changes(octets: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    changes = [Change(a, octets[a:b], data.draw(st.binary(max_size=9))) for a, b in spans]
    changed = apply(octets, changes)
    assert invert(changed, changes) == octets
    assert restores(changed, changes, octets)
    at = data.draw(st.integers(0, len(octets)))
    for other in (octets + b"x", octets[:at] + octets[at + 1 :], octets[:at] + b"\xff" + octets):
        assert restores(changed, changes, other) is (other == octets)


@pytest.mark.parametrize(
    "changes",
    [
        [Change(1, b"x", b"")],
        [Change(-1, b"", b"x")],
        [Change(4, b"", b"x")],
        [Change(2, b"cd", b"")],
        [Change(2, b"", b""), Change(1, b"", b"")],
        [Change(0, b"ab", b""), Change(1, b"b", b"")],
    ],
    ids=["other octets", "negative", "behind the end", "over the end", "order", "overlap"],
)
def test_changes_that_do_not_fit_are_refused(changes: list[Change]) -> None:
    with pytest.raises(BadChange):
        apply(b"abc", changes)


@pytest.mark.parametrize(
    "changes",
    [
        [Change(0, b"", b"x")],
        [Change(0, b"x" * 9, b"abc"), Change(1, b"", b"")],
        [Change(9, b"", b"")],
        [Change(0, b"", b"abcd")],
    ],
    ids=["other octets", "order", "behind the end", "too long"],
)
def test_inverse_changes_that_do_not_fit_are_refused(changes: list[Change]) -> None:
    with pytest.raises(BadChange):
        invert(b"abc", changes)
    assert not restores(b"abc", changes, b"abc")


def test_changes_have_no_mail_text_in_their_repr() -> None:
    assert repr(Change(7, b"secret", b"word")) == "<Change at 7: -6 +4>"
