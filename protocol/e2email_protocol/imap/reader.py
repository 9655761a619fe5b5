"""Octets of the client → whole commands. Knows lines and literals, nothing of their meaning.

A command is a list of parts: text, literal, text, literal, ..., text. The last text is the
end of the command, without its CRLF; a bare LF ends a line, too. What breaks a bound is
reported once and read past in constant memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from . import limits
from .limits import InputLimits

_LITERAL = re.compile(rb"\{([0-9]{1,20})(\+?)\}\Z")
_TAIL = 32  # holds any "{n+}" that _LITERAL takes, and a CR
_APPEND = re.compile(rb"[^ ]+ (?:APPEND|(?:UID )?REPLACE) ", re.IGNORECASE)


class Fault(Enum):
    """What is wrong with a command that can't be read."""

    LINE = auto()
    LITERAL = auto()
    MESSAGE = auto()  # an APPEND above the limit: NO [TOOBIG]
    MESSAGES = auto()  # too many of them in one APPEND, or too big together: NO [LIMIT]
    BUDGET = auto()  # no memory for it now: NO [UNAVAILABLE]
    COMMAND = auto()


@dataclass(frozen=True, slots=True)
class Whole:
    parts: list[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Continue:
    """A synchronising literal may come now."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A command that was refused unread; `head` is its first octets, for the tag."""

    head: bytes = field(repr=False)
    fault: Fault
    fatal: bool


Input = Whole | Continue | Broken


class Budget(Protocol):
    """The memory that all connections of a program have for mails that are being appended."""

    def reserve(self, octets: int) -> bool:
        """False: there is no room now, and nothing was taken."""
        ...

    def release(self, octets: int) -> None: ...


class Reader:
    """feed() octets, then next() until it answers None. `limits` may change between commands.

    What a command's literals took of the `budget` is held until settle().
    """

    def __init__(
        self, bounds: InputLimits = limits.BEFORE_LOGIN, budget: Budget | None = None
    ) -> None:
        self.limits = bounds
        self._budget = budget
        self._held = 0
        self._buffer = bytearray()
        self._searched = 0  # no LF before this offset
        self._reset()

    def _reset(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._chunks: list[bytes] = []
        self._literal = 0  # octets of the current literal still to come
        self._in_literal = False
        self._refused = False  # reading past the rest of this command

    @property
    def backlog(self) -> int:
        """Octets received and not looked at yet."""
        return len(self._buffer)

    @property
    def unfinished(self) -> int | None:
        """Octets of a command whose literals are not all here; None between commands."""
        return self._size - self._literal if self._parts else None

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def clear(self) -> None:
        """Forget everything: what was sent in clear before TLS must not count (RFC 3501 §6.2.1)."""
        self._buffer.clear()
        self._searched = 0
        self._reset()
        self.settle()

    def take(self) -> bytes:
        """What was received and not looked at: it means something else from now on."""
        octets = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return octets

    def settle(self) -> None:
        """The last command is done with: its octets are let go."""
        held, self._held = self._held, 0
        if held and self._budget is not None:
            self._budget.release(held)

    def line(self) -> bytes | Broken | None:
        """One line as it is, for SASL responses and DONE; one too long ends the connection."""
        text = self._take_line()
        if self._too_long() if text is None else len(text) > self.limits.line:
            return Broken(b"", Fault.LINE, fatal=True)
        return text

    def _too_long(self) -> bool:
        """Is the unfinished line past its bound, even if a CR should end it?"""
        return len(self._buffer) > self.limits.line + 1

    def next(self) -> Input | None:
        while True:
            if self._in_literal:
                if not self._read_literal():
                    return None
                continue
            if self._refused and self._too_long():
                self._drop_line()
            text = self._take_line()
            if text is None and not self._too_long():
                return None
            if self._refused:
                self._read_past(text)
                continue
            event = self._read_line(text)
            if event is not None:
                return event

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return None
        text = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return text.removesuffix(b"\r")

    def _read_line(self, text: bytes | None) -> Input | None:
        if text is None or len(text) > self.limits.line:
            head = self._parts[0] if self._parts else text or bytes(self._buffer[:512])
            broken = self._refuse(Fault.LINE, head)
            if text is not None:
                self._read_past(text)
            return broken
        self._parts.append(text)
        self._size += len(text)
        match = _LITERAL.search(text, max(0, len(text) - _TAIL))
        if match is None:
            parts = self._parts
            self._reset()
            return Whole(parts)
        size, waits = int(match[1]), not match[2]
        fault = self._judge(size)
        if fault is None:
            self._size += size
            self._literal, self._in_literal = size, True
            return Continue() if waits else None
        broken = self._refuse(fault, self._parts[0])
        self._skip_literal(size, waits)
        if size > limits.DISCARD and not waits:
            return Broken(broken.head, fault, fatal=True)
        return broken

    def _judge(self, size: int) -> Fault | None:
        bounds = self.limits
        append = _APPEND.match(self._parts[0]) is not None
        if size > (bounds.message if append else bounds.literal):
            return Fault.MESSAGE if append and not bounds.fatal else Fault.LITERAL
        if not append or bounds.fatal:
            full = len(self._parts) // 2 >= bounds.literals
            return Fault.COMMAND if full or self._size + size > bounds.command else None
        full = len(self._parts) // 2 >= bounds.literals + limits.APPENDED
        if full or self._size + size > bounds.command + bounds.messages:
            return Fault.MESSAGES
        return None if self._reserve(size) else Fault.BUDGET

    def _reserve(self, size: int) -> bool:
        if self._budget is None:
            return True
        if not self._budget.reserve(size):
            return False
        self._held += size
        return True

    def _refuse(self, fault: Fault, head: bytes) -> Broken:
        self._reset()
        self.settle()
        self._refused = True
        fatal = self.limits.fatal and fault is not Fault.COMMAND
        return Broken(head[:512], fault, fatal)

    def _read_past(self, text: bytes | None) -> None:
        """A line of a refused command: done, unless a literal is announced at its end."""
        if text is None:
            return
        match = _LITERAL.search(text, max(0, len(text) - _TAIL))
        if match is None:
            self._reset()
        else:
            self._skip_literal(int(match[1]), waits=not match[2])

    def _skip_literal(self, size: int, waits: bool) -> None:
        if waits:  # no continuation was sent, so nothing of it comes (RFC 3501 §7.5)
            self._reset()
        else:
            self._literal, self._in_literal = size, True

    def _drop_line(self) -> None:
        """Keep only the end of an endless line: it may announce a literal."""
        end = self._buffer.find(b"\n", self._searched)
        surplus = (len(self._buffer) if end < 0 else end) - _TAIL
        if surplus > 0:
            del self._buffer[:surplus]
            self._searched = max(0, self._searched - surplus)

    def _read_literal(self) -> bool:
        """Move what came; in large pieces, or a peer that sends octets costs an object each."""
        if len(self._buffer) < min(self._literal, limits.CHUNK):
            return False
        chunk = bytes(self._buffer[: self._literal])
        del self._buffer[: len(chunk)]
        self._searched = 0
        self._literal -= len(chunk)
        if not self._refused:
            self._chunks.append(chunk)
        if self._literal:
            return False
        if not self._refused:
            self._parts.append(b"".join(self._chunks))
            self._chunks = []
        self._in_literal = False
        return True
