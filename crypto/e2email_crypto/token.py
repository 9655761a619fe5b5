"""Generated tokens, their keyed hashes, and MACs over database rows.

Tokens are random, so one fast keyed hash is enough: a copy of the database without the key
outside it neither verifies a guess nor makes a row. docs/specs/keys.md, "Tokens and row MACs".
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from . import _sodium, _wire

TOKEN_SIZE = 20  # 160 random bits: 32 base32 characters without padding
KEY_SIZE = 32

Field = bytes | str | int | None

_TOKEN = b"e2email token 1"
_ROW = b"e2email row 1"


def generate(prefix: str) -> str:
    """`prefix` (such as "e2d_") and 32 characters of a-z2-7, to be shown once and never stored."""
    return prefix + base64.b32encode(_sodium.random_bytes(TOKEN_SIZE)).decode().lower()


def token_hash(token: str, key: bytes) -> bytes:
    """What is stored: 32 bytes of keyed BLAKE2b, the same every time, so it can be looked up."""
    return _blake2b(token.encode(), key, _TOKEN)


def matches(token: str, key: bytes, stored: bytes) -> bool:
    return hmac.compare_digest(token_hash(token, key), stored)


def row_mac(key: bytes, table: str, fields: Sequence[Field]) -> bytes:
    """32 bytes over the table's name and a row's fields in their order; bool counts as int."""
    return _blake2b(_wire.pack(table.encode(), *map(_typed, fields)), key, _ROW)


def verify_row(key: bytes, table: str, fields: Sequence[Field], mac: bytes) -> bool:
    return hmac.compare_digest(row_mac(key, table, fields), mac)


def _blake2b(data: bytes, key: bytes, person: bytes) -> bytes:
    if len(key) != KEY_SIZE:
        # blake2b takes any key up to 64 bytes, an empty one too, and would then hash unkeyed
        raise ValueError(f"the key has {KEY_SIZE} bytes")
    return hashlib.blake2b(data, key=key, person=person, digest_size=32).digest()


def _typed(value: Field) -> bytes:
    """A type octet before the value: 1, "1", b"1" and NULL are four different fields."""
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return b"b" + value
    if isinstance(value, str):
        return b"s" + value.encode()
    if isinstance(value, int):
        return b"i%d" % value
    raise TypeError("a row field is bytes, str, int or None")
