"""The tokens of a command, read from left to right (RFC 3501 §9). No recursion, no guesses."""

from __future__ import annotations

import re

from .errors import BadCommand
from .sequence import SAVED, Ranges, parse_set

_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_ASTRING = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+")
_PATTERN = re.compile(rb"[^\x00-\x20\x7f-\xff(){\"\\]+")
_ITEM = re.compile(rb"[A-Za-z][A-Za-z0-9.]*")
_FLAG = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_NUMBER = re.compile(rb"[0-9]{1,19}")
_SET = re.compile(rb"[0-9*:,]+")
_QUOTED = re.compile(rb'"((?:[^\x00\r\n"\\]++|\\["\\])*+)"')
_ESCAPED = re.compile(rb"\\(.)")
_LITERAL = re.compile(rb"\{[0-9]+\+?\}\Z")


class Cursor:
    """A place in a command's parts (see reader.Whole). Every reader raises BadCommand."""

    def __init__(self, parts: list[bytes], at: int = 0):
        self._parts = parts
        self._part = 0
        self._text = parts[0]
        self._at = at

    def _match(self, pattern: re.Pattern[bytes], name: bytes) -> bytes:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise BadCommand(name + b" expected")
        self._at = match.end()
        return match[0]

    def peek(self) -> bytes:
        """The next octet; b"" at the end."""
        return self._text[self._at : self._at + 1]

    def at_end(self) -> bool:
        return self._at == len(self._text)

    def end(self) -> None:
        if not self.at_end():
            raise BadCommand(b"too many arguments")

    def take(self, token: bytes) -> bool:
        """Step over `token` (upper case) if it comes next, in any case."""
        end = self._at + len(token)
        if self._text[self._at : end].upper() != token:
            return False
        self._at = end
        return True

    def expect(self, token: bytes) -> None:
        if not self.take(token):
            raise BadCommand(b"space expected" if token == b" " else token + b" expected")

    def space(self) -> None:
        self.expect(b" ")

    def atom(self) -> bytes:
        return self._match(_ATOM, b"atom")

    def word(self) -> bytes:
        """An atom, upper case: the name of a command, key or item."""
        return self.atom().upper()

    def item(self) -> bytes:
        """A name of FETCH, upper case; ends at "[", "<" and "]", which an atom may hold."""
        return self._match(_ITEM, b"item").upper()

    def flag(self) -> bytes:
        return self._match(_FLAG, b"flag")

    def number(self, largest: int = 2**32 - 1) -> int:
        number = int(self._match(_NUMBER, b"number"))
        if number > largest:
            raise BadCommand(b"number too large")
        return number

    def nz_number(self) -> int:
        number = self.number()
        if not number:
            raise BadCommand(b"number expected, and not 0")
        return number

    def set(self) -> Ranges:
        if self.take(b"$"):
            return SAVED
        return parse_set(self._match(_SET, b"message set"))

    def astring(self) -> bytes:
        return self._string_or(_ASTRING)

    def list_pattern(self) -> bytes:
        return self._string_or(_PATTERN)

    def _string_or(self, pattern: re.Pattern[bytes]) -> bytes:
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self._match(pattern, b"string")

    def string(self) -> bytes:
        if self.peek() == b"{":
            return self.literal()
        quoted = self._match(_QUOTED, b"string")[1:-1]
        return _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted

    def nstring(self) -> bytes | None:
        return None if self.take(b"NIL") else self.string()

    def literal8(self) -> bytes:
        """A literal or a literal8 (RFC 3516): here any literal may hold any octet."""
        self.take(b"~")
        return self.literal()

    def literal(self) -> bytes:
        """The octets of a literal; NUL in them is the caller's business (RFC 3501 allows none)."""
        self._match(_LITERAL, b"literal")
        if self._part + 1 == len(self._parts):
            raise BadCommand(b"not a literal's size")
        octets = self._parts[self._part + 1]
        self._part += 2
        self._text = self._parts[self._part]
        self._at = 0
        return octets
