"""BINARY at the proxy (RFC 3516), and octets that IMAP does not foresee."""

import base64
from collections.abc import AsyncIterator

import pytest

from support.home import Home, home
from support.sealed_face import TRACE, house

NULS = b"a\0b\0" * 40
LATIN = "Grüße, 100 % = alles"
_PARTS = b"""\
From: a@example.net\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
Gr=C3=BC=C3=9Fe, 100 % =3D al=\r
les\r
--b\r
Content-Type: application/octet-stream\r
Content-Transfer-Encoding: base64\r
\r
%b\r
--b\r
Content-Type: application/x-other\r
Content-Transfer-Encoding: x-uuencode\r
\r
begin 644 x\r
--b--\r
"""
PARTS = _PARTS.replace(b"%b", base64.encodebytes(NULS).replace(b"\n", b"\r\n").strip(), 1)
ODD = b"From: a@example.net\r\nSubject: odd\r\n\r\nnul \0, cr \r, lf \n, dot\r\n.\n\xff\r\n"


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server:
        await server.deliver(PARTS, ODD)
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(1, 2)
            yield made


async def test_parts_come_decoded(here: Home) -> None:
    talk = await here.talk().login()
    text = LATIN.encode()
    said = await talk.ok(b"FETCH 1 (BINARY.SIZE[1] BINARY.SIZE[2] BINARY.PEEK[1])")
    assert b"BINARY.SIZE[1] %d BINARY.SIZE[2] %d " % (len(text), len(NULS)) in said
    assert b"BINARY[1] {%d}\r\n%b)" % (len(text), text) in said
    said = await talk.ok(b"FETCH 1 BINARY.PEEK[2]")
    assert b"BINARY[2] ~{%d}\r\n%b)" % (len(NULS), NULS) in said
    said = await talk.ok(b"FETCH 1 BINARY.PEEK[2]<1.3>")
    assert b"BINARY[2]<1> ~{3}\r\n%b)" % NULS[1:4] in said
    assert b"BINARY[4] NIL" in await talk.ok(b"FETCH 1 BINARY.PEEK[4]")


async def test_what_cannot_be_decoded_is_said_so(here: Home) -> None:
    talk = await here.talk().login()
    assert b"NO [UNKNOWN-CTE]" in await talk.no(b"FETCH 1 BINARY.PEEK[3]")
    assert b"begin 644" in await talk.ok(b"FETCH 1 BODY.PEEK[3]")


async def test_reading_a_part_sets_seen(here: Home) -> None:
    talk = await here.talk().login()
    assert b"FLAGS (\\Seen" not in await talk.ok(b"FETCH 1 (BINARY.PEEK[1] FLAGS)")
    assert b"FLAGS (\\Seen" in await talk.ok(b"FETCH 1 (BINARY[1] FLAGS)")


async def test_nul_bare_cr_and_bare_lf_go_out_as_they_are(here: Home) -> None:
    talk = await here.talk().login()
    view = TRACE + ODD
    said = await talk.ok(b"FETCH 2 (RFC822.SIZE BODY.PEEK[])")
    assert b"RFC822.SIZE %d BODY[] {%d}\r\n%b)" % (len(view), len(view), view) in said
    said = await talk.ok(b"FETCH 2 BINARY.PEEK[]")
    assert b"BINARY[] ~{%d}\r\n%b)" % (len(view), view) in said
    text = view[view.index(b"\r\n\r\n") + 4 :]
    assert b"{%d}\r\n%b)" % (len(text), text) in await talk.ok(b"FETCH 2 BODY.PEEK[TEXT]")


async def test_append_of_a_literal8(here: Home) -> None:
    talk = await here.talk().login()
    assert b"APPENDUID" in await talk.ok(b"APPEND INBOX ~{%d+}\r\n%b" % (len(ODD), ODD))
    said = await talk.ok(b"FETCH 3 BINARY.PEEK[]")
    assert b"~{%d}\r\n%b)" % (len(ODD), ODD) in said
