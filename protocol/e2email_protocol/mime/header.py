"""Header fields as spans of the octets they stand in (RFC 5322 section 2.2); nothing is rebuilt."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# No real header comes near; what ends beyond is not looked at, so that none costs more than this.
MAX_HEADER = 256 * 1024

# a name up to the first colon (lenient: a line without one is a nameless field), a value that
# goes on over lines that begin with white space
_FIELD = re.compile(rb"([^\n:]*)(:?)([^\n]*(?:\n[ \t][^\n]*)*)\n?")
_LINE_END = re.compile(rb"\r?\n")


class Field(NamedTuple):
    """One field: `name` as written without trailing white space (b"" where there is no colon),
    `value` everything after the colon without the final line end, folds still in it,
    `start` and `end` the span of the whole field including its final line end. A tuple, for a
    mailbox has hundreds of thousands."""

    name: bytes
    value: bytes
    start: int
    end: int

    def __repr__(self) -> str:
        return f"Field({self.start}:{self.end})"


def fields(octets: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of a header that lies at [start, end), in order; stops at a blank line and at
    the first field that ends beyond MAX_HEADER."""
    end = len(octets) if end is None else end
    last = min(end, start + MAX_HEADER)
    match = _FIELD.match(octets, start, end)
    while match is not None and match.start() < end and match.end() <= last:
        name, colon, value = match.groups()
        if not colon and not name.rstrip(b"\r"):
            return
        yield Field(
            name.rstrip(b" \t\r") if colon else b"",
            value.removesuffix(b"\r"),
            match.start(),
            match.end(),
        )
        match = _FIELD.match(octets, match.end(), end)


def unfold(value: bytes) -> bytes:
    """A field value on one line, outer white space stripped (RFC 5322 section 2.2.3). A bare CR,
    which would be a line end to many a reader, becomes a space."""
    if b"\n" in value:
        value = _LINE_END.sub(b"", value)
    return value.replace(b"\r", b" ").strip(b" \t")


def first(octets: bytes, name: bytes, start: int = 0, end: int | None = None) -> bytes | None:
    """The unfolded value of the first field of this name (any case), or None."""
    name = name.lower()
    for field in fields(octets, start, end):
        if field.name.lower() == name:
            return unfold(field.value)
    return None
