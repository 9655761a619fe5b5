"""IMAP body sections (RFC 9051 section 6.4.5.1) as slices of a message, and decoded parts.

Nothing is parsed again but a header of which fields are chosen.
"""

import binascii
from collections.abc import Collection, Sequence
from enum import StrEnum

from .header import fields
from .part import Part
from .words import from_base64


class Kind(StrEnum):
    """What of a part a section names; the body itself has no name."""

    HEADER = "HEADER"
    TEXT = "TEXT"
    MIME = "MIME"
    HEADER_FIELDS = "HEADER.FIELDS"
    HEADER_FIELDS_NOT = "HEADER.FIELDS.NOT"


class UnknownEncoding(ValueError):
    """The part's Content-Transfer-Encoding is none that this program decodes (RFC 3516
    UNKNOWN-CTE)."""


def find(root: Part, path: Sequence[int]) -> Part | None:
    """The part that a section number names, None where there is none; () is the message."""
    part, message = root, True
    for number in path:
        if not message and part.is_message:
            part, message = part.children[0], True
        if part.is_multipart:
            if not 1 <= number <= len(part.children):
                return None
            part = part.children[number - 1]
        elif not message or number != 1:
            return None
        message = False
    return part


def section(
    octets: bytes,
    root: Part,
    path: Sequence[int] = (),
    kind: Kind | None = None,
    names: Collection[bytes] = (),
) -> memoryview | None:
    """The octets of a section, without a copy where it is a slice; None (NIL) where the message
    has no such section. `names` are the fields of HEADER.FIELDS(.NOT), in any case."""
    part = find(root, path)
    if part is None or (kind is Kind.MIME and not path):
        return None
    whole = memoryview(octets)
    if kind is Kind.MIME:
        return whole[part.start : part.body]
    if kind is None:
        return whole[part.body if path else part.start : part.end]
    return _of_message(octets, part if not path else _message(part), kind, names)


def _message(part: Part) -> Part | None:
    return part.children[0] if part.is_message else None


def _of_message(
    octets: bytes, part: Part | None, kind: Kind, names: Collection[bytes]
) -> memoryview | None:
    if part is None:
        return None
    if kind is Kind.HEADER:
        return memoryview(octets)[part.start : part.body]
    if kind is Kind.TEXT:
        return memoryview(octets)[part.body : part.end]
    wanted = frozenset(name.lower() for name in names)
    header = octets[part.start : part.body]
    return memoryview(chosen(header, wanted, keep=kind is Kind.HEADER_FIELDS))


def chosen(header: bytes, names: frozenset[bytes], *, keep: bool) -> bytes:
    """The fields whose name is among these in lower case (or is not), as they are; a blank line."""
    found = [
        header[field.start : field.end]
        for field in fields(header)
        if (field.name.lower() in names) is keep
    ]
    return b"".join(found) + b"\r\n"


def decoded(octets: bytes, part: Part, limit: int | None = None) -> bytes:
    """The body of a part (its first `limit` octets) with the transfer encoding undone, leniently.

    Raises UnknownEncoding. Multiparts and messages are as they are: they have no encoding
    (RFC 2045 section 6.4).
    """
    body = octets[part.body : part.end if limit is None else min(part.end, part.body + limit)]
    encoding = (part.encoding or b"7bit").lower()
    if part.children or encoding in (b"7bit", b"8bit", b"binary"):
        return body
    if encoding == b"base64":
        return from_base64(body)
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(body)
    raise UnknownEncoding
