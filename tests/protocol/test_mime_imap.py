"""Strings, sections and decoded parts as IMAP serves them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_protocol.mime import Limits, scan
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.quote import nstring, string, strings
from e2email_protocol.mime.section import Kind, UnknownEncoding, decoded, section
from e2email_protocol.mime.structure import MAX_INNER_HEADERS, structure
from support.corpus import messages
from support.imap_text import parsed

INNER = b"Subject: inner\r\nTo: c@d\r\n\r\ninner text\r\n"
OCTETS = (
    b"Subject: outer\r\nFrom: a@b\r\nX-A: 1\r\n 2\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n--b--\r\nepilogue\r\n"
)
ROOT = scan(OCTETS)
HEADER_END = OCTETS.index(b"preamble")


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"a\0", b"{4}\r\na\xef\xbf\xbd"),
        (b"NIL", b'"NIL"'),
    ],
)
def test_strings(text: bytes, wire: bytes) -> None:
    assert string(text) == nstring(text) == wire


def test_nothing_is_nil() -> None:
    assert nstring(None) == strings(()) == b"NIL"
    assert strings((b"a", b"b")) == b'("a" "b")'


@given(st.binary())
def test_a_string_reads_back(text: bytes) -> None:
    assert parsed(string(text)) == text.replace(b"\0", b"\xef\xbf\xbd")


@pytest.mark.parametrize(
    ("path", "kind", "octets"),
    [
        ((), None, OCTETS),
        ((), Kind.HEADER, OCTETS[:HEADER_END]),
        ((), Kind.TEXT, OCTETS[HEADER_END:]),
        ((), Kind.MIME, None),
        ((1,), None, b"first"),
        ((1,), Kind.MIME, b"Content-Type: text/plain\r\n\r\n"),
        ((1,), Kind.HEADER, None),
        ((1,), Kind.TEXT, None),
        ((1, 1), None, None),
        ((2,), None, INNER),
        ((2,), Kind.HEADER, INNER[: INNER.index(b"inner text")]),
        ((2,), Kind.TEXT, b"inner text\r\n"),
        ((2,), Kind.MIME, b"Content-Type: message/rfc822\r\n\r\n"),
        ((2, 1), None, b"inner text\r\n"),
        ((2, 1), Kind.MIME, INNER[: INNER.index(b"inner text")]),
        ((2, 2), None, None),
        ((2, 1, 1), None, None),
        ((3,), None, None),
        ((0,), None, None),
    ],
)
def test_sections(path: tuple[int, ...], kind: Kind | None, octets: bytes | None) -> None:
    assert section(OCTETS, ROOT, path, kind) == octets


def test_the_only_part_of_a_message_without_multipart_is_its_body() -> None:
    octets = b"Subject: x\r\n\r\nbody"
    root = scan(octets)
    assert section(octets, root, (1,)) == b"body"
    assert section(octets, root, (1, 1)) is None
    assert section(octets, root, (2,)) is None


@pytest.mark.parametrize(
    ("path", "kind", "names", "octets"),
    [
        ((), Kind.HEADER_FIELDS, (b"SUBJECT", b"x-a"), b"Subject: outer\r\nX-A: 1\r\n 2\r\n\r\n"),
        ((), Kind.HEADER_FIELDS, (b"none",), b"\r\n"),
        (
            (),
            Kind.HEADER_FIELDS_NOT,
            (b"subject", b"from", b"content-type"),
            b"X-A: 1\r\n 2\r\n\r\n",
        ),
        ((2,), Kind.HEADER_FIELDS, (b"to",), b"To: c@d\r\n\r\n"),
        ((1,), Kind.HEADER_FIELDS, (b"to",), None),
    ],
)
def test_chosen_fields(
    path: tuple[int, ...], kind: Kind, names: tuple[bytes, ...], octets: bytes | None
) -> None:
    assert section(OCTETS, ROOT, path, kind, names) == octets


@pytest.mark.parametrize(
    ("encoding", "body", "octets"),
    [
        (b"7bit", b"a=3D", b"a=3D"),
        (b"Base64", b"Y2Fm\r\nw6k=\r\n", "café".encode()),
        (b"base64", b"Y2*Fmw6k", "café".encode()),
        (b"base64", b"Y2Fmw", b"caf"),
        (b"quoted-printable", b"caf=C3=A9=\r\n!", "café!".encode()),
        (b"quoted-printable", b"=ZZ=", b"=ZZ"),
        (b"binary", b"\0\xff", b"\0\xff"),
        (b"(comment) base64", b"YQ==", b"a"),
    ],
)
def test_decoding(encoding: bytes, body: bytes, octets: bytes) -> None:
    message = b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body
    assert decoded(message, scan(message)) == octets


def test_an_unknown_encoding_is_an_error_of_its_own() -> None:
    message = b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nx"
    with pytest.raises(UnknownEncoding):
        decoded(message, scan(message))


def test_an_opaque_container_is_shown_as_plain_octets() -> None:
    octets = b"Content-Type: message/rfc822\r\n\r\n" * 2 + b"Subject: x\r\n\r\ny"
    text = structure(octets, scan(octets, Limits(nesting=2)))
    assert text.count(b'"application" "octet-stream" NIL') == 1


def test_envelopes_of_too_many_inner_headers_are_empty() -> None:
    header = b"X: " + b"x" * (MAX_INNER_HEADERS // 4) + b"\r\nSubject: inner\r\n\r\n"
    part = b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + header
    octets = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 5
    assert structure(octets, scan(octets)).count(b'"inner"') == 3


def test_no_answer_breaks_the_grammar() -> None:
    for _name, octets in messages():
        root = scan(octets)
        assert len(parsed(envelope(octets, root.start, root.body))) == 10
        parsed(structure(octets, root))
        parsed(structure(octets, root, extended=False))


LINES = [
    b"From: ", b"To: ", b"a@b", b'"', b"\xe9", b"\0", b"\r\n", b" ", b"\\", b"Subject: ", b"\r",
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n", b"Content-Language: ", b",",
    b"Content-Disposition: ", b"Content-ID: ", b"MIME-Version: 1\r\n", b"x", b";", b"=", b"\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=40).map(b"".join))
def test_no_octets_break_the_grammar(octets: bytes) -> None:
    root = scan(octets)
    parsed(envelope(octets, root.start, root.body))
    parsed(structure(octets, root))
    parsed(structure(octets, root, extended=False))
