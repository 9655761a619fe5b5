"""From octets to what lists, IMAP and search need of them.

What computes (`heading`, `digest`) runs in the child process of `parsing`, which has no key; the
rest are shapes and how they are written to a pipe.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from e2email_client.local.fold import decoded, fold
from e2email_protocol.mime import text as mime_text
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.header import fields
from e2email_protocol.mime.quote import is_list
from e2email_protocol.mime.scan import Part
from e2email_protocol.mime.text import encrypted_body
from e2email_protocol.mime.words import decode_words
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.summary import Summary, summarise

# Text kept for search: a book of a thousand pages; the octets themselves are kept whole.
MAX_TEXT = 4 * 1024 * 1024
# Octets of one part that its text is made of.
MAX_PART = 4 * MAX_TEXT
_MOST = 1 << 53  # above any size and date, and what the database can hold


@dataclass(frozen=True, slots=True)
class Heading:
    """A block of header fields: for IMAP, and for people (decoded, not yet made safe for a
    terminal)."""

    envelope: bytes
    subject: str
    sender: str
    recipients: str
    date: int  # seconds since 1970, 0 where there is none to read

    def __repr__(self) -> str:
        return "Heading(…)"


@dataclass(frozen=True, slots=True)
class Digest:
    """What a mail's octets say of themselves."""

    summary: Summary
    heading: Heading
    header_text: str  # decoded and folded for search, as is `text`
    text: str
    encrypted: tuple[int, int] | None  # of the message that is all of the mail

    def __repr__(self) -> str:
        return f"Digest({self.summary.size} octets)"


def heading(header: bytes) -> Heading:
    """Of a block of header fields."""
    found: dict[bytes, bytes] = {}
    for one in fields(header):
        found.setdefault(one.name.lower(), one.value)
    date = parse_date(found.get(b"date", b""))
    recipients = (found.get(name) for name in (b"to", b"cc"))
    return Heading(
        envelope=envelope(header),
        subject=_clean(decode_words(found.get(b"subject", b""))),
        sender=_clean(decode_words(found.get(b"from", b""))),
        recipients=_clean(", ".join(decode_words(value) for value in recipients if value)),
        date=date[0] if date else 0,
    )


def digest(mail: Mail) -> Digest:
    """Never fails for what a mail contains; time is linear in its size."""
    header = mail.octets[: mail.root.body]
    return Digest(
        summary=summarise(mail),
        heading=heading(header),
        header_text=fold(decoded(header)),
        text=fold(_text(mail.octets, mail.root)),
        encrypted=encrypted_body(mail.octets, mail.root),
    )


def _clean(text: str) -> str:
    """Without surrogates, which neither the pipe nor the database takes."""
    return text.encode("utf-8", "replace").decode()


def _text(octets: bytes, root: Part) -> str:
    parts, size = [], 0
    for part in mime_text.search_text(octets, root, header=False, limit=MAX_PART):
        parts.append(part[: MAX_TEXT - size])
        size += len(parts[-1])
        if size >= MAX_TEXT:
            break
    return "\n".join(parts)


# On the pipe: a value is a list of octet strings, the first one JSON.


def pack(segments: Sequence[bytes]) -> bytes:
    """Segments with their lengths in front."""
    lengths = [len(segments), *map(len, segments)]
    return struct.pack(f"!{len(lengths)}I", *lengths) + b"".join(segments)


def heading_segments(one: Heading) -> list[bytes]:
    texts = (one.subject, one.sender, one.recipients)
    return [json.dumps(one.date).encode(), one.envelope, *(text.encode() for text in texts)]


def heading_of(segments: Sequence[bytes]) -> Heading:
    """Raises ValueError, TypeError: not what heading_segments() wrote."""
    date, envelope_text, *texts = segments
    subject, sender, recipients = (str(text, "utf-8") for text in texts)
    # what goes into answers as it is must not be able to end one
    if not is_list(envelope_text):
        raise ValueError("not an ENVELOPE")
    return Heading(envelope_text, subject, sender, recipients, _whole(json.loads(date)))


def digest_segments(one: Digest) -> list[bytes]:
    summary = one.summary
    numbers = {
        "fields": [(name.decode("latin-1"), len(raw)) for name, raw in summary.fields],
        "attachments": summary.attachments,
        "size": summary.size,
        "header_size": summary.header_size,
        "encrypted": one.encrypted,
    }
    return [
        json.dumps(numbers).encode(),
        b"".join(raw for _, raw in summary.fields),
        summary.structure,
        summary.preview.encode("utf-8", "replace"),
        b"".join(name + b"\n" for name in summary.names or ()),
        one.header_text.encode(),
        one.text.encode(),
        *heading_segments(one.heading),
    ]


def digest_of(segments: Sequence[bytes]) -> Digest:
    """Raises ValueError, TypeError, KeyError: not what digest_segments() wrote."""
    said, raw, structure, preview, names, header_text, text, *rest = segments
    numbers = json.loads(said)
    if not is_list(structure):
        raise ValueError("not a BODYSTRUCTURE")
    summary = Summary(
        fields=_fields(numbers["fields"], raw),
        structure=structure,
        preview=str(preview, "utf-8"),
        attachments=_whole(numbers["attachments"]),
        size=_whole(numbers["size"]),
        header_size=_whole(numbers["header_size"]),
        names=tuple(names.split(b"\n")[:-1]),
    )
    span = numbers["encrypted"]
    return Digest(
        summary=summary,
        heading=heading_of(rest),
        header_text=str(header_text, "utf-8"),
        text=str(text, "utf-8"),
        encrypted=None if span is None else (_whole(span[0]), _whole(span[1])),
    )


def _fields(lengths: Any, raw: bytes) -> tuple[tuple[bytes, bytes], ...]:
    found, at = [], 0
    for name, length in lengths:
        found.append((name.encode("latin-1"), raw[at : at + _whole(length)]))
        at += length
    return tuple(found)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or abs(value) > _MOST:
        raise TypeError
    return value
