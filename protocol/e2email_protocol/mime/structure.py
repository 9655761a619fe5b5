"""IMAP BODY and BODYSTRUCTURE text (RFC 9051 section 7.5.2) of a part tree."""

from .envelope import envelope
from .header import unfold
from .lex import Lexer, Malformed
from .params import Params, parameter
from .quote import nstring, string, strings
from .scan import Part

_DEFAULT_CHARSET = (b"charset", b"us-ascii")
# A multipart without parts has no form in the grammar; this stands in for its only part.
_EMPTY_PART = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'


def structure(octets: bytes, part: Part, *, extended: bool = True) -> bytes:
    """BODYSTRUCTURE of a part, or BODY where not `extended`: one parenthesised list."""
    out: list[bytes] = []
    _write(octets, part, out, extended)
    return b"".join(out)


def _write(octets: bytes, part: Part, out: list[bytes], extended: bool) -> None:
    """Recurses no deeper than the tree, which the scan's nesting limit bounds."""
    out.append(b"(")
    if part.is_multipart:
        for child in part.children:
            _write(octets, child, out, extended)
        if not part.children:
            out.append(_EMPTY_PART + (b" NIL NIL NIL NIL)" if extended else b")"))
        out.append(b" " + string(b"x-unknown" if part.subtype is None else part.subtype))
        if extended:
            out += (b" ", _parameters(part.params))
    else:
        _write_single(octets, part, out, extended)
        if extended:
            out += (b" ", nstring(_field(part, "md5")))
    if extended:
        out.append(_extension(part))
    out.append(b")")


def _write_single(octets: bytes, part: Part, out: list[bytes], extended: bool) -> None:
    kind, subtype, params = _described(part)
    out.append(
        b"%b %b %b %b %b %b %d"
        % (
            string(kind),
            string(subtype),
            _parameters(params),
            nstring(_field(part, "id")),
            nstring(_field(part, "description")),
            string(part.encoding or b"7bit"),
            part.size,
        )
    )
    if part.is_message:
        child = part.children[0]
        out += (b" ", envelope(octets, child.start, child.body), b" ")
        _write(octets, child, out, extended)
    if part.is_message or kind.lower() == b"text":
        out.append(b" %d" % part.lines)


def _described(part: Part) -> tuple[bytes, bytes, Params]:
    kind = part.type.lower()
    if part.opaque and (kind == b"multipart" or part.media == "message/rfc822"):
        # the grammar has forms of its own for these types; this part is not looked into
        return b"application", b"octet-stream", ()
    if kind == b"text":
        has_charset = parameter(part.params, b"charset") is not None
        params = part.params if has_charset else (*part.params, _DEFAULT_CHARSET)
        return part.type, b"plain" if part.subtype is None else part.subtype, params
    return part.type, b"unknown" if part.subtype is None else part.subtype, part.params


def _parameters(params: Params) -> bytes:
    return strings(text for pair in params for text in pair)


def _field(part: Part, name: str) -> bytes | None:
    value = part.content.get(name)
    return None if value is None else unfold(value)


def _extension(part: Part) -> bytes:
    """` disposition language location`."""
    disposition = part.disposition
    shown = (
        b"NIL"
        if disposition is None
        else b"(%b %b)" % (string(disposition[0]), _parameters(disposition[1]))
    )
    location = nstring(_field(part, "location"))
    return b" %b %b %b" % (shown, strings(_languages(part)), location)


def _languages(part: Part) -> list[bytes]:
    """The tags of Content-Language (RFC 3282)."""
    tags: list[bytes] = []
    lexer = Lexer(part.content.get("language", b""))
    try:
        lexer.skip()
        while True:
            tags.append(lexer.atom())
            lexer.expect(b",")
    except Malformed:
        return tags
