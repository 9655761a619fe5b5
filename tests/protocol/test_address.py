"""Paths and parameters of MAIL and RCPT: what is one, what is none, and what it says."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_protocol.address import (
    Address,
    BadAddress,
    domain_key,
    parse_address,
    parse_parameters,
    parse_path,
)

GOOD = [
    ("<alice@example.test>", "alice", "example.test"),
    ("<Alice+tag@Example.TEST>", "Alice+tag", "Example.TEST"),
    ("<!#$%&'*+-/=?^_`{|}~@example.test>", "!#$%&'*+-/=?^_`{|}~", "example.test"),
    ('<"a b"@example.test>', "a b", "example.test"),
    (r'<"a\"\\b"@example.test>', r"a\b".replace("\\", '"\\'), "example.test"),
    ('<"a@b"@example.test>', "a@b", "example.test"),
    ('<"<>"@example.test>', "<>", "example.test"),
    ("<a@[192.0.2.1]>", "a", "[192.0.2.1]"),
    ("<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]"),
    ("<@relay.test:a@example.test>", "a", "example.test"),
    ("<@one.test,@two.test:a@example.test>", "a", "example.test"),
    ("<a..b@carrier.test>", "a..b", "carrier.test"),
    ("<a.@carrier.test>", "a.", "carrier.test"),
    ("<under@a_b.test>", "under", "a_b.test"),
    ("<grüße@müller.test>", "grüße", "müller.test"),
    ("<postmaster>", "postmaster", ""),
    ("<PostMaster>", "postmaster", ""),
    (f"<{'a' * 64}@x.test>", "a" * 64, "x.test"),
]
BAD = [
    "",
    "<",
    ">",
    "alice@example.test",
    "<alice>",
    "<alice@>",
    "<@example.test>",
    "<alice@example.test",
    "<alice@example..test>",
    "<alice@.test>",
    "<alice@example.test.>",
    "<alice@-a.test>",
    "<alice@a-.test>",
    "<a b@example.test>",
    "<a@b@example.test>",
    "<a(comment)@example.test>",
    "<a,b@example.test>",
    '<"a@example.test>',
    '<a"b"@example.test>',
    '<"a"b@example.test>',
    '<""@example.test>',
    '<"a\n"@example.test>',
    '<"a\\\n"@example.test>',
    "<a\r\n@example.test>",
    "<a\0@example.test>",
    "<a@example.test\0>",
    "<a@[192.0.2.1>",
    "<a@[a b]>",
    "<a@[[]>",
    "<relay.test:a@example.test>",
    "<@relay.test,a@example.test>",
    "<a@example.test>x",
    "<a@example.test><b@example.test>",
    "<<a@example.test>>",
    " <a@example.test>",
    "<a@\udcffexample.test>",
    f"<{'a' * 65}@x.test>",
    f"<{'ü' * 33}@x.test>",
    f"<a@{'a.' * 127}aa>",
    f"<a@{'a' * 64}.test>",
]


@pytest.mark.parametrize(("text", "local", "domain"), GOOD)
def test_paths(text: str, local: str, domain: str) -> None:
    assert parse_path(text) == (Address(local, domain), "")
    assert parse_path(text + " SIZE=1") == (Address(local, domain), " SIZE=1")


def test_the_null_path() -> None:
    assert parse_path("<>") == (None, "")


@pytest.mark.parametrize("text", BAD)
def test_no_paths(text: str) -> None:
    with pytest.raises(BadAddress) as error:
        parse_path(text)
    assert "example" not in str(error.value)


@pytest.mark.parametrize(("text", "local", "domain"), GOOD)
def test_an_address_written_is_the_address_read(text: str, local: str, domain: str) -> None:
    address = Address(local, domain)
    assert parse_path(f"<{address}>") == (address, "")
    if domain:
        assert parse_address(str(address)) == address


@given(st.text(), st.text())
def test_nothing_else_happens(local: str, domain: str) -> None:
    try:
        address, rest = parse_path(f"<{local}@{domain}>")
    except BadAddress:
        return
    assert rest == "" or rest.startswith(" ")
    assert address is None or not any(c in str(address) for c in "\r\n\0")


@given(st.text(min_size=1, max_size=20))
def test_any_local_part_can_be_quoted(local: str) -> None:
    try:
        address = parse_address(str(Address(local, "x.test")))
    except BadAddress:
        return
    assert address == Address(local, "x.test")


@pytest.mark.parametrize("text", ["", "a", "<a@b.test>", "a@b.test ", "a@b.test>", "<>", "@"])
def test_an_address_has_no_brackets(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)


def test_what_counts_as_the_same() -> None:
    assert Address("Alice", "Example.TEST").key == ("alice", "example.test")
    assert Address("JÜRGEN", "Bücher.test").key == ("jürgen", "xn--bcher-kva.test")
    assert Address("ju\u0308rgen", "x.test").key == Address("jürgen", "x.test").key
    assert domain_key("xn--BCHER-kva.Test") == "xn--bcher-kva.test"
    assert domain_key("ü" * 100) == "ü" * 100  # no A-label: equal to itself only


def test_ascii() -> None:
    assert Address("a", "b.test").ascii
    assert not Address("ü", "b.test").ascii
    assert not Address("a", "ü.test").ascii


def test_parameters() -> None:
    assert parse_parameters("") == {}
    assert parse_parameters(" size=10 SMTPUTF8  x-a=B") == {
        "SIZE": "10",
        "SMTPUTF8": "",
        "X-A": "B",
    }


@pytest.mark.parametrize(
    "text",
    [" =1", " A=", " A=1 a=2", " -A=1", " A_B=1", " A=\x7f", " A=\t1\x01", " A=b=c", " ü=1"],
)
def test_no_parameters(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_parameters(text)


def test_parameters_are_counted() -> None:
    assert len(parse_parameters(" ".join(f"A{n}" for n in range(16)))) == 16
    with pytest.raises(BadAddress):
        parse_parameters(" ".join(f"A{n}" for n in range(17)))


@pytest.mark.parametrize(
    "text",
    [
        "<" + "a" * 10**6,
        "<" + "a." * 10**6,
        '<"' + "\\" * 10**6,
        "<@" + "a," * 10**6,
        "<a@" + "-" * 10**6 + ">",
        "<" + "@a,@b:" * 10**6,
    ],
    ids=lambda text: text[:8],
)
def test_long_nonsense_costs_nothing(text: str) -> None:
    start = time.process_time()
    with pytest.raises(BadAddress):
        parse_path(text)
    assert time.process_time() - start < 1  # CPU time; quadratic would be minutes


def test_an_address_does_not_show_itself() -> None:
    assert "alice" not in repr(Address("alice", "example.test"))
    assert "alice" in str(Address("alice", "example.test"))
