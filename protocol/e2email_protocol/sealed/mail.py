"""A mail as composing and opening look at it: scanned once, its header fields listed."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from e2email_protocol.mime.header import Field, fields
from e2email_protocol.mime.params import parameter
from e2email_protocol.mime.scan import Part, scan

_BLANK = re.compile(rb"\r?\n")


class Mail:
    """Octets, part tree and header fields. `trace` is the length of our own fields in front."""

    def __init__(self, octets: bytes, trace: int = 0) -> None:
        self.octets = octets
        self.trace = trace
        self.root: Part = scan(octets)
        self.fields: tuple[Named, ...] = tuple(
            Named(field.name.lower(), field) for field in fields(octets, 0, self.root.body)
        )

    def __repr__(self) -> str:
        return f"<Mail {len(self.octets)} octets, {len(self.fields)} fields>"

    def named(self, name: bytes) -> Iterator[Field]:
        """The fields of this lower-case name."""
        return (f.field for f in self.fields if f.name == name)

    def first(self, name: bytes) -> Field | None:
        """The first field of this lower-case name."""
        return next(self.named(name), None)

    def raw(self, field: Field) -> bytes:
        """A field as it stands, ending in its line end; CRLF is added where the mail was cut."""
        octets = self.octets[field.start : field.end]
        return octets if octets.endswith(b"\n") else octets + b"\r\n"

    @cached_property
    def header_end(self) -> int:
        """Where the last field ends: the empty line stands here in a well-formed mail."""
        return self.fields[-1].field.end if self.fields else 0

    @cached_property
    def whole_header(self) -> bool:
        """Whether every octet of the header belongs to a listed field or the empty line.

        False where the mail's first line continued our own Received field.
        """
        starts_clean = self.octets[self.trace : self.trace + 1] not in (b" ", b"\t")
        blank = self.octets[self.header_end : self.root.body]
        return starts_clean and (not blank or _BLANK.fullmatch(blank) is not None)

    def is_multipart(self, subtype: str) -> bool:
        """Whether the root is a readable multipart of this subtype."""
        return self.root.is_multipart and self.root.media == f"multipart/{subtype}"

    def protocol(self) -> bytes:
        """The root's protocol parameter in lower case (RFC 1847 §2)."""
        return (parameter(self.root.params, b"protocol") or b"").lower()


class Named(NamedTuple):
    """A field with its name in lower case."""

    name: bytes
    field: Field
