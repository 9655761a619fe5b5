"""What the envelope's fields and names answer is what the header would have answered."""

import pytest

from e2email_client.local.published import answers, chosen, pack
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.summary import summarise
from support.corpus import messages

ASKED = (
    [b"From", b"SUBJECT"],
    [b"newsgroups", b"lines", b"x-label", b"date"],
    [b"Received"],
    [b""],
    [b"x-mailer", b"to", b"dkim-signature"],
)


def test_answers_only_what_is_known() -> None:
    names = pack((b"received", b"x-label"))
    assert answers(names, [b"From", b"Newsgroups"])
    assert not answers(names, [b"From", b"X-LABEL"])
    assert not answers(names, [b"received"])
    assert answers(None, [b"From", b"LIST-ID"])
    assert not answers(None, [b"From", b"Newsgroups"])


def test_no_names_are_not_unknown_names() -> None:
    assert pack(None) is None
    assert answers(pack(()), [b"x-label"])
    assert answers(pack(()), [b""])
    assert not answers(pack((b"",)), [b""])


@pytest.mark.parametrize("asked", ASKED, ids=repr)
def test_the_answer_is_that_of_the_header(asked: list[bytes]) -> None:
    mails = dict(messages()) | {"cut": b"Subject: cut", "cut fold": b"To: a\r\nSubject: cut\r\n x"}
    answered = 0
    for name, octets in mails.items():
        mail = Mail(octets)
        summary = summarise(mail)
        published = b"".join(raw for _, raw in summary.fields)
        if answers(pack(summary.names), asked):
            answered += 1
            assert chosen(published, asked) == chosen(octets[: mail.root.body], asked), name
        else:
            assert {f.name for f in mail.fields} & {one.lower() for one in asked}, name
    assert answered


def test_all_but_some() -> None:
    header = b"To: a\r\nX: 1\r\n 2\r\nSubject: s\r\n\r\n"
    assert chosen(header, [b"x"], keep=False) == b"To: a\r\nSubject: s\r\n\r\n"
