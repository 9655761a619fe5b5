"""A mail as a multi-line response (RFC 1939 §3): pieces in, pieces out, nothing kept.

Mail may hold bare LF and bare CR, and clients differ in what ends a line for them: for Python's
poplib any LF does, and a CR at the start of such a line is dropped. A dot is therefore doubled
after every CR and every LF: no client can take a part of the mail for its end. The price: where a
dot follows a bare CR or LF, those to whom only CRLF ends a line read it twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from .limits import CHUNK


class Stuffer:
    """feed() the pieces, then end()."""

    def __init__(self) -> None:
        self._last = b"\r\n"  # a reply begins on a line of its own

    def feed(self, piece: bytes) -> bytes:
        if not piece:
            return b""
        first = b"." if piece[0] == ord(".") and self._last[-1:] in (b"\r", b"\n") else b""
        self._last = (self._last + piece[-2:])[-2:]
        return first + piece.replace(b"\n.", b"\n..").replace(b"\r.", b"\r..")

    def end(self) -> bytes:
        """The last line, on a line of its own."""
        return b".\r\n" if self._last == b"\r\n" else b"\r\n.\r\n"


class Top:
    """The header, the empty line, and the first `lines` lines of the body; LF ends a line."""

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._in_header = True
        self._line = b""  # the first octets of the unfinished line of the header
        self.done = False

    def feed(self, piece: bytes) -> bytes:
        at = 0
        while not self.done and (end := piece.find(b"\n", at)) >= 0:
            if self._in_header:
                begun = self._line + piece[at : min(end, at + 2)]
                self._line = b""
                self._in_header = begun not in (b"", b"\r")
            else:
                self._left -= 1
            at = end + 1
            self.done = not self._in_header and self._left == 0
        if self.done:
            return piece[:at]
        self._line = (self._line + piece[at : at + 2])[:2]
        return piece


async def cut(pieces: AsyncGenerator[bytes, None], top: Top | None) -> AsyncGenerator[bytes, None]:
    """The same octets in pieces of at most CHUNK; only the top of them where one is given."""
    async with aclosing(pieces):
        async for piece in pieces:
            for start in range(0, len(piece), CHUNK):
                part = piece[start : start + CHUNK]
                yield part if top is None else top.feed(part)
                if top is not None and top.done:
                    return
