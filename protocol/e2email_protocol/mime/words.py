"""Encoded words of header text (RFC 2047), decoded for people and leniently."""

import binascii
import re
from itertools import pairwise

from .charset import codec_for, decode
from .header import unfold

# charset, encoding, text; the end may be missing where a program cut the line
_WORD = re.compile(rb"=\?([^?\s\x00-\x20]{1,64})\?([BbQq])\?([^?]*)(?:\?=|\Z)")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(octet for octet in range(256) if octet not in _BASE64)


def from_base64(text: bytes) -> bytes:
    """Base64 decoded leniently: foreign octets skipped, missing padding added, stops at `=`."""
    text = text.partition(b"=")[0].translate(None, _NOT_BASE64)
    if len(text) % 4 == 1:
        text = text[:-1]
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4))


def _word_octets(match: re.Match[bytes]) -> bytes:
    if match[2] in b"Bb":
        return from_base64(match[3])
    return _HEX.sub(lambda pair: bytes.fromhex(pair[1].decode()), match[3].replace(b"_", b" "))


def decode_words(value: bytes) -> str:
    """The text of an unstructured field value or phrase, on one line.

    Adjacent words of one charset are joined before they are decoded, since many programs cut
    characters in half; white space between two words does not count (RFC 2047 section 6.2).
    """
    value = unfold(value)
    matches = list(_WORD.finditer(value)) if b"=?" in value else []
    if not matches:
        return decode(value)
    out = [decode(value[: matches[0].start()])]
    held, charset = _word_octets(matches[0]), matches[0][1]
    for before, match in pairwise(matches):
        between = value[before.end() : match.start()]
        if not between.strip() and codec_for(match[1]) == codec_for(charset):
            held += _word_octets(match)
            continue
        out += [decode(held, charset), decode(between) if between.strip() else ""]
        held, charset = _word_octets(match), match[1]
    out += [decode(held, charset), decode(value[matches[-1].end() :])]
    return "".join(out)
