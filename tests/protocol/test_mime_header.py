"""Fields, encoded words, parameters and addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_protocol.mime.address import Address, addresses
from e2email_protocol.mime.charset import _CODECS, codec_for, decode
from e2email_protocol.mime.header import MAX_HEADER, fields, first, unfold
from e2email_protocol.mime.params import (
    MAX_PARAMETERS,
    content_type,
    parameter_text,
    token_and_parameters,
)
from e2email_protocol.mime.words import decode_words


def test_fields_are_spans_of_the_header() -> None:
    header = b"From a mailbox\r\nA: b\r\n c\r\nD :e\nnothing\r\n\r\nF: g\r\n"
    found = list(fields(header))
    assert [(field.name, field.value) for field in found] == [
        (b"", b""),
        (b"A", b" b\r\n c"),
        (b"D", b"e"),
        (b"", b""),
    ]
    assert b"".join(header[field.start : field.end] for field in found) == header[:-8]


@given(st.lists(st.sampled_from([b"A", b":", b" ", b"\r\n", b"\n", b"\t", b"\r", b"\0"])))
def test_field_spans_follow_each_other(pieces: list[bytes]) -> None:
    header = b"".join(pieces)
    position = 0
    for field in fields(header):
        assert field.start == position
        assert field.end > position
        position = field.end
    assert position <= len(header)


def test_first_finds_any_case_and_unfolds() -> None:
    header = b"A: 1\r\nSUBJECT:  one\r\n\ttwo \r\nsubject: no\r\n"
    assert first(header, b"Subject") == b"one\ttwo"
    assert first(header, b"none") is None


def test_a_bare_cr_in_a_value_is_a_space() -> None:
    assert unfold(b" a\rb\r\n c ") == b"a b c"


def test_fields_beyond_the_limit_are_not_seen() -> None:
    header = b"A: b\r\nX: " + b"x" * MAX_HEADER + b"\r\nB: c\r\n"
    assert [field.name for field in fields(header)] == [b"A"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?caf=C3=A9?=", "café"),
        (b"=?UTF-8?B?Y2Fmw6k=?=", "café"),
        (b"=?utf-8?q?a_b?= c =?utf-8?q?d?=", "a b c d"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "aé"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=91?=", "Ñ"),
        (b"=?utf-8?b?ww==?= =?utf-8?b?kQ==?=", "Ñ"),
        (b"=?utf-8*en?q?a?=", "a"),
        (b"=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "テスト"),
        (b"=?shift_jis?B?g2WDWINn?=", "テスト"),
        (b"=?gb2312?B?1tDOxA==?=", "中文"),
        (b"=?koi8-r?B?8NLJ18XU?=", "Привет"),
        (b"=?windows-1252?q?=93x=94?=", "“x”"),
        (b"=?iso-8859-1?q?=93x=94?=", "“x”"),
        (b"=?nowhere-9?q?caf=C3=A9?=", "café"),
        (b"=?nowhere-9?q?caf=E9?=", "café"),
        (b"=?utf-8?q?cut in ha", "cut in ha"),
        (b"=?utf-8?b?Y2Fmw6", "caf�"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?=ZZ=4?=", "=ZZ=4"),
        (b"=?=?=?", "=?=?=?"),
        (b"raw \xc3\xa9", "raw é"),
        (b"raw \xe9", "raw é"),
        (b"=?idna?q?xn--a?=", "xn--a"),
        (b"=?unicode_escape?q?=5Cu0041?=", "\\u0041"),
        (b"=?utf-8?b?A?=", ""),
    ],
)
def test_encoded_words(value: bytes, text: str) -> None:
    assert decode_words(value) == text


@given(
    st.lists(
        st.sampled_from([b"=?", b"?=", b"?", b"utf-8", b"q", b"b", b"=C3", b"=", b" ", b"\xff"])
    )
)
def test_encoded_words_never_fail(pieces: list[bytes]) -> None:
    decode_words(b"".join(pieces))


@given(
    st.binary(max_size=60),
    st.sampled_from([b"utf-16", b"utf-7", b"hz", b"idna", b"x" * 99, b"../x"]),
)
def test_no_charset_fails(octets: bytes, charset: bytes) -> None:
    decode(octets, charset)


@pytest.mark.parametrize("codec", sorted(_CODECS))
def test_every_codec_takes_any_octets(codec: str) -> None:
    for octets in (b"", b"abc", bytes(range(256)), b"\x1b$B\xff", b"+AAA", b"~{x"):
        assert isinstance(decode(octets, codec.encode()), str)


@pytest.mark.parametrize(
    "name", [b"idna", b"punycode", b"rot13", b"zip", b"unicode_escape", b"us-ascii", b"", b"os"]
)
def test_what_is_no_charset_is_guessed(name: bytes) -> None:
    assert codec_for(name) is None


def test_utf8_that_is_broken_in_one_place_stays_utf8() -> None:
    octets = "Grüße aus der Stadt".encode() + b"\xc3"
    assert decode(octets, b"utf-8") == "Grüße aus der Stadt\ufffd"


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (b"a/b; name=x", b"name", "x"),
        (b"a/b; NAME=x", b"name", "x"),
        (b'a/b; name="x \\" y"', b"name", 'x " y'),
        (b'a/b; name="a\r\n b"', b"name", "a b"),
        (b"a/b; name*=utf-8''caf%C3%A9", b"name", "café"),
        (b"a/b; name*=iso-8859-1'en'caf%E9", b"name", "café"),
        (b"a/b; name*0=caf; name*1=e.txt", b"name", "cafe.txt"),
        (b"a/b; name*1=e.txt; name*0=caf", b"name", "cafe.txt"),
        (b"a/b; name*0*=utf-8''caf%C3; name*1*=%A9; name*2=%41", b"name", "café%41"),
        (b"a/b; name=plain; name*=utf-8''better", b"name", "better"),
        (b"a/b; name==?utf-8?q?caf=C3=A9?=", b"name", "café"),
        (b'a/b; name="=?utf-8?q?caf=C3=A9?="', b"name", "café"),
        (b"a/b; name*=no-quotes", b"name", "no-quotes"),
        (b"a/b; name*0=a; name*2=c", b"name", None),
        (b'a/b; x="unclosed; name=y', b"name", None),
        (b"a/b; ; junk; name=y", b"name", "y"),
        (b"a/b name=y", b"name", "y"),
        (b"a/b (comment; name=x); name=y", b"name", "y"),
    ],
)
def test_parameters(value: bytes, name: bytes, text: str | None) -> None:
    _, _, params = content_type(value)
    assert parameter_text(params, name) == text


def test_a_disposition_that_cannot_be_read_is_none() -> None:
    assert token_and_parameters(b"(unclosed") is None
    assert token_and_parameters(b"inline; filename=x") == (b"inline", ((b"filename", b"x"),))


def test_parameters_are_bounded() -> None:
    _, _, params = content_type(b"a/b" + b";x=y" * (MAX_PARAMETERS + 5))
    assert len(params) == MAX_PARAMETERS


@given(
    st.lists(
        st.sampled_from([b'"', b"\\", b";", b"=", b"*", b"0", b"a", b"(", b")", b" ", b"%", b"'"])
    )
)
def test_parameters_never_fail(pieces: list[bytes]) -> None:
    _, _, params = content_type(b"a/b" + b"".join(pieces))
    for name, _value in params:
        parameter_text(params, name.rstrip(b"*").lower())


def test_addresses_for_people() -> None:
    found = addresses(b'=?utf-8?q?Caf=C3=A9?= <a@b>, c@d (Comment), "G, x": e@f;')
    assert [address.text for address in found] == [
        "Café <a@b>",
        "Comment <c@d>",
        "G, x",
        "e@f",
        "",
    ]


def test_a_group_is_marked_as_in_envelope() -> None:
    assert addresses(b"G: a@b;, c@d") == (
        Address(None, None, b"G", None),
        Address(None, None, b"a", b"b"),
        Address(None, None, None, None),
        Address(None, None, b"c", b"d"),
    )


def test_addresses_are_bounded() -> None:
    assert len(addresses(b"a@b," * 50, limit=7)) == 7
    assert len(addresses(b"G: " + b"a@b," * 50, limit=7)) == 7


@given(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"@",
                b"<",
                b">",
                b",",
                b";",
                b":",
                b'"',
                b"(",
                b")",
                b".",
                b"\\",
                b" ",
                b"\xc3",
                b"[",
                b"]",
            ]
        )
    )
)
def test_addresses_never_fail(pieces: list[bytes]) -> None:
    for address in addresses(b"".join(pieces)):
        assert address.mailbox is not None or address.host is None
        assert isinstance(address.text, str)
        assert repr(address) == "Address(...)"
