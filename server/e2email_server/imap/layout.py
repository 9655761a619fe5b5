"""Where the parts of a rendered message begin and end, as a MIME scanner would find them.

The sealed form is the same every time but for lengths, so its spans and its BODYSTRUCTURE are
those of an empty one, scanned once, moved and stretched. The verbatim form must be scanned.
"""

from dataclasses import replace
from functools import cache

from e2email_protocol.imap.session import Section
from e2email_protocol.mime.part import Part
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import find
from e2email_protocol.mime.structure import structure
from e2email_protocol.sealed.armor import armored_size
from e2email_protocol.sealed.record import (
    FORMAT_VERSION,
    RECORD_ID_SIZE,
    Form,
    Policy,
    Record,
    RecordHead,
)
from e2email_protocol.sealed.render import render

Span = tuple[int, int]
_SIZE = 987_654_321  # stands for the size of the body in the template; no other number there


def span(root: Part, section: Section) -> Span | None:
    """Start and end of a section; of HEADER.FIELDS the whole header, to choose from."""
    part = find(root, section.path)
    if part is None:
        return None
    if section.what == "MIME":
        return (part.start, part.body) if section.path else None
    if not section.what:
        return part.body if section.path else part.start, part.end
    if section.path:
        if not part.is_message:
            return None
        part = part.children[0]
    return (part.body, part.end) if section.what == "TEXT" else (part.start, part.body)


def sealed_span(head: RecordHead, header: int, section: Section) -> Span | None:
    """As span(), of a sealed rendering whose header is `header` octets long."""
    root = _empty(len(head.boundary))[1]
    found = span(root, section)
    if found is None:
        return None
    grown = armored_size(head.body_size) - armored_size(0)

    def moved(place: int) -> int:
        if place < root.body:
            return place  # the start of the message
        return place + header - root.body + (grown if place >= root.children[1].end else 0)

    return moved(found[0]), moved(found[1])


def sealed_structure(head: RecordHead, extended: bool) -> bytes:
    """BODYSTRUCTURE, or BODY where not `extended`, of a sealed rendering."""
    size = armored_size(head.body_size)
    return _template(len(head.boundary), extended) % {b"size": size, b"boundary": head.boundary}


@cache
def _empty(boundary: int) -> tuple[bytes, Part]:
    """A rendering without header fields and body, by the length of its boundary."""
    rendered = render(
        Record(
            record_id=bytes(RECORD_ID_SIZE),
            form=Form.SEALED,
            version=FORMAT_VERSION,
            policy=Policy.SEALED,
            outer=b"",
            boundary=b"b" * boundary,
            envelope=b"-",
            crc=0,
            body_size=0,
            body=b"",
        )
    )
    octets = rendered.read(0, rendered.size)
    return octets, scan(octets)


@cache
def _template(boundary: int, extended: bool) -> bytes:
    octets, root = _empty(boundary)
    version, body = root.children
    stretched = replace(root, children=(version, replace(body, end=body.body + _SIZE)))
    text = structure(octets, stretched, extended=extended)
    return text.replace(b"%d" % _SIZE, b"%(size)d").replace(b"b" * boundary, b"%(boundary)b")
