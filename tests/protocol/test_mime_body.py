"""BODY out of a prepared BODYSTRUCTURE is what a scan of the mail makes it."""

import random

import pytest

from e2email_protocol.mime.body import body
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.structure import structure
from support import corpus

HEADS = [
    b"Content-Type: text/plain\r\n\r\n",
    b'Content-Type: TEXT/html; charset="a\\"b(c"\r\nContent-Id: <1>\r\n\r\n',
    b"Content-Type: message/rfc822\r\n\r\nSubject: \xfc {3}\r\nFrom: a (b) <c@d>\r\n",
    b"Content-Type: multipart/mixed; boundary=a\r\nContent-Language: de, en\r\n\r\n--a\r\n",
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n",
    b'Content-Type: image/png; name="\xfc"\r\nContent-Disposition: inline; x=y\r\n\r\n',
    b"Content-Type: message/global\r\n\r\n",
    b"--a\r\n",
    b"--a--\r\n",
    b"--b--\r\n",
    b"\r\nsome text\r\n",
]


def check(octets: bytes) -> None:
    root = scan(octets)
    assert body(structure(octets, root)) == structure(octets, root, extended=False), octets


def test_generated_mail() -> None:
    chance = random.Random(5)
    for _ in range(3_000):
        check(b"MIME-Version: 1.0\r\n" + b"".join(chance.choices(HEADS, k=chance.randrange(12))))


def test_mail_of_others() -> None:
    for _, octets in corpus.messages():
        check(octets)


@pytest.mark.parametrize(
    "text",
    [b"", b"()", b"NIL", b"(", b")", b"(()", b"())", b"() ()", b'("a', b"(" * 300 + b")" * 300],
)
def test_what_is_no_structure_raises_nothing(text: bytes) -> None:
    assert body(text) in (None, b"()")


def test_random_lists_raise_nothing() -> None:
    chance = random.Random(6)
    pieces = [b"(", b")", b" ", b'"text"', b"NIL", b"7", b"{1}\r\n", b"x"]
    for _ in range(20_000):
        body(b"(" + b"".join(chance.choices(pieces, k=chance.randrange(30))) + b")")
