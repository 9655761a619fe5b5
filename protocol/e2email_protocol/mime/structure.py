"""IMAP BODY and BODYSTRUCTURE text (RFC 9051 section 7.5.2) of a part tree."""

from .envelope import envelope
from .header import MAX_HEADER, unfold
from .lex import Lexer, Malformed
from .params import Params, parameter
from .part import Part
from .quote import nstring, string, strings

# A header of n octets can make 50 n of ENVELOPE ("a,a,…"). As much as one header may have is
# enough for a digest of 500 messages; those beyond are shown with an empty envelope.
MAX_INNER_HEADERS = MAX_HEADER

_EMPTY_ENVELOPE = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
_DEFAULT_CHARSET = (b"charset", b"us-ascii")
# A multipart without parts has no form in the grammar; this stands in for its only part.
_EMPTY_PART = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'


def structure(octets: bytes, part: Part, *, extended: bool = True) -> bytes:
    """BODYSTRUCTURE of a part, or BODY where not `extended`: one parenthesised list."""
    writer = _Writer(octets, extended)
    writer.write(part)
    return b"".join(writer.out)


class _Writer:
    __slots__ = ("extended", "headers", "octets", "out")

    def __init__(self, octets: bytes, extended: bool) -> None:
        self.octets = octets
        self.extended = extended
        self.out: list[bytes] = []
        self.headers = 0

    def write(self, part: Part) -> None:
        """Recurses no deeper than the tree, which the scan's nesting limit bounds."""
        self.out.append(b"(")
        if part.is_multipart:
            self._multipart(part)
        else:
            self._single(part)
        if self.extended:
            self.out.append(_extension(part))
        self.out.append(b")")

    def _multipart(self, part: Part) -> None:
        for child in part.children:
            self.write(child)
        if not part.children:
            self.out.append(_EMPTY_PART + (b" NIL NIL NIL NIL)" if self.extended else b")"))
        self.out.append(b" " + string(b"x-unknown" if part.subtype is None else part.subtype))
        if self.extended:
            self.out.append(b" " + _parameters(part.params))

    def _single(self, part: Part) -> None:
        kind, subtype, params = _described(part)
        self.out.append(
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
            self.out.append(b" %b " % self._envelope(part.children[0]))
            self.write(part.children[0])
        if part.is_message or kind.lower() == b"text":
            self.out.append(b" %d" % part.lines)
        if self.extended:
            self.out.append(b" " + nstring(_field(part, "md5")))

    def _envelope(self, part: Part) -> bytes:
        self.headers += part.body - part.start
        if self.headers > MAX_INNER_HEADERS:
            return _EMPTY_ENVELOPE
        return envelope(self.octets, part.start, part.body)


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
