"""IMAP ENVELOPE text (RFC 9051 section 7.5.2) from a header, as Dovecot writes it."""

import re

from .address import Address, addresses
from .header import fields, unfold
from .quote import nstring

_NAMES = frozenset(
    (
        b"date", b"subject", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc",
        b"in-reply-to", b"message-id",
    )
)  # fmt: skip
_WHITE_SPACE = re.compile(rb"[ \t]+")


def envelope(octets: bytes, start: int = 0, end: int | None = None) -> bytes:
    """`(date subject from sender reply-to to cc bcc in-reply-to message-id)` of the header that
    lies at [start, end). Encoded words stay as they are. Of repeated fields the last counts."""
    found: dict[bytes, bytes] = {}
    for field in fields(octets, start, end):
        name = field.name.lower()
        if name in _NAMES:
            found[name] = field.value
    people = _people(found)
    return b"(%b)" % b" ".join(
        (
            nstring(_text(found.get(b"date"))),
            nstring(_text(found.get(b"subject"))),
            *people,
            nstring(_text(found.get(b"in-reply-to"))),
            nstring(_text(found.get(b"message-id"))),
        )
    )


def _text(value: bytes | None) -> bytes | None:
    return None if value is None else unfold(value)


def _people(found: dict[bytes, bytes]) -> list[bytes]:
    sender = _list(found, b"from")
    return [
        sender,
        _list(found, b"sender", sender),
        _list(found, b"reply-to", sender),
        _list(found, b"to"),
        _list(found, b"cc"),
        _list(found, b"bcc"),
    ]


def _list(found: dict[bytes, bytes], name: bytes, default: bytes = b"NIL") -> bytes:
    value = found.get(name)
    people = () if value is None else addresses(value)
    return b"(%b)" % b"".join(map(_address, people)) if people else default


def _address(address: Address) -> bytes:
    name = None if address.name is None else _WHITE_SPACE.sub(b" ", unfold(address.name))
    return b"(%b %b %b %b)" % (
        nstring(name),
        nstring(address.adl),
        nstring(address.mailbox),
        nstring(address.host),
    )
