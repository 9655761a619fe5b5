"""Messages made to hurt. Each must be read within the timeout, which linear work does many times
over; quadratic work on any of them takes minutes."""

import pytest

from e2email_protocol.mime import DEFAULT_LIMITS, scan
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.structure import structure
from e2email_protocol.mime.text import (
    attachments,
    encrypted_body,
    header_text,
    preview,
    search_text,
    walk,
)

MIB = 1024 * 1024
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
ENCRYPTED = b'Content-Type: multipart/encrypted; boundary=b; protocol="application/pgp-encrypted"'


def nested(count: int, prefix: bytes = b"b") -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=%b%d\r\n\r\n--%b%d\r\n" % (prefix, n, prefix, n)
        for n in range(count)
    )


HOSTILE = {
    "50 MB of text": lambda: b"A: b\r\n\r\n" + (b"x" * 76 + b"\r\n") * (50 * MIB // 78),
    "50 MB of header lines": lambda: b":\r\n" * (50 * MIB // 3),
    "50 MB of recipients": lambda: b"To: " + b"a@b," * (50 * MIB // 4),
    "a header line of 1 MB": lambda: b"Subject: " + b"x" * MIB + b"\r\n\r\nx",
    "a field of 300,000 lines": lambda: b"Subject: " + b"x\r\n " * 300_000 + b"\r\n\r\nx",
    "200,000 boundary-like lines": lambda: MIXED + b"--b\r\n\r\n" + b"--x\r\n" * 200_000,
    "2,000,000 boundary-like lines": lambda: MIXED + b"--b\r\n\r\n" + b"--x\r\n" * 2_000_000,
    "boundary-like lines in deep nesting": lambda: (
        nested(98, b"aa") + b"\r\n" + b"--aa\r\n" * 199_000
    ),
    "20,000 parts": lambda: MIXED + b"--b\r\n\r\nx\r\n" * 20_000,
    "5,000,000 parts": lambda: MIXED + b"--b\r\n" * 5_000_000,
    "10,000 parts without end of header": lambda: (
        MIXED + (b"--b\r\nA: " + b"x" * 5000 + b"\r\n") * 10_000
    ),
    "5,000 nested multiparts": lambda: nested(5000),
    "5,000 nested messages": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 5000 + b"A: b",
    "parentheses": lambda: b"From: " + b"(" * 250_000 + b"\r\n\r\n",
    "closed parentheses": lambda: b"From: " + b"()" * 120_000 + b"\r\n\r\n",
    "commas": lambda: b"From: " + b"," * 250_000 + b"\r\n\r\n",
    "quotes": lambda: b"From: " + b'"' * 250_000 + b"\r\n\r\n",
    "angles": lambda: b"From: " + b"<" * 250_000 + b"\r\n\r\n",
    "groups": lambda: b"From: " + b"a:" * 120_000 + b"\r\n\r\n",
    "backslashes": lambda: b'From: "' + b"\\" * 250_000 + b"\r\n\r\n",
    "parameters": lambda: b"Content-Type: a/b" + b";a*0=x" * 40_000 + b"\r\n\r\n",
    "open comments in parameters": lambda: b"Content-Type: a/b" + b";(" * 120_000 + b"\r\n\r\n",
    "open quotes in parameters": lambda: b"Content-Type: a/b" + b';a="' * 60_000 + b"\r\n\r\n",
    "empty parameters": lambda: b"Content-Type: a/b" + b";=" * 120_000 + b"\r\n\r\n",
    "languages": lambda: b"MIME-Version: 1\r\nContent-Language: " + b"a," * 120_000 + b"\r\n\r\n",
    "encoded words begun": lambda: b"Subject: " + b"=?a?b?" * 40_000 + b"\r\n\r\n",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 18_000 + b"\r\n\r\n",
    "spaces": lambda: b"Subject:" + b" " * 250_000 + b"x\r\n\r\n" + b" " * MIB,
    "open tags": lambda: b"Content-Type: text/html\r\n\r\n" + b"<a" * MIB,
    "open scripts": lambda: b"Content-Type: text/html\r\n\r\n" + b"<script>" * MIB,
    "open comments": lambda: b"Content-Type: text/html\r\n\r\n" + b"<!--" * MIB,
    "a blank preamble": lambda: (
        ENCRYPTED + b"\r\n\r\n" + b" " * (20 * MIB) + b"\r\n--b\r\n\r\n\r\n--b\r\n\r\n--b--\r\n"
    ),
    "equals signs": lambda: (
        b"MIME-Version: 1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + b"=" * (10 * MIB)
    ),
    "a digest of long senders": lambda: (
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n"
        + (b"--b\r\n\r\nFrom: " + b"a," * 5000 + b"\r\n\r\n") * 5000
    ),
    "parts of junk parameters": lambda: (
        MIXED + (b"--b\r\nContent-Type: a/b" + b";" * 5000 + b"\r\n\r\n") * 10_000
    ),
    "parts of languages": lambda: (
        MIXED + (b"--b\r\nContent-Language: " + b"a," * 2500 + b"\r\n\r\n") * 10_000
    ),
    "line feeds": lambda: b"\n" * (10 * MIB),
    "carriage returns": lambda: b"A: b\r\n\r\n" + b"\r" * (10 * MIB),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str) -> None:
    octets = HOSTILE[name]()
    root = scan(octets)
    parts = list(walk(root, messages=True))
    assert len(parts) <= DEFAULT_LIMITS.parts + 1
    assert root.end == len(octets)
    assert len(envelope(octets, root.start, root.body)) < 2 * MIB
    assert len(structure(octets, root)) < 32 * MIB
    assert len(preview(octets, root)) <= 200
    attachments(root)
    encrypted_body(octets, root)
    if len(octets) < 2 * MIB:
        for _ in search_text(octets, root):
            pass
    else:
        list(header_text(octets, root))
