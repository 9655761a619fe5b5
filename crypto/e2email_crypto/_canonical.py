"""JSON with one spelling: sorted keys, no spaces, ASCII, integers only."""

import json
from typing import Any


def encode(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def decode(data: bytes) -> Any:
    """Raises ValueError for anything that `encode` would not have written so.

    The comparison catches doubled keys, other spellings of strings and numbers, and order.
    """
    try:
        value = json.loads(data, parse_float=_no_integer, parse_constant=_no_integer)
        same = encode(value) == data
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not same:
        raise ValueError("not in canonical form")
    return value


def _no_integer(spelt: str) -> None:
    raise ValueError("a number that is no integer")
