"""The client's half: octets of a server → typed responses. No recursion, bounded, linear.

    reader.feed(octets)
    for response in reader: ...        # ends where more octets are needed

What a server sends may be anything: each bound ends in BadResponse, after which the
connection is of no use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .response_parse import parse
from .response_types import BadResponse, Response

_LITERAL = re.compile(rb"~?\{([0-9]{1,20})\+?\}\Z")
_TAIL = 32  # holds any literal's announcement
# Text for humans may end like a literal; in these lines it is none (RFC 3501 §7)
_NO_LITERALS = re.compile(rb"(?!\* )|\* (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)
_PIECE = 64 * 1024  # literals are gathered in pieces of at least this size


@dataclass(frozen=True, slots=True)
class Caps:
    """What one response may cost."""

    line: int = 16 * 1024 * 1024  # SEARCH of a million messages is one line of 8 MB
    response: int = 160 * 1024 * 1024  # two bodies of 50 MiB in base64


class ResponseReader:
    """Feed it, iterate it. After BadResponse it says nothing more."""

    def __init__(self, caps: Caps | None = None):
        self._caps = caps or Caps()
        self._buffer = bytearray()
        self._start = 0  # everything before is read
        self._searched = 0  # no LF between start and here
        self._parts: list[bytes] = []
        self._size = 0
        self._chunks: list[bytes] = []
        self._literal = 0
        self._in_literal = False

    @property
    def between_responses(self) -> bool:
        """Nothing is left over: a connection that ends here ends cleanly."""
        return len(self._buffer) == self._start and not self._parts

    def feed(self, data: bytes) -> None:
        if self._start:
            del self._buffer[: self._start]
            self._searched = max(0, self._searched - self._start)
            self._start = 0
        self._buffer += data

    def __iter__(self) -> Iterator[Response]:
        while (parts := self._whole()) is not None:
            yield parse(parts)

    def _whole(self) -> list[bytes] | None:
        """The parts of one response: text, literal, text, ..."""
        while True:
            if self._in_literal and not self._read_literal():
                return None
            text = self._take_line()
            if text is None:
                return None
            self._parts.append(text)
            size = self._announced(text)
            if size is None:
                parts, self._parts, self._size = self._parts, [], 0
                return parts
            self._size += len(text) + size
            if self._size > self._caps.response:
                raise BadResponse("a response above the limit")
            self._literal, self._in_literal = size, True

    def _announced(self, text: bytes) -> int | None:
        if not text.endswith(b"}"):
            return None
        match = _LITERAL.search(text, max(0, len(text) - _TAIL))
        if match is None or (len(self._parts) == 1 and _NO_LITERALS.match(text)):
            return None
        return int(match[1])

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", max(self._searched, self._start))
        length = (len(self._buffer) if end < 0 else end) - self._start
        if length > self._caps.line or self._size + length > self._caps.response:
            raise BadResponse("a line above the limit")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        stop = end - 1 if end > self._start and self._buffer[end - 1] == 13 else end
        text = bytes(self._buffer[self._start : stop])
        self._start = self._searched = end + 1
        return text

    def _read_literal(self) -> bool:
        here = len(self._buffer) - self._start
        if here < min(self._literal, _PIECE):
            return False
        stop = self._start + min(here, self._literal)
        with memoryview(self._buffer) as view:
            chunk = bytes(view[self._start : stop])
        self._start = self._searched = stop
        self._literal -= len(chunk)
        self._chunks.append(chunk)
        if self._literal:
            return False
        self._parts.append(b"".join(self._chunks))
        self._chunks = []
        self._in_literal = False
        return True
