"""Previews, attachments, text for search, and messages that are one encryption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_protocol.mime import scan
from e2email_protocol.mime.text import (
    attachments,
    encrypted_body,
    preview,
    search_text,
    text,
)
from support.corpus import messages


def html(page: bytes) -> bytes:
    return b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page


def mixed(*parts: bytes, kind: bytes = b"mixed") -> bytes:
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/" + kind + b"; boundary=b\r\n\r\n" + body + b"--b--\r\n"


PLAIN = b"\r\nplain  text\r\nof two lines\r\n"
PAGE = html(b"<p>page</p>")
FILE = b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nfile"


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (PLAIN, "plain text of two lines"),
        (mixed(PAGE, PLAIN, kind=b"alternative"), "plain text of two lines"),
        (mixed(PAGE), "page"),
        (mixed(b"\r\n \r\n", PAGE), "page"),
        (mixed(FILE, PAGE), "page"),
        (mixed(FILE), ""),
        (mixed(b"Content-Type: message/rfc822\r\n\r\n\r\nforwarded"), ""),
        (html(b"<style>p{}</style><SCRIPT>x()</script>a<br>b &amp; c"), "a b & c"),
        (html(b"<!-- <p>no --> yes <!-- never closed"), "yes"),
        (html(b"<head><title>t</title></head>1 < 2, 3 > 2 <b"), "1 < 2, 3 > 2"),
        (b"Content-Transfer-Encoding: x-what\r\nMIME-Version: 1\r\n\r\nas it is", "as it is"),
        (b"", ""),
    ],
)
def test_preview(octets: bytes, shown: str) -> None:
    assert preview(octets, scan(octets)) == shown


def test_a_preview_is_short() -> None:
    octets = b"\r\n" + b"x" * 5000
    assert len(preview(octets, scan(octets))) == 200
    assert preview(octets, scan(octets), 7) == "x" * 7


@pytest.mark.parametrize(
    ("charset", "body", "shown"),
    [
        (b"utf-8", "café".encode(), "café"),
        (b"iso-8859-1", b"caf\xe9", "café"),
        (b"iso-8859-15", b"\xa4", "€"),
        (b"us-ascii", b"caf\xe9", "café"),
        (b"us-ascii", "café".encode(), "café"),
        (b"nowhere", b"caf\xe9", "café"),
        (b"utf-16le", "café".encode("utf-16le"), "café"),
        (b"big5", "中文".encode("big5"), "中文"),
        (b"utf-8", "café".encode()[:-1], "caf\ufffd"),
        (b"rot13", b"uryyb", "uryyb"),
        (b"utf-7", b"+2AA-", "\ufffd"),
        (b"utf-7", b"+2D3cAA-", "\U0001f400"),
    ],
)
def test_leaf_text(charset: bytes, body: bytes, shown: str) -> None:
    octets = b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\n" + body
    assert text(octets, scan(octets)) == shown


def test_attachments() -> None:
    octets = mixed(
        PLAIN,
        FILE,
        b'Content-Type: application/pdf; name="=?utf-8?q?caf=C3=A9?=.pdf"\r\n\r\nx',
        b"Content-Type: image/png\r\nContent-Disposition: inline\r\n\r\nxy",
        b"Content-Type: message/rfc822\r\n\r\n" + mixed(FILE),
        b"Content-Type: application/pgp-signature; name=signature.asc\r\n\r\nx",
    )
    found = attachments(scan(octets))
    assert [(one.media, one.name, one.size) for one in found[:3]] == [
        ("text/plain", "a.txt", 4),
        ("application/pdf", "café.pdf", 1),
        ("image/png", "", 2),
    ]
    assert [one.media for one in found[3:]] == ["message/rfc822"]
    assert repr(found[0]) == "Attachment(4 octets)"


def test_a_message_of_one_text_has_no_attachment() -> None:
    assert attachments(scan(PLAIN)) == ()
    assert attachments(scan(mixed(PLAIN, PAGE))) == ()


def test_search_sees_headers_parts_and_attached_messages() -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?J=C3=BCrgen?=\r\n\r\ninner"
    octets = b"Subject: outer\r\n" + mixed(
        b"Content-Transfer-Encoding: base64\r\n\r\naGlkZGVu",
        inner,
        b"Content-Type: image/png\r\n\r\nzzz",
    )
    everything = "\n".join(search_text(octets, scan(octets)))
    for word in ("Subject: outer", "hidden", "Subject: Jürgen", "inner", "image/png"):
        assert word in everything
    assert "zzz" not in everything
    without_header = "\n".join(search_text(octets, scan(octets), header=False))
    assert "outer" not in without_header
    assert "Jürgen" in without_header


ENCRYPTED = (
    b"Subject: ...\r\nContent-Type: multipart/encrypted; boundary=b;\r\n"
    b' protocol="application/pgp-encrypted"\r\n\r\n'
    b"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
    b"--b\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n"
    b"--b--\r\n"
)


def test_a_message_that_is_one_encryption() -> None:
    span = encrypted_body(ENCRYPTED, scan(ENCRYPTED))
    assert span is not None
    assert ENCRYPTED[slice(*span)] == b"-----BEGIN PGP MESSAGE-----"


def test_the_sentence_that_programs_write_in_front_is_let_pass() -> None:
    octets = ENCRYPTED.replace(
        b"\r\n\r\n--b",
        b"\r\n\r\nThis is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\r\n--b",
        1,
    )
    assert encrypted_body(octets, scan(octets)) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"multipart/encrypted", b"multipart/mixed"),
        (b'application/pgp-encrypted"', b'application/other"'),
        (b'; boundary=b;\r\n protocol="application/pgp-encrypted"', b"; boundary=b"),
        (b"Version: 1", b"Version: 2"),
        (b"Version: 1\r\n", b"Version: 1\r\n\r\nmore\r\n"),
        (b"/octet-stream", b"/pdf"),
        (b"\r\n\r\n--b\r\n", b"\r\n\r\nread this first\r\n--b\r\n"),
        (b"--b--\r\n", b"--b--\r\nand this last\r\n"),
        (b"--b--\r\n", b"--b\r\n\r\nthird\r\n--b--\r\n"),
        (b"--b--\r\n", b""),
        (b"octet-stream\r\n", b"octet-stream\r\nContent-Transfer-Encoding: base64\r\n"),
        (b"--b--\r\n", b"--b--hidden\r\n"),
    ],
)
def test_anything_beside_the_encryption_is_none(old: bytes, new: bytes) -> None:
    octets = ENCRYPTED.replace(old, new, 1)
    assert octets != ENCRYPTED
    assert encrypted_body(octets, scan(octets)) is None


PIECES = [
    b"\r\n", b"--b", b"--b--", b"x", b"\xe9", b"\0", b"<", b">", b"<script>", b"<!--", b"&#", b"=",
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: text/html\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n", b"Content-Disposition: attachment;",
    b" filename*=utf-16''%", b"Content-Type: text/plain; charset=utf-16\r\n", b"A: =?utf-7?q?",
    b'Content-Type: multipart/encrypted; boundary=b; protocol="application/pgp-encrypted"\r\n',
    b"Content-Type: text/plain; charset=utf-7\r\n", b"+2AA-", b"?=",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_no_octets_fail(octets: bytes) -> None:
    root = scan(octets)
    preview(octets, root)
    attachments(root)
    encrypted_body(octets, root)
    "".join(search_text(octets, root)).encode()


def test_the_corpus_never_fails() -> None:
    for _name, octets in messages():
        root = scan(octets)
        assert len(preview(octets, root)) <= 200
        attachments(root)
        assert encrypted_body(octets, root) is None or root.media == "multipart/encrypted"
        "".join(search_text(octets, root))
