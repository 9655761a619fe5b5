"""How a command begins: its tag and its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .commands import PARSE, Parse
from .errors import BadCommand
from .limits import TAG, VERB
from .state import ALLOWED, State

_TAG_CHARS = rb"([^\x00-\x20\x7f-\xff(){%%*\"\\+]{1,%d}) " % TAG
_VERB_CHARS = rb"([A-Za-z]{1,%d})" % VERB
_TAG = re.compile(_TAG_CHARS)
_HEAD = re.compile(_TAG_CHARS + _VERB_CHARS)
_UID = re.compile(b" " + _VERB_CHARS)


@dataclass(frozen=True, slots=True)
class Head:
    tag: bytes
    verb: bytes  # upper case
    end: int  # where the arguments begin


def tag_of(line: bytes) -> bytes | None:
    """None: it has none, or not one that can be said again."""
    match = _TAG.match(line)
    return None if match is None else match[1]


def parse_head(line: bytes) -> Head | None:
    match = _HEAD.match(line)
    return None if match is None else Head(match[1], match[2].upper(), match.end())


def verb_of(head: Head, line: bytes, state: State) -> tuple[bytes, int, Parse]:
    """The command's whole name, where its arguments begin, what parses them. BadCommand."""
    verb, at = head.verb, head.end
    if verb == b"UID":
        second = _UID.match(line, at)
        if second is None:
            raise BadCommand(b"command expected")
        verb, at = b"UID " + second[1].upper(), second.end()
    if verb not in PARSE:
        raise BadCommand(b"unknown command")
    if verb not in ALLOWED[state]:
        raise BadCommand(b"not now: " + state.value.encode())
    return verb, at, PARSE[verb]
