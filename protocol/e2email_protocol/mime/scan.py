"""The structure of a message: one linear pass, no recursion, nothing rebuilt.

A message is octets; a Part is three offsets into them and what its Content-* fields say. Limits
never refuse a message: what lies beyond one is a part that is not looked into (`opaque`).
Broken structure is read as Dovecot 2.3 reads it; docs/specs/mime.md has the rules.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .header import MAX_HEADER
from .params import Params, content_type, parameter
from .part import Part

__all__ = ["DEFAULT_LIMITS", "Limits", "Part", "scan"]

# RFC 2046 allows 70; what follows is not compared, as in Dovecot.
MAX_BOUNDARY = 80


@dataclass(frozen=True, slots=True)
class Limits:
    """How much structure is looked at. Each bounds time and memory for a hostile message; real
    mail stays far below (the largest newsletter digests have some 1,000 parts, 10 levels)."""

    parts: int = 10_000
    nesting: int = 100
    boundary_lines: int = 200_000
    header: int = MAX_HEADER
    headers: int = 8 * MAX_HEADER  # of all parts: reading one costs up to 1 µs an octet


DEFAULT_LIMITS = Limits()


_DASHES = re.compile(rb"\n--")  # in half the time that find() takes
_BLANK_LINE = re.compile(rb"\n\r?\n")
_NAMES = (
    rb"(?i:content-(type|transfer-encoding|disposition|id|description|language|location|md5)"
    rb"|mime-version)[ \t]*:((?:[^\n]*)(?:\n[ \t][^\n]*)*)"
)
# With its literal first octet the second is found at the speed of memchr.
_FIRST_FIELD = re.compile(_NAMES)
_LATER_FIELD = re.compile(rb"\n" + _NAMES)


@dataclass(slots=True, repr=False)
class _Open:
    """A part whose end is not known yet."""

    start: int
    body: int
    lines: int
    type: bytes
    subtype: bytes | None
    media: str
    params: Params
    content: Mapping[str, bytes]
    opaque: bool = False
    children: list[Part] = field(default_factory=list)


def scan(octets: bytes, limits: Limits = DEFAULT_LIMITS) -> Part:
    """The part tree of a message, whatever its octets are; never raises for its content."""
    return _Scanner(octets, limits).run()


class _Scanner:
    """All searches (`_blank`, `_dash`, `_count_lines`) move forward only: linear time."""

    __slots__ = (
        "blank", "boundaries", "dash", "dashes", "headers", "limits", "line_count", "lined",
        "octets", "parts", "prefixes", "stack",
    )  # fmt: skip

    def __init__(self, octets: bytes, limits: Limits) -> None:
        self.octets = octets
        self.limits = limits
        self.stack: list[_Open] = []
        self.boundaries: list[tuple[bytes, int]] = []  # (`--boundary`, depth of its part)
        self.prefixes: tuple[bytes, ...] = ()
        self.parts = 0
        self.headers = 0
        self.blank = (-1, -1)
        self.dash = -1
        self.dashes = 0
        self.line_count = 0
        self.lined = 0

    def run(self) -> Part:
        octets, size = self.octets, len(self.octets)
        position: int | None = 0
        while position is not None:
            floor, line = self._open(position)
            part = self.stack[-1]
            if self._is_full():
                part.opaque = True
                break
            if part.media == "message/rfc822" and not part.opaque:
                if line is None:
                    position = part.body
                    continue
                self._push(self._described(part.body, part.body))  # its message is empty
            position = self._next_part(floor, line)
        if octets:
            self._count_lines(size)
        while len(self.stack) > 1:
            self._close(size)
        return self._finish(self.stack.pop(), size)

    def _next_part(self, floor: int, line: int | None) -> int | None:
        """Where the next part begins, after closing those that end before it."""
        while True:
            if line is None:
                line = self._boundary_line(floor, len(self.octets))
            if line is None:
                return None
            boundary, depth = self._matching(line)
            end = max(self._before_line(line), floor)
            self._close_to(depth, end)
            after = line + len(boundary)
            closing = self.octets.startswith(b"--", after)
            self._forget_boundaries(depth, closing)
            newline = self.octets.find(b"\n", after)
            if newline < 0:
                return None
            if not closing:
                return newline + 1
            floor, line = newline + 1, None

    def _before_line(self, line: int) -> int:
        """The start of the line end before a boundary line, which belongs to the boundary."""
        return line - 2 if self.octets[line - 2 : line - 1] == b"\r" else line - 1

    def _matching(self, line: int) -> tuple[bytes, int]:
        """The longest open boundary with which the line begins, the innermost of equals."""
        best = (b"", 0)
        for boundary, depth in self.boundaries:
            if len(boundary) >= len(best[0]) and self.octets.startswith(boundary, line):
                best = (boundary, depth)
        return best

    def _boundary_line(self, floor: int, limit: int) -> int | None:
        """The first line in [floor, limit) that begins with an open boundary; floor starts a
        line. Each line that begins with `--` is looked at once per search from before it."""
        if not self.prefixes:
            return None
        line = floor
        while True:
            if self.dash < line:
                found = _DASHES.search(self.octets, max(line - 1, 0))
                self.dash = found.start() + 1 if found else len(self.octets)
                self.dashes += 1
            if self.dash >= limit:
                return None
            if self.dashes > self.limits.boundary_lines:
                self.stack[-1].opaque = True
                return None
            if self.octets.startswith(self.prefixes, self.dash):
                return self.dash
            line = self.dash + 1

    def _open(self, start: int) -> tuple[int, int | None]:
        """Read the header at `start` and push its part. Returns (where its body begins, the
        boundary line that cut its header short or None)."""
        head_end, body = self._header_end(start)
        cut = self._boundary_line(start, head_end)
        if cut is not None:
            body = max(self._before_line(cut), start)
        part = self._described(start, body)
        self._push(part)
        container = part.media == "message/rfc822" or part.media.startswith("multipart/")
        if body - start > self.limits.header or (
            container and len(self.stack) >= self.limits.nesting
        ):
            part.opaque = True
        if cut is None and not part.opaque and part.media.startswith("multipart/"):
            boundary = parameter(part.params, b"boundary")
            if boundary is not None:
                self._remember_boundary(b"--" + boundary[:MAX_BOUNDARY])
        return (body, None) if cut is None else (start, cut)

    def _push(self, part: _Open) -> None:
        part.lines = self._count_lines(part.body)
        self.stack.append(part)
        self.parts += 1
        self.headers += min(part.body - part.start, self.limits.header)

    def _is_full(self) -> bool:
        """Whether the part just opened is the last that is looked at."""
        return self.parts >= self.limits.parts or self.headers > self.limits.headers

    def _header_end(self, start: int) -> tuple[int, int]:
        """(start of the blank line, start of the body); both at the end where there is none."""
        if start == 0:
            for blank in (b"\r\n", b"\n"):
                if self.octets.startswith(blank, start):
                    return start, start + len(blank)
        if self.blank[0] < start:
            match = _BLANK_LINE.search(self.octets, max(start - 1, 0))
            size = len(self.octets)
            self.blank = (match.start() + 1, match.end()) if match else (size, size)
        return self.blank

    def _described(self, start: int, body: int) -> _Open:
        """A part with the type its header declares (RFC 2045 section 5.2 where it does not)."""
        parent = self.stack[-1] if self.stack else None
        limit = min(body, start + self.limits.header)
        content, is_mime = self._content(start, limit)
        if not is_mime and (parent is None or not parent.media.startswith("multipart/")):
            content = {}
        value = content.get("type")
        kind, subtype, params = (b"", None, ()) if value is None else content_type(value)
        if not kind and parent is not None and parent.media == "multipart/digest":
            kind, subtype = b"message", b"rfc822"
        elif not kind:
            kind, subtype = b"text", b"plain"
        media = (kind + b"/" + (subtype or b"")).decode("latin-1").lower()
        return _Open(start, body, 0, kind, subtype, media, params, content)

    def _content(self, start: int, limit: int) -> tuple[dict[str, bytes], bool]:
        """First raw value of each Content-* field, and whether this header speaks of MIME."""
        content: dict[str, bytes] = {}
        is_mime = False
        match = _FIRST_FIELD.match(self.octets, start, limit)
        matches = [match] if match else []
        matches.extend(_LATER_FIELD.finditer(self.octets, start, limit))
        for match in matches:
            name, value = match.groups()
            if name is None:
                is_mime = True
            else:
                content.setdefault(name.decode().lower(), value)
        return content, is_mime or "type" in content

    def _remember_boundary(self, boundary: bytes) -> None:
        self.boundaries.append((boundary, len(self.stack)))
        self.prefixes = tuple(boundary for boundary, _ in self.boundaries)

    def _forget_boundaries(self, depth: int, closing: bool) -> None:
        """Drop the boundaries of parts that ended, and this part's own after its closing line."""
        while self.boundaries and self.boundaries[-1][1] >= depth + (not closing):
            self.boundaries.pop()
        self.prefixes = tuple(boundary for boundary, _ in self.boundaries)

    def _count_lines(self, position: int) -> int:
        """Line ends before a position; positions must not decrease."""
        if position > self.lined:
            self.line_count += self.octets.count(b"\n", self.lined, position)
            self.lined = position
        return self.line_count

    def _close_to(self, depth: int, end: int) -> None:
        self._count_lines(end)
        while len(self.stack) > depth:
            self._close(end)

    def _close(self, end: int) -> None:
        part = self.stack.pop()
        self.stack[-1].children.append(self._finish(part, end))

    def _finish(self, part: _Open, end: int) -> Part:
        return Part(
            part.start,
            part.body,
            end,
            self.line_count - part.lines,
            part.type,
            part.subtype,
            part.media,
            part.params,
            part.content,
            tuple(part.children),
            part.opaque,
        )
