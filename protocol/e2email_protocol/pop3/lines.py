"""Octets of the client → lines. A bare LF ends a line, too."""

from __future__ import annotations

from . import limits


class LineTooLong(Exception):
    """Nothing after it can be trusted to be a command."""


class Lines:
    """feed() octets, then next() until it answers None."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # no LF before this offset

    @property
    def backlog(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def clear(self) -> None:
        """Forget what was sent in clear: before TLS anybody may have written it (RFC 2595 §4)."""
        self._buffer.clear()
        self._searched = 0

    def next(self) -> bytes | None:
        """One line without its end. LineTooLong, also while its end has not come."""
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > limits.LINE + 1:  # even if a CR should end it
                raise LineTooLong
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        self._searched = 0
        if len(line) > limits.LINE:
            raise LineTooLong
        return line
