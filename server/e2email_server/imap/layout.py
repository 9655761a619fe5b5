"""Where the parts of a rendered message begin and end, as a MIME scanner would find them.

The sealed form is the same every time but for lengths, so its tree and its BODYSTRUCTURE are
those of an empty one, scanned once, moved and stretched. The verbatim form is scanned.
"""

from dataclasses import replace
from functools import cache

from e2email_protocol.imap.session import Section
from e2email_protocol.mime.part import Part
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import find
from e2email_protocol.mime.structure import structure
from e2email_protocol.sealed.record import FORMAT_VERSION, Form, Policy, Record, RecordHead
from e2email_protocol.sealed.render import render, rendered_size

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


def sealed_layout(head: RecordHead, header: int) -> Part:
    """The part tree of a sealed rendering whose header is `header` octets long."""
    _, root = _empty(len(head.boundary))
    grown = rendered_size(head) - rendered_size(replace(head, body_size=0))
    version, body = (_moved(child, header - root.body) for child in root.children)
    body = replace(body, end=body.end + grown)
    end = root.end + header - root.body + grown
    return replace(root, start=0, body=header, end=end, children=(version, body))


def sealed_structure(head: RecordHead, extended: bool) -> bytes:
    """BODYSTRUCTURE, or BODY where not `extended`, of a sealed rendering."""
    _, root = _empty(len(head.boundary))
    grown = rendered_size(head) - rendered_size(replace(head, body_size=0))
    size = root.children[1].size + grown
    return _template(len(head.boundary), extended) % {b"size": size, b"boundary": head.boundary}


@cache
def _empty(boundary: int) -> tuple[bytes, Part]:
    """A rendering without header fields and body, by the length of its boundary."""
    rendered = render(
        Record(
            bytes(16),
            Form.SEALED,
            FORMAT_VERSION,
            Policy.SEALED,
            b"",
            b"b" * boundary,
            b"-",
            0,
            0,
            b"",
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


def _moved(part: Part, by: int) -> Part:
    return replace(part, start=part.start + by, body=part.body + by, end=part.end + by)
