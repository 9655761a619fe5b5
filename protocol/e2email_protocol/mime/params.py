"""Values with parameters: Content-Type, Content-Disposition (RFC 2045 section 5.1, RFC 2231)."""

import re
from urllib.parse import unquote_to_bytes

from .charset import decode
from .lex import Lexer, Malformed
from .words import decode_words

Params = tuple[tuple[bytes, bytes], ...]

# No real mail has more than a few dozen; each costs a dictionary entry and a sort step.
MAX_PARAMETERS = 1000

_PLAIN = re.compile(
    rb"[ \t\r\n]*([A-Za-z0-9!#$%&'*+\-^_`{|}~.]+)/([A-Za-z0-9!#$%&'*+\-^_`{|}~.]+)[ \t\r\n]*\Z"
)
_SECTION = re.compile(rb"([^*]*)\*(?:([0-9]{0,9})(\*)?)?\Z")
_BROKEN_VALUE = re.compile(rb"[^; \t\r\n]*")


def content_type(value: bytes) -> tuple[bytes, bytes | None, Params]:
    """(type, subtype or None, parameters) of a Content-Type value, as much as can be read; the
    type is b"" where there is none."""
    match = _PLAIN.match(value)
    if match is not None:
        return match[1], match[2], ()
    lexer = Lexer(value)
    kind, subtype = b"", None
    try:
        lexer.skip()
        kind = lexer.raw_token()
        lexer.skip()
        if lexer.peek() == b"/":
            lexer.expect(b"/")
            subtype = lexer.raw_token() or None
            lexer.skip()
    except Malformed:
        return kind, subtype, ()
    return kind, subtype, parameters(lexer)


def token_and_parameters(value: bytes) -> tuple[bytes, Params] | None:
    """(token, parameters) of a Content-Disposition value; None where there is no token to read."""
    lexer = Lexer(value)
    try:
        lexer.skip()
        token = lexer.token()
    except Malformed:
        return None
    return token, parameters(lexer)


def parameters(lexer: Lexer) -> Params:
    """The parameters from here on, RFC 2231 sections joined but still percent-encoded.

    A joined parameter of which a section was extended keeps a `*` at the end of its name. What
    cannot be read is passed over; the first semicolon may be missing, as some programs leave it.
    """
    plain: list[tuple[bytes, bytes]] = []
    sections: dict[bytes, list[tuple[int, bool, bytes, bytes]]] = {}
    semicolon = lexer.peek() == b";"
    for _ in range(MAX_PARAMETERS):
        pair = _next_parameter(lexer, semicolon)
        semicolon = True
        if pair is None:
            break
        name, value = pair
        match = _SECTION.match(name) if b"*" in name else None
        if match is None:
            plain.append(pair)
        else:
            extended = bool(match[3]) or match[2] is None or name.endswith(b"*")
            entry = (int(match[2] or 0), extended, name, value)
            sections.setdefault(match[1].lower(), []).append(entry)
    return (*plain, *_join(sections)) if sections else tuple(plain)


def _next_parameter(lexer: Lexer, semicolon: bool) -> tuple[bytes, bytes] | None:
    while lexer.pos < len(lexer.data):
        try:
            return _parameter(lexer, semicolon)
        except Malformed:
            lexer.pos += 1
            semicolon = True
    return None


def _parameter(lexer: Lexer, semicolon: bool) -> tuple[bytes, bytes]:
    if semicolon:
        lexer.expect(b";")
    name = lexer.token()
    if not (name or semicolon):
        raise Malformed
    lexer.expect(b"=")
    octet = lexer.peek()
    if octet == b'"':
        return name, lexer.quoted()
    if octet == b"=":  # an unquoted encoded word, seen in the wild: name==?utf-8?b?...?=
        match = _BROKEN_VALUE.match(lexer.data, lexer.pos)
        lexer.pos = match.end() if match else lexer.pos
        return name, match[0] if match else b""
    return name, lexer.token()


def _join(
    sections: dict[bytes, list[tuple[int, bool, bytes, bytes]]],
) -> list[tuple[bytes, bytes]]:
    joined = []
    for entries in sections.values():
        entries.sort(key=lambda entry: entry[0])
        if [entry[0] for entry in entries] != list(range(len(entries))):
            joined += [(name, value) for _, _, name, value in entries]
            continue
        name = entries[0][2].partition(b"*")[0]
        if not any(extended for _, extended, _, _ in entries):
            joined.append((name, b"".join(value for *_, value in entries)))
            continue
        text = b"" if entries[0][1] else b"''"
        for _, extended, _, value in entries:
            text += value if extended else value.replace(b"%", b"%25")
        joined.append((name + b"*", text))
    return joined


def parameter(params: Params, name: bytes) -> bytes | None:
    """The first parameter of this lower-case name as written, or None."""
    for key, value in params:
        if key.lower() == name:
            return value
    return None


def parameter_text(params: Params, name: bytes) -> str | None:
    """The parameter for people: RFC 2231 first, else the plain one with encoded words decoded
    (RFC 2047 forbids them there, many programs write them)."""
    extended = parameter(params, name + b"*")
    if extended is not None:
        charset, _, rest = extended.partition(b"'")
        _, quote, text = rest.partition(b"'")
        if not quote:
            charset, text = b"", extended
        return decode(unquote_to_bytes(text), charset)
    plain = parameter(params, name)
    return None if plain is None else decode_words(plain)
