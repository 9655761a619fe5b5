"""Numbers and their absence. Spaces around them are forgiven: programs send `LIST `."""

from __future__ import annotations

import re

from .. import limits
from ..errors import BadCommand

_NUMBER = re.compile(rb"[0-9]{1,%d}" % limits.NUMBER)


def none(argument: bytes) -> None:
    if argument.strip(b" "):
        raise BadCommand(b"no argument expected")


def numbers(argument: bytes, count: int) -> list[int]:
    """Exactly so many. BadCommand."""
    words = argument.split()
    if len(words) != count or not all(_NUMBER.fullmatch(word) for word in words):
        raise BadCommand(b"number expected" if count == 1 else b"two numbers expected")
    return [int(word) for word in words]


def number(argument: bytes) -> int:
    return numbers(argument, 1)[0]
