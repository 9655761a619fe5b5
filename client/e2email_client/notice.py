"""The mail shown in place of one that can never be opened: why, and the original attached."""

from __future__ import annotations

import base64

_BOUNDARY = b"e2email-notice-7c1f0a52d9b84e36"
_TEXT = """\
This message cannot be opened.

{why}

The message as {what} is attached. Nothing of it was thrown away: if the cause can
be mended (a key that is missing here, for instance), delete this program's cache and it is tried
again.
"""
SEALED, DELIVERED = "sealed.eml", "delivered.eml"
_WHAT = {SEALED: "the server holds it", DELIVERED: "it was delivered"}


def notice(why: str, octets: bytes, name: str = SEALED) -> bytes:
    """An RFC 5322 message in CRLF lines. `why` is a sentence of ours; `name` says what is attached:
    what the server holds, or the delivered octets."""
    attached = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    file = name.encode()
    text = _TEXT.format(why=why, what=_WHAT[name]).replace("\n", "\r\n").encode()
    return b"".join(
        (
            b"From: e2email <e2email@localhost>\r\n",
            b"Subject: [a message that cannot be opened]\r\n",
            b"MIME-Version: 1.0\r\n",
            b'Content-Type: multipart/mixed; boundary="' + _BOUNDARY + b'"\r\n\r\n',
            b"--" + _BOUNDARY + b"\r\n",
            b"Content-Type: text/plain; charset=utf-8\r\n",
            b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text,
            b"--" + _BOUNDARY + b"\r\n",
            b'Content-Type: application/octet-stream; name="' + file + b'"\r\n',
            b"Content-Transfer-Encoding: base64\r\n",
            b'Content-Disposition: attachment; filename="' + file + b'"\r\n\r\n',
            attached,
            b"--" + _BOUNDARY + b"--\r\n",
        )
    )


def sealed_original(shown: bytes) -> bytes:
    """The attachment of a `notice` to which the sealed message was attached."""
    # base64 holds none of this, so the last one is ours whatever the reason quotes
    head, _, attached = shown.rpartition(b'filename="sealed.eml"\r\n\r\n')
    assert head
    return base64.b64decode(attached.partition(b"--" + _BOUNDARY)[0])
