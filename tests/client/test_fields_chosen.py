"""HEADER.FIELDS by one expression finds what reading the header field by field finds."""

import random

import pytest

from e2email_client.local.published import chosen
from e2email_protocol.mime.header import fields
from support import corpus

ASKED = ([b"a"], [b"AB", b"b"], [b"a", b"ab", b"a:"], [b" a"], [b"\xff"], [])
PIECES = (
    b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"a", b"B", b"a:", b"ab: x", b"\xff", b"\0", b"\x0b",
    b"\r\n\r\n", b"\x85", b"-",
)  # fmt: skip


def one_by_one(octets: bytes, asked: list[bytes]) -> bytes:
    names = {name.lower() for name in asked}
    found = b"".join(
        octets[one.start : one.end] for one in fields(octets) if one.name.lower() in names
    )
    return found + (b"\r\n" if found and not found.endswith(b"\n") else b"") + b"\r\n"


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_of_anything(asked: list[bytes]) -> None:
    rng = random.Random(7)
    for _ in range(20_000):
        octets = b"".join(rng.choices(PIECES, k=rng.randrange(14)))
        assert chosen(octets, asked) == one_by_one(octets, asked), octets


def test_of_real_mail() -> None:
    for name, octets in corpus.messages():
        for asked in ([b"From", b"subject", b"X-Label"], [b"received"]):
            assert chosen(octets, asked) == one_by_one(octets, asked), name


def test_beyond_what_is_looked_at() -> None:
    octets = b"x: y\r\n" * 50_000 + b"a: late\r\n"
    assert chosen(octets, [b"a"]) == b"\r\n"
