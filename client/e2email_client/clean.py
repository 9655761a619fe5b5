"""The one way from a mail's text to a terminal: what could act on it or deceive is made visible.

Control characters (C0, DEL, C1) become control pictures, bidirectional and invisible controls
become their code points in brackets. Terminal libraries pass all of these through, also with markup
off.
"""

from __future__ import annotations

import re

# One line of a list or a header field; a subject may be a megabyte.
LINE_LIMIT = 1_000

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# zero-width space, word joiner and invisible operators, byte order mark, soft hyphen, deprecated
# format characters, interlinear annotations, tag characters; joiners (ZWJ, ZWNJ) stay: scripts and
# emoji need them
_INVISIBLE = "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f{_BIDI}{_INVISIBLE}\u2028\u2029\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n|\r|\u2028|\u2029|\x85|\x0b|\x0c")
_SPACES = re.compile("[\t\r\n\u2028\u2029]+")


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"<U+{code:04X}>"


def line(text: str, limit: int = LINE_LIMIT) -> str:
    """`text` as one line of at most `limit` characters; line ends and tabs become a space."""
    cut = len(text) > limit
    shown = _UNSAFE.sub(_visible, _SPACES.sub(" ", text[:limit])).strip()
    return shown + "…" if cut else shown


def block(text: str) -> str:
    """`text` with its lines kept (LF) and tabs expanded; everything else as in `line`."""
    lines = _LINE_ENDS.sub("\n", text).expandtabs(8).split("\n")
    return "\n".join(_UNSAFE.sub(_visible, one) for one in lines)
