"""From octets to what lists, IMAP and search need of them."""

from __future__ import annotations

from dataclasses import dataclass

from e2email_protocol.mime import text as mime_text
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.header import fields
from e2email_protocol.mime.scan import Part, scan
from e2email_protocol.mime.structure import structure
from e2email_protocol.mime.words import decode_words

# Text kept for search: a book of a thousand pages; the octets themselves are kept whole.
MAX_TEXT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class People:
    """The header for people: decoded, not yet made safe for a terminal."""

    subject: str
    sender: str
    recipients: str
    date: int  # seconds since 1970, 0 where there is none to read

    def __repr__(self) -> str:
        return "People(…)"


@dataclass(frozen=True, slots=True)
class Digest:
    """What a mail's octets say of themselves."""

    size: int
    header: bytes
    envelope: bytes
    structure: bytes
    preview: str
    attachments: int
    people: People
    text: str

    def __repr__(self) -> str:
        return f"Digest({self.size} octets)"


def people(header: bytes) -> People:
    """Of a block of header fields."""
    found: dict[bytes, bytes] = {}
    for one in fields(header):
        found.setdefault(one.name.lower(), one.value)
    date = parse_date(found.get(b"date", b""))
    recipients = (found.get(name) for name in (b"to", b"cc"))
    return People(
        subject=decode_words(found.get(b"subject", b"")),
        sender=decode_words(found.get(b"from", b"")),
        recipients=", ".join(decode_words(value) for value in recipients if value),
        date=date[0] if date else 0,
    )


def digest(octets: bytes) -> Digest:
    """Never fails for what a mail contains; time is linear in its size."""
    root = scan(octets)
    header = octets[: root.body]
    return Digest(
        size=len(octets),
        header=header,
        envelope=envelope(octets, 0, root.body),
        structure=structure(octets, root),
        preview=mime_text.preview(octets, root),
        attachments=len(mime_text.attachments(root)),
        people=people(header),
        text=_text(octets, root),
    )


def _text(octets: bytes, root: Part) -> str:
    parts, size = [], 0
    for part in mime_text.search_text(octets, root, header=False):
        parts.append(part[: MAX_TEXT - size])
        size += len(parts[-1])
        if size >= MAX_TEXT:
            break
    return "\n".join(parts)
