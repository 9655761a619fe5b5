"""What is put inside the seal, rule by rule (docs/specs/sealed-message.md, "The body")."""

import pytest

from e2email_protocol.mime.header import MAX_HEADER
from e2email_protocol.sealed.change import invert
from e2email_protocol.sealed.compose import MAX_CHANGES_SIZE, body_plaintext, seal_field
from e2email_protocol.sealed.envelope import Body
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.marked import MARKERS
from support.sealing import ACCOUNT, BOUNDARY, RECORD_ID, TRACE, FakeIdentity, composed, opened

FRONT = seal_field(ACCOUNT, RECORD_ID) + b"HP-Outer: Subject: [...]\r\n"
MARK = MARKERS.decode()


def inside(received: str | bytes) -> tuple[Body, str]:
    """(kind, plaintext without our trace fields) for a mail written with LF."""
    if isinstance(received, str):
        received = received.replace("\n", "\r\n").encode("latin-1")
    octets = TRACE + received
    kind, changes, plaintext = body_plaintext(Mail(octets, len(TRACE)), FRONT, BOUNDARY)
    assert invert(plaintext, changes) == octets
    return kind, plaintext.replace(TRACE, b"").replace(b"\r\n", b"\n").decode("latin-1")


def front(more: str = "") -> str:
    return FRONT.replace(b"\r\n", b"\n").decode() + more


def test_markers_stand_directly_after_the_type() -> None:
    kind, text = inside('Subject: x\nContent-Type: text/plain; charset=utf-8; name="a;b"\n\nhi\n')
    assert kind is Body.CHANGED
    assert text == front() + (
        f'Subject: x\nContent-Type: text/plain{MARK}; charset=utf-8; name="a;b"\n\nhi\n'
    )


def test_markers_are_the_two_that_programs_look_for() -> None:
    assert MARK == '; protected-headers="v1"; hp="cipher"'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Content-Type: text/html", "Content-Type: text/html@"),
        ("content-type:TEXT/Html;charset=x", "content-type:TEXT/Html@;charset=x"),
        ("Content-Type:\n text/html;\n charset=x", "Content-Type:\n text/html@;\n charset=x"),
        ("Content-Type : text/html \n ; a=b", "Content-Type : text/html@ \n ; a=b"),
        ('Content-Type: text/html; name="never ends', 'Content-Type: text/html@; name="never ends'),
    ],
)
def test_marked_field(before: str, after: str) -> None:
    kind, text = inside(f"Subject: x\n{before}\n\nhi\n")
    assert kind is Body.CHANGED
    assert text == front(f"Subject: x\n{after}\n\nhi\n".replace("@", MARK))


def test_no_content_type_is_inserted_without_charset() -> None:
    kind, text = inside("Subject: x\n\nna\xefve\n")
    assert kind is Body.CHANGED
    assert text == front(f"Content-Type: text/plain{MARK}\nSubject: x\n\nna\xefve\n")


def test_missing_subject_becomes_an_empty_one() -> None:
    kind, text = inside("From: a@b\nContent-Type: text/plain\n\nhi\n")
    assert kind is Body.CHANGED
    assert text == front(f"Subject:\nFrom: a@b\nContent-Type: text/plain{MARK}\n\nhi\n")


def test_mail_without_any_header_is_marked_too() -> None:
    kind, text = inside("\nhi\n")
    assert kind is Body.CHANGED
    assert text == front(f"Subject:\nContent-Type: text/plain{MARK}\n\nhi\n")


SIGNED = (
    "From: a@b\nTo: c@d\nSubject: =?utf-8?q?f=C3=BCr?=\nDate: Sun, 22 Nov 2026 07:00:00 +0000\n"
    "Content-Type: multipart/signed; micalg=pgp-sha256; protocol=\"{}\"; boundary=b\n\n{}"
    "--b\nContent-Type: text/plain{}\n\nhi\n--b\nContent-Type: {}\n\nsignature\n--b--\n"
)  # fmt: skip
PGP, SMIME = "application/pgp-signature", "application/pkcs7-signature"
PREAMBLE = (
    f"Content-Type: text/plain{MARK}\nSubject: =?utf-8?q?f=C3=BCr?=\n"
    "Date: Sun, 22 Nov 2026 07:00:00 +0000\nFrom: a@b\nTo: c@d\n\n"
)


def signed(protocol: str, preamble: str = "", params: str = "") -> str:
    return SIGNED.format(protocol, preamble, params, protocol)


def marked_root(mail: str) -> str:
    return front(mail.replace("multipart/signed", "multipart/signed" + MARK))


def test_pgp_signed_mail_gets_a_preamble_that_reads_like_a_header() -> None:
    assert inside(signed(PGP)) == (Body.CHANGED, marked_root(signed(PGP, PREAMBLE)))


def test_what_was_signed_is_not_touched() -> None:
    part = "Content-Type: text/plain\n\nhi\n"
    assert part in inside(signed(PGP))[1]


@pytest.mark.parametrize(
    "mail",
    [
        signed(SMIME),
        signed(PGP, "This is a signed message.\n"),
        signed(PGP, "\n"),
        signed(PGP, params='; protected-headers="v1"'),
        signed(PGP, params='; hp="clear"'),
    ],
    ids=["s-mime", "preamble", "empty line", "protected header", "rfc 9788 header"],
)
def test_other_signed_mail_gets_the_root_marker_only(mail: str) -> None:
    assert inside(mail) == (Body.CHANGED, marked_root(mail))


MIXED = f'multipart/mixed{MARK};\n boundary="{BOUNDARY.decode()}"'


@pytest.mark.parametrize(
    "content",
    [
        "Content-Type: text/plain\nContent-Type: text/html\n",
        "Content-Type: text\n",
        "Content-Type: text/\n",
        "Content-Type:\n",
        "Content-Type: text/plain charset=utf-8\n",
        "Content-Type: (a comment) text/plain\n",
        'Content-Type: text/plain; hp="clear"\n',
        "Content-Type: text/plain; HP*0=cipher\n",
        "Content-Type: text/plain; protected-headers = v1\n",
        "Content-Type: text/plain; name=na\xefve\n",
        "Content-Type: text/plain; name=nul\0\n",
        "Content-Type: text/plain; name=bare\rreturn\n",
    ],
)
def test_a_header_that_cannot_be_marked_is_wrapped(content: str) -> None:
    mail = f"From: a@b\n{content}Subject: x\nContent-Transfer-Encoding: 8bit\n\nhi\n"
    kind, text = inside(mail)
    assert kind is Body.WHOLE
    assert text == front(
        f"From: a@b\nSubject: x\nContent-Type: {MIXED}\n\n"
        f"--{BOUNDARY.decode()}\n{content}Content-Transfer-Encoding: 8bit\n\nhi\n"
        f"\n--{BOUNDARY.decode()}--\n"
    )


def attached(copies: str, mail: str) -> str:
    return (
        front(copies)
        + f'MIME-Version: 1.0\nContent-Type: application/octet-stream{MARK}; name="message.eml"\n'
        + "Content-Transfer-Encoding: binary\n"
        + 'Content-Disposition: attachment; filename="message.eml"\n\n'
        + mail
    )


@pytest.mark.parametrize(
    "mail",
    [
        " continues our Received\nSubject: x\n\nhi\n",
        f"Subject: x\nContent-Type: text\n\n--{BOUNDARY.decode()}\n",
        "Subject: x\nContent-Type: multipart/signed; boundary=b\nContent-Type: text/plain\n\n--b\n",
        "Subject: x\nContent-Type: multipart/encrypted; boundary=b; hp=cipher\n\n--b\n",
        "Subject: x\nContent-Type: text\n",
    ],
    ids=["leading space", "boundary taken", "signed", "encrypted", "no empty line"],
)
def test_what_cannot_be_wrapped_is_attached(mail: str) -> None:
    assert inside(mail) == (Body.WHOLE, attached("Subject: x\n", mail))


def test_a_header_beyond_the_limit_is_attached() -> None:
    mail = "Subject: x\n" + "X: y\n" * (MAX_HEADER // 6 + 1) + "\nhi\n"
    assert inside(mail) == (Body.WHOLE, attached("Subject: x\n", mail))


def test_changes_beyond_the_limit_are_not_recorded() -> None:
    mail = "Subject: x\nContent-Type: text\nContent-Id: " + "y" * MAX_CHANGES_SIZE + "\n\nhi\n"
    assert inside(mail) == (Body.WHOLE, attached("Subject: x\n", mail))


def test_many_content_fields_are_attached() -> None:
    mail = "Subject: x\nContent-Type: text\n" + "Content-X: y\n" * 64 + "\nhi\n"
    assert inside(mail) == (Body.WHOLE, attached("Subject: x\n", mail))


def test_copies_are_clean() -> None:
    mail = (
        " \nSubject: na\xefve\0\n \n folded\rtext\nDate: \nFrom: " + "f" * 1000 + "\nTo: a\n\nhi\n"
    )
    text = inside(mail)[1]
    assert text == attached("Subject: na?ve?\n folded?text\nTo: a\n", mail)


def test_the_seal_names_account_and_record() -> None:
    assert seal_field("alice@example.test", RECORD_ID) == (
        b"E2email-Seal: 1; account=alice@example.test; id=000102030405060708090a0b0c0d0e0f\r\n"
    )
    assert b"account=a%3B%22%C3%A9@x;" in seal_field('a;"\xe9@x', RECORD_ID)


def test_a_seal_that_a_sender_wrote_means_nothing() -> None:
    alice = FakeIdentity()
    foreign = seal_field(ACCOUNT, bytes(16)) + b"Subject: x\r\n\r\nhi\r\n"
    assert opened(composed(foreign, alice), alice).received == foreign


def test_changes_whose_inverse_is_not_proved_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the rules above, the mail is carried whole and not lost."""
    mail = Mail(TRACE + b"Subject: x\r\n\r\nhi\r\n", len(TRACE))
    monkeypatch.setattr("e2email_protocol.sealed.compose.restores", lambda *_: False)
    kind, changes, plaintext = body_plaintext(mail, FRONT, BOUNDARY)
    assert kind is Body.WHOLE
    assert len(changes) == 1
    assert plaintext.endswith(mail.octets)
