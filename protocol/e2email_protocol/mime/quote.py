"""IMAP strings (RFC 9051 section 4.3): quoted where 7-bit and safe, else a literal; and lists."""

import re
from collections.abc import Iterable

# CR, LF, NUL and 8-bit octets cannot be quoted; NUL cannot be in a literal either
_NEEDS_LITERAL = re.compile(rb"[\r\n\x00\x80-\xff]")
_ESCAPED = re.compile(rb'(["\\])')
_TOKEN = re.compile(
    rb'(?P<mark>[()])|(?:[ 0-9]|NIL|"(?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*")+'
    rb"|\{(?P<literal>[0-9]{1,9})\}\r\n"
)


def string(text: bytes) -> bytes:
    """The text as a quoted string or literal. NUL, which neither may hold, becomes U+FFFD."""
    if _NEEDS_LITERAL.search(text):
        text = text.replace(b"\x00", b"\xef\xbf\xbd")
        return b"{%d}\r\n%b" % (len(text), text)
    if b'"' in text or b"\\" in text:
        text = _ESCAPED.sub(rb"\\\1", text)
    return b'"%b"' % text


def nstring(text: bytes | None) -> bytes:
    """As `string`, or NIL for None."""
    return b"NIL" if text is None else string(text)


def strings(texts: Iterable[bytes]) -> bytes:
    """A parenthesised list of strings, NIL where there are none."""
    inner = b" ".join(map(string, texts))
    return b"(%b)" % inner if inner else b"NIL"


def is_list(text: bytes) -> bool:
    """Whether a text is one parenthesised list, so that it says nothing beyond its own end.

    For what others made: inside an answer anything else could end the answer and begin another.
    """
    at = depth = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        if match["literal"]:
            size = int(match["literal"])
            if b"\x00" in text[at : at + size]:
                return False
            at += size
        elif match["mark"]:
            depth += 1 if match["mark"] == b"(" else -1
        if depth < 1:
            break
    return text.startswith(b"(") and depth == 0 and at == len(text)
