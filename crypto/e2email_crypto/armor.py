"""ASCII armor (RFC 9580, section 6), our own: CRLF lines of 64 characters, with a CRC-24.

Libraries' armor readers are quadratic in header lines and their writers slow; sealed mail is stored
in binary and armored on the way out, so sizes are arithmetic and any part can be made alone. The
CRC-24 protects nothing, but without its line gpg 2.2 exits 2 for one length in three.
"""

import binascii
from collections.abc import Callable

from ._sequoia import crc24
from .errors import BadArmor, TooLarge

__all__ = ["armor", "armored_size", "armored_slice", "crc24", "dearmor"]

LINE = 64
LINE_OCTETS = LINE // 4 * 3
_LINE_END = b"\r\n"
_WIDTH = LINE + len(_LINE_END)
_CRC_LINE = 1 + 4 + len(_LINE_END)

# People write a Comment and a Version, keyservers one line more.
MAX_HEADER_LINES = 10
MAX_HEADER_LINE = 500
# Lines of a few characters and blank ones are allowed up to this factor over the plain octets.
_MAX_BLOAT = 2
_BLANK = b" \t\r\n"


def armor(data: bytes, kind: bytes = b"MESSAGE", crc: int | None = None) -> bytes:
    """`data` armored. `crc` is its CRC-24 where it is stored already; it is computed otherwise."""
    return armored_slice(
        lambda start, count: data[start : start + count],
        len(data),
        crc24(data) if crc is None else crc,
        0,
        armored_size(len(data), kind),
        kind,
    )


def armored_size(size: int, kind: bytes = b"MESSAGE") -> int:
    """The octets of the armor of `size` octets."""
    return len(_head(kind)) + _body_size(size) + _CRC_LINE + len(_foot(kind))


def armored_slice(
    read: Callable[[int, int], bytes],
    size: int,
    crc: int,
    start: int,
    count: int,
    kind: bytes = b"MESSAGE",
) -> bytes:
    """Octets `start` to `start + count` of the armor of `size` octets with that CRC-24.

    `read(start, count)` gives binary octets; only the lines touched are asked for. Like slicing,
    what lies outside is left out.
    """
    head, body = _head(kind), _body_size(size)
    tail = b"=" + binascii.b2a_base64(crc.to_bytes(3), newline=False) + _LINE_END + _foot(kind)
    end = min(start + count, len(head) + body + len(tail))
    parts = [head[start:end]]
    low, high = max(start - len(head), 0), min(end - len(head), body)
    if low < high:
        parts.append(_body_slice(read, size, low, high))
    at_tail = len(head) + body
    parts.append(tail[max(start - at_tail, 0) : max(end - at_tail, 0)])
    return b"".join(parts)


def dearmor(data: bytes, kind: bytes, max_size: int) -> bytes:
    """The octets of exactly one armor block of `kind`, at most `max_size` of them.

    White space around the block is allowed, text is not. A CRC-24 is skipped unread: RFC 9580, 6.1
    forbids refusing data for it, and what is inside is authenticated or refused by itself. Raises
    BadArmor, TooLarge.
    """
    if len(data) > _MAX_BLOAT * armored_size(max_size, kind):
        raise TooLarge("the armored text is above its limit")
    begin, end = b"-----BEGIN PGP " + kind + b"-----", b"-----END PGP " + kind + b"-----"
    text = data.strip(_BLANK)
    first, newline, rest = text.partition(b"\n")
    if first.rstrip(_BLANK) != begin or not newline or not rest.endswith(end):
        raise BadArmor("not one armored block of this kind")
    body = _after_headers(rest[: -len(end)])
    return _decode(body, max_size)


def _after_headers(text: bytes) -> bytes:
    """What follows the blank line after the armor's header lines."""
    at = 0
    for _ in range(MAX_HEADER_LINES + 1):
        newline = text.find(b"\n", at, at + MAX_HEADER_LINE)
        if newline < 0:
            break
        line = text[at:newline].strip(_BLANK)
        at = newline + 1
        if not line:
            return text[at:]
        if b": " not in line + b" ":
            break
    raise BadArmor("too many, too long or malformed header lines")


def _decode(body: bytes, max_size: int) -> bytes:
    if not body.endswith(b"\n"):
        raise BadArmor("the closing line does not stand on a line of its own")
    text = body.translate(None, _BLANK)
    if text[-5:-4] == b"=" and b"=" not in text[-4:]:
        text = text[:-5]
    if len(text) % 4:  # strict_mode lets a lone "=" after a full group pass
        raise BadArmor("not base64")
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise BadArmor("not base64") from None
    if not decoded:
        raise BadArmor("an empty block")
    if len(decoded) > max_size:
        raise TooLarge("the armored data is above its limit")
    return decoded


def _head(kind: bytes) -> bytes:
    return b"-----BEGIN PGP " + kind + b"-----\r\n\r\n"


def _foot(kind: bytes) -> bytes:
    return b"-----END PGP " + kind + b"-----\r\n"


def _body_size(size: int) -> int:
    characters = (size + 2) // 3 * 4
    return characters + (characters + LINE - 1) // LINE * len(_LINE_END)


def _body_slice(read: Callable[[int, int], bytes], size: int, low: int, high: int) -> bytes:
    """Octets `low` to `high` of the base64 lines, both inside them."""
    line = low // _WIDTH
    lines = (high - 1) // _WIDTH - line + 1
    octets = read(line * LINE_OCTETS, min(lines * LINE_OCTETS, size - line * LINE_OCTETS))
    text = binascii.b2a_base64(octets, newline=False)
    cut = [text[at : at + LINE] for at in range(0, len(text), LINE)]
    cut.append(b"")  # a line end after the last line too
    return _LINE_END.join(cut)[low - line * _WIDTH : high - line * _WIDTH]
