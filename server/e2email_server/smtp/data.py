"""The mail data of DATA (RFC 5321 §4.1.1.4, §4.5.2): where it ends, and its dots.

Only CRLF.CRLF ends it. Bare CR, bare LF and NUL are content; lines may have any length.
The search runs over whole chunks: a loop over lines costs four to five times as much.
"""

import re

_END = b"\r\n.\r\n"
_DOT = _END[:3]  # what the end and every stuffed line begin with
_STUFFED = re.compile(re.escape(_DOT))  # finds it in half the time that find() takes
_CARRY = len(_END) - 1  # so much of the end can lie in the chunk before


class MailData:
    """Takes chunks until the end is seen. Knows no socket.

    `limit` is the largest message in octets, CRLFs counted, stuffed dots not. Of a longer one
    nothing is kept, but it is read to its end, so that the peer sees the answer.
    """

    __slots__ = ("_buffer", "_dot", "_limit", "_most", "done", "received", "too_large")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._most = limit + limit // 3 + _CARRY  # ".\r\n" is sent as "..\r\n": a third more
        # The CRLF of the DATA command itself: ".CRLF" alone is an empty message, and a first
        # line is unstuffed like every other.
        self._buffer = bytearray(b"\r\n")
        self._dot = -1  # where the first line begins that begins with a dot
        self.received = 0
        self.too_large = False
        self.done = False

    def __repr__(self) -> str:
        return f"MailData(received={self.received}, done={self.done})"

    def feed(self, chunk: bytes | bytearray) -> bytes:
        """Take a chunk; returns what lies behind the end of the data, b"" before that."""
        buffer = self._buffer
        start = max(0, len(buffer) - _CARRY)
        buffer += chunk
        self.received += len(chunk)
        if self._dot < 0:
            found = _STUFFED.search(buffer, start)
            self._dot = start = found.start() if found else -1
        end = buffer.find(_END, start) if self._dot >= 0 else -1
        if end < 0:
            if len(buffer) > self._most:
                self.drop()
            return b""
        self.done = True
        rest = bytes(buffer[end + len(_END) :])
        self.received -= len(rest)
        del buffer[end + 2 :]
        return rest

    def drop(self) -> None:
        """Keep nothing but what the search for the end needs."""
        self.too_large = True
        del self._buffer[:-_CARRY]

    def content(self) -> bytes | None:
        """The message, dots unstuffed; None where it was larger than the limit. Once only."""
        buffer, self._buffer = self._buffer, bytearray()
        if self._dot < len(buffer) - 2:  # not the end's own
            buffer = buffer.replace(_DOT, b"\r\n")
        if self.too_large or len(buffer) - 2 > self._limit:
            return None
        return bytes(memoryview(buffer)[2:])
