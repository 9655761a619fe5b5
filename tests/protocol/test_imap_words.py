"""Names, wildcards, dates, flags and sets: the small grammar."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_protocol.imap.cursor import Cursor
from e2email_protocol.imap.dates import parse_date, parse_date_time, render_date_time
from e2email_protocol.imap.errors import BadCommand
from e2email_protocol.imap.flags import parse_flag, render_flags, render_recent
from e2email_protocol.imap.names import (
    BadName,
    decode_name,
    encode_name,
    fold_inbox,
    name_matcher,
    new_name,
    quote_name,
)
from e2email_protocol.imap.sequence import (
    between,
    common,
    normal,
    parse_set,
    render_set,
    runs,
    vanished_lines,
)


def zone(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", b"INBOX"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 §5.1.3
        ("A&B", b"A&-B"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("\N{GRINNING FACE}", b"&2D3eAA-"),
    ],
)
def test_modified_utf_7(name, wire):
    assert encode_name(name) == wire
    assert decode_name(wire) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_modified_utf_7_comes_back(name):
    if name.partition("/")[0].upper() != "INBOX":
        assert decode_name(encode_name(name)) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_names_in_utf_8_come_back(name):
    wire = quote_name(name, utf8=True)
    assert b"\r" not in wire
    assert b"\n" not in wire
    if name.isprintable():
        assert decode_name(Cursor([wire]).astring(), utf8=True) == fold_inbox(name)


def test_a_name_that_is_no_utf_8():
    with pytest.raises(BadName):
        decode_name(b"raw \xfc", utf8=True)


@pytest.mark.parametrize(
    "wire",
    [b"&", b"&bad", b"&AGE-", b"&ZeVnLIqe", b"&Jjo!", b"&U,BTFw-&ZeVnLIqe-", b"x\xff", b"x\x01",
     b"&2D0-", b"&AP-", b"x" * 1001],
)  # fmt: skip
def test_names_that_are_none(wire):
    with pytest.raises(BadName):
        decode_name(wire)


@pytest.mark.parametrize("wire", [b"", b"/", b"/a", b"a//b", b"a%", b"*", b"&AAA-", b"a/" * 60])
def test_names_that_nobody_may_create(wire):
    with pytest.raises(BadName):
        new_name(wire)


def test_inbox_is_one_mailbox():
    assert decode_name(b"iNbOx") == "INBOX"
    assert decode_name(b"inbox/x") == "INBOX/x"
    assert decode_name(b"inboxes") == "inboxes"
    assert quote_name('a"\\b') == b'"a\\"\\\\b"'


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=8))
def test_wildcards(pattern, name):
    slow = "".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
    assert name_matcher(pattern)(name) == bool(re.fullmatch(slow, name))


def test_wildcards_do_not_backtrack():
    assert not name_matcher("*a" * 400 + "*b")("a" * 1000)


@pytest.mark.parametrize(
    ("wire", "when"),
    [
        (b" 7-Feb-1994 21:52:25 -0800", datetime(1994, 2, 7, 21, 52, 25, tzinfo=zone(-480))),
        (b"17-jul-1996 02:44:25 +0530", datetime(1996, 7, 17, 2, 44, 25, tzinfo=zone(330))),
        (b"30-Jun-2015 23:59:60 +0000", datetime(2015, 6, 30, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_date_time(wire, when):
    assert parse_date_time(wire) == when
    if b":60" not in wire:
        assert render_date_time(when).lower() == b'"' + wire.lower() + b'"'


@pytest.mark.parametrize(
    "wire",
    [b"", b"7-Feb-1994", b"31-Feb-2026 00:00:00 +0000", b"01-Jan-0001 00:00:00 +0100",
     b"01-Foo-2026 00:00:00 +0000", b"01-Jan-2026 25:00:00 +0000", b"01-Jan-2026 00:00:00 +9999"],
)  # fmt: skip
def test_date_times_that_are_none(wire):
    with pytest.raises(BadCommand):
        parse_date_time(wire)


def test_dates():
    assert parse_date(b"1-Feb-1994").isoformat() == "1994-02-01"
    for wire in (b"", b"0-Feb-1994", b"1-Fab-1994", b"1-Feb-94"):
        with pytest.raises(BadCommand):
            parse_date(wire)


def test_flags():
    assert parse_flag(b"\\sEEn") == "\\Seen"
    assert parse_flag(b"\\Recent") is None
    assert parse_flag(b"$Label1") == "$Label1"
    for wire in (b"\\Frob", b"x" * 256, b"a]b", b"\xfc"):
        with pytest.raises(BadCommand):
            parse_flag(wire)
    assert render_flags(frozenset({"b", "a", "\\Seen", "\\Answered"})) == b"\\Answered \\Seen a b"
    assert render_recent(frozenset()) == b"\\Recent"


def test_sets():
    assert normal(parse_set(b"5:3,*,1,4:6"), 9) == [(1, 1), (3, 6), (9, 9)]
    assert render_set([3, 1, 2, 9]) == b"1:3,9"
    assert render_set([3, 1, 2], ordered=False) == b"3,1:2"
    for wire in (b"", b"0", b"1,", b"1:", b"a", b"1:2:3", b"4294967296", b"01"):
        with pytest.raises(BadCommand):
            parse_set(wire)


def members(spans) -> list[int]:
    return [number for low, high in spans for number in range(low, high + 1)]


few = st.frozensets(st.integers(1, 40), max_size=25)


@given(few, few)
def test_what_is_common_to_two_sets(one, other):
    assert members(common(runs(one), runs(other))) == sorted(one & other)


@given(few, st.integers(1, 45))
def test_what_is_missing_from_a_set(numbers, end):
    below = sorted(n for n in numbers if n < end)
    assert members(between(below, end)) == sorted(set(range(1, end)) - numbers)


def test_sets_are_ranges_however_much_they_say():
    assert between([5], 4_000_000_000) == [(1, 4), (6, 3_999_999_999)]
    assert common([(1, 4_000_000_000)], [(7, 2**32 - 1)]) == [(7, 4_000_000_000)]


def test_vanished_in_lines_of_a_bounded_length():
    lines = list(vanished_lines(runs(range(4_000_000_000, 4_000_010_000, 2)), b"(EARLIER) "))
    assert len(lines) > 1
    assert max(map(len, lines)) < 16_000
    assert list(vanished_lines([])) == []
