"""Tokens, their hashes, and MACs over rows."""

import re

import pytest

from e2email_crypto import token

KEY = b"k" * 32


def test_tokens_have_160_bits_and_are_easy_to_type() -> None:
    made = {token.generate("e2d_") for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("e2d_[a-z2-7]{32}", text) for text in made)


def test_a_hash_is_the_same_every_time_and_needs_the_key() -> None:
    text = token.generate("e2a_")
    stored = token.token_hash(text, KEY)
    assert len(stored) == 32
    assert stored == token.token_hash(text, KEY)
    assert token.matches(text, KEY, stored)
    assert not token.matches(text + "x", KEY, stored)
    assert not token.matches(text, b"x" * 32, stored)
    assert not token.matches(text, KEY, stored[:-1])


def test_known_answers() -> None:
    assert token.token_hash("e2d_token", KEY).hex() == (
        "e0cfcbc1a54648db9ee846ec389eb655c9460c020dc02052f283c062ce0fe198"
    )
    assert token.row_mac(KEY, "aliases", ["a", None, 7, b"x"]).hex() == (
        "0584230e5755367f799c21d544c9960c32562309a1f2e410528993ced4a5d7a2"
    )


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 33])
def test_a_key_of_another_length_would_hash_unkeyed_or_weaker(key: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        token.token_hash("x", key)
    with pytest.raises(ValueError, match="32 bytes"):
        token.row_mac(key, "t", [])


ROWS = [
    ("certificates", ["a", "b"]),
    ("certificates", ["ab", ""]),
    ("certificates", ["ab"]),
    ("certificates", ["a", "b", None]),
    ("certificates", ["a", None]),
    ("certificates", ["a", ""]),
    ("certificates", ["a", b"b"]),
    ("certificates", ["b", "a"]),
    ("certificates", ["1"]),
    ("certificates", [1]),
    ("certificates", [b"1"]),
    ("certificates", [-1]),
    ("certificates", []),
    ("certificatesa", ["b"]),
    ("aliases", ["a", "b"]),
]


def test_no_two_rows_have_one_mac() -> None:
    assert len({token.row_mac(KEY, table, fields) for table, fields in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("table", "fields"), ROWS)
def test_a_row_verifies_as_itself_only(table: str, fields: list[token.Field]) -> None:
    mac = token.row_mac(KEY, table, fields)
    assert token.verify_row(KEY, table, fields, mac)
    assert not token.verify_row(b"x" * 32, table, fields, mac)
    assert not token.verify_row(KEY, table, [*fields, 0], mac)
    assert not token.verify_row(KEY, table, fields, b"")


def test_a_boolean_reads_back_from_sqlite_as_a_number() -> None:
    assert token.row_mac(KEY, "t", [True]) == token.row_mac(KEY, "t", [1])


def test_a_token_hash_is_no_row_mac() -> None:
    assert token.row_mac(KEY, "x", []) != token.token_hash("\0\0\0\1x", KEY)


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError):
        token.row_mac(KEY, "t", [1.5])  # type: ignore[list-item]
