"""Text of strangers on its way to a terminal, and HTML as text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_client import clean, html


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]52;c;AAAA\x07", "␛]52;c;AAAA␇"),
        ("\x9b31mred", "<U+009B>31mred"),
        ("evil\u202egpj.exe", "evil<U+202E>gpj.exe"),
        ("a\r\nSubject: b", "a Subject: b"),
        ("nul\x00", "nul␀"),
        ("\ufeffx\u200by", "<U+FEFF>x<U+200B>y"),
        ("\udc80", "\ufffd"),
        ("👩\u200d🚀 می\u200cخواهم", "👩\u200d🚀 می\u200cخواهم"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ],
)
def test_a_line(hostile: str, shown: str) -> None:
    assert clean.line(hostile) == shown


def test_a_long_line_is_cut() -> None:
    assert clean.line("x" * 2_000_000) == "x" * clean.LINE_LIMIT + "…"


@given(st.text(alphabet=st.characters()))
def test_nothing_that_acts_on_a_terminal_remains(text: str) -> None:
    for shown in (clean.line(text), clean.block(text).replace("\n", "")):
        kinds = {unicodedata.category(char) for char in shown}
        assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
        assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_a_block_keeps_its_lines() -> None:
    assert clean.block("a\r\nb\rc\td") == "a\nb\nc       d"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Hello <b>you</b></p><p>there</p>", "Hello you\n\nthere"),
        ("a<br>b", "a\nb"),
        ('<a href="https://x.test/">here</a>', "here [1]\n\n[1] https://x.test/"),
        ('<a href="javascript:alert(1)">here</a>', "here"),
        ("<script>bad()</script><style>x{}</style>ok", "ok"),
        ("<ul><li>one<li>two</ul>", "* one\n\n* two"),
        ("<blockquote>said</blockquote>answer", "> said\n\nanswer"),
        ('<img src="http://track.test/1.gif" alt="a cat">', "[a cat]"),
        ("", ""),
        ("&lt;b&gt; &amp; &#27;", "<b> & \x1b"),
    ],
)
def test_html(source: str, text: str) -> None:
    assert html.to_text(source) == text


def test_deeply_nested_html_keeps_its_text() -> None:
    assert "needle" in html.to_text("<div>" * 3_000 + "needle" + "</div>" * 3_000)


@given(st.text(alphabet="<>/abdivpx \"'=&;!-[]"))
def test_any_html_gives_text(source: str) -> None:
    assert isinstance(html.to_text(source), str)
