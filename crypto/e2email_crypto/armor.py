"""Reading ASCII armor (RFC 9580, section 6) that others wrote.

Libraries' readers are quadratic in header lines. Ours is written by protocol/sealed/armor.py.
"""

import binascii

from .errors import BadArmor, TooLarge

# People write a Comment and a Version, keyservers one line more.
MAX_HEADER_LINES = 10
MAX_HEADER_LINE = 500
# Lines of a few characters and blank ones are allowed up to this factor over 4/3 of the octets.
_MAX_BLOAT = 2
_FRAME = 200  # octets of the first and last line, the blank one and the CRC-24
_BLANK = b" \t\r\n"


def dearmor(data: bytes, kind: bytes, max_size: int) -> bytes:
    """The octets of exactly one armor block of `kind`, at most `max_size` of them.

    White space around the block is allowed, text is not. A CRC-24 is skipped unread: RFC 9580, 6.1
    forbids refusing data for it, and what is inside is authenticated or refused by itself. Raises
    BadArmor, TooLarge.
    """
    if len(data) > _MAX_BLOAT * (max_size * 4 // 3 + _FRAME):
        raise TooLarge("the armored text is above its limit")
    begin, end = b"-----BEGIN PGP " + kind + b"-----", b"-----END PGP " + kind + b"-----"
    text = data.strip(_BLANK)  # the same object where there is nothing to strip
    newline = text.find(b"\n")
    if newline < 0 or text[:newline].rstrip(_BLANK) != begin or not text.endswith(end):
        raise BadArmor("not one armored block of this kind")
    stop = len(text) - len(end)
    return _decode(text, _after_headers(text, newline + 1, stop), stop, max_size)


def _after_headers(text: bytes, at: int, stop: int) -> int:
    """Where it goes on after the blank line behind the armor's header lines."""
    for _ in range(MAX_HEADER_LINES + 1):
        newline = text.find(b"\n", at, min(at + MAX_HEADER_LINE, stop))
        if newline < 0:
            break
        line = text[at:newline].strip(_BLANK)
        at = newline + 1
        if not line:
            return at
        if b": " not in line + b" ":
            break
    raise BadArmor("too many, too long or malformed header lines")


def _decode(armored: bytes, start: int, stop: int, max_size: int) -> bytes:
    """Of a large mail as few copies as can be are held at once."""
    if start >= stop or armored[stop - 1 : stop] != b"\n":
        raise BadArmor("the closing line does not stand on a line of its own")
    text = armored[start:stop].translate(None, _BLANK)
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


def disagrees(data: bytes, decoded: bytes) -> bool:
    """Whether the CRC-24 of an armor block that gave `decoded` says that it was damaged.

    RFC 9580, 6.1: no reason to refuse anything. It tells why what was inside did not open.
    """
    last = data.strip(_BLANK).splitlines()[-2:-1]
    if not last or not last[0].startswith(b"=") or len(last[0].strip()) != 5:
        return False
    try:
        return binascii.a2b_base64(last[0].strip()[1:]) != _crc24(decoded).to_bytes(3)
    except binascii.Error:
        return True


def _crc24(data: bytes) -> int:
    """RFC 9580, 6.1.1; 0.5 s a MiB."""
    crc = 0xB704CE
    for octet in data:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x864CFB
    return crc & 0xFFFFFF
