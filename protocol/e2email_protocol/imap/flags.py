"""Flags as text: parsed once, rendered once for each combination (RFC 3501 §2.3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .cursor import Cursor
from .errors import BadCommand, LimitReached
from .limits import FLAGS, KEYWORD

SYSTEM = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
_CANONICAL = {flag.lower(): flag for flag in SYSTEM}
_KEYWORD = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")


def parse_flag(wire: bytes) -> str | None:
    """One flag in its canonical spelling; None for \\Recent, which is not the client's to set."""
    if wire.startswith(b"\\"):
        name = wire.decode("latin-1").lower()
        if name == "\\recent":
            return None
        if name not in _CANONICAL:
            raise BadCommand(b"unknown system flag")
        return _CANONICAL[name]
    if len(wire) > KEYWORD or not _KEYWORD.fullmatch(wire):
        raise BadCommand(b"not a keyword")
    return wire.decode("ascii")


# flag-list = "(" [flag *(SP flag)] ")"
def parse_flag_list(cursor: Cursor) -> frozenset[str]:
    cursor.expect(b"(")
    flags = set()
    first = True
    while not cursor.take(b")"):
        if not first:
            cursor.space()
        first = False
        flag = parse_flag(cursor.flag())
        if flag is not None:
            flags.add(flag)
        if len(flags) > FLAGS:
            raise LimitReached
    return frozenset(flags)


def keywords(flags: Iterable[str]) -> set[str]:
    return {flag for flag in flags if not flag.startswith("\\")}


@lru_cache(maxsize=4096)  # a mailbox has few combinations, a FETCH of it thousands of messages
def render_flags(flags: frozenset[str]) -> bytes:
    """The flags between parentheses, system flags first."""
    system = [flag for flag in SYSTEM if flag in flags]
    return " ".join(system + sorted(keywords(flags))).encode("ascii")


@lru_cache(maxsize=256)
def render_recent(flags: frozenset[str]) -> bytes:
    return (render_flags(flags) + b" \\Recent").lstrip()
