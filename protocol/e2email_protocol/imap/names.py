"""Mailbox names: modified UTF-7 (RFC 3501 §5.1.3), INBOX, and the wildcards of LIST."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable

from .errors import Cannot
from .limits import LEVELS, NAME
from .session import DELIMITER

_SHIFTED = re.compile(r"&([^-&]*)-")
_UNPRINTABLE = re.compile(r"([^\x20-\x7e]+)|&")


class BadName(Cannot):
    text = b"that is not a mailbox name"


def encode_name(name: str) -> bytes:
    """A mailbox name as modified UTF-7."""
    return _UNPRINTABLE.sub(_shift, name).encode("ascii")


def _shift(match: re.Match[str]) -> str:
    run = match[1]
    if run is None:
        return "&-"
    packed = base64.b64encode(run.encode("utf-16-be", "surrogatepass"))
    return "&" + packed.rstrip(b"=").replace(b"/", b",").decode() + "-"


def decode_name(wire: bytes, utf8: bool = False) -> str:
    """The name a client sent, INBOX folded; BadName unless it is well formed.

    One name has one spelling: what would be encoded otherwise than it was sent is refused.
    `utf8`: UTF8=ACCEPT is enabled, and "&" is an "&" (RFC 6855 §3).
    """
    if len(wire) > NAME:
        raise BadName
    if utf8:
        try:
            return fold_inbox(wire.decode())
        except UnicodeDecodeError as error:
            raise BadName from error
    try:
        name = _SHIFTED.sub(_unshift, wire.decode("ascii"))
        canonical = encode_name(name) == wire
    except (ValueError, binascii.Error) as error:
        raise BadName from error
    if not canonical:
        raise BadName
    return fold_inbox(name)


def _unshift(match: re.Match[str]) -> str:
    packed = match[1].replace(",", "/")
    if not packed:
        return "&"
    octets = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    return octets.decode("utf-16-be")


def fold_inbox(name: str) -> str:
    """INBOX is one mailbox in every spelling; so is the first level of what is below it."""
    head, delimiter, rest = name.partition(DELIMITER)
    return "INBOX" + delimiter + rest if head.upper() == "INBOX" else name


def new_name(wire: bytes, utf8: bool = False) -> str:
    """A name somebody wants to create: stricter than one that only has to be found."""
    name = decode_name(wire, utf8).removesuffix(DELIMITER)
    levels = name.split(DELIMITER)
    if (
        (utf8 and not unicodedata.is_normalized("NFC", name))  # RFC 6855 §3, RFC 9051 §5.1
        or not all(levels)
        or len(levels) > LEVELS
        or any(c in "*%" or not c.isprintable() for c in name)
    ):
        raise BadName
    return name


def quote_name(name: str, utf8: bool = False) -> bytes:
    if utf8 and name.isprintable():  # nothing that could end the line
        return b'"' + name.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    return b'"' + encode_name(name).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def name_matcher(pattern: str) -> Callable[[str], bool]:
    """Does a name match a LIST pattern? "*" is anything, "%" anything without a delimiter.

    All places of the pattern where the match may stand are one int, so that a name costs
    its length and nothing backtracks, whatever the pattern.
    """
    folded = _bits(fold_inbox(pattern))
    upper = _bits(pattern.upper())
    return lambda name: folded(name) or (name == "INBOX" and upper(name))


def _bits(pattern: str) -> Callable[[str], bool]:
    pattern = re.sub(r"[*%]*\*[*%]*", "*", re.sub(r"%+", "%", pattern))
    literal: dict[str, int] = {}
    for at, char in enumerate(pattern):
        literal[char] = literal.get(char, 0) | 1 << at
    star, percent = literal.pop("*", 0), literal.pop("%", 0)
    wild, end = star | percent, 1 << len(pattern)

    def matches(name: str) -> bool:
        places = 1 | (1 & wild) << 1
        for char in name:
            stay = star if char == DELIMITER else wild
            places = (places & literal.get(char, 0)) << 1 | places & stay
            places |= (places & wild) << 1
        return bool(places & end)

    return matches
