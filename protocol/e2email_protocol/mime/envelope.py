"""IMAP ENVELOPE text (RFC 9051 section 7.5.2) from a header, as Dovecot writes it."""

import re
from collections.abc import Callable

from .address import MAX_ADDRESSES, Address, addresses
from .header import fields, unfold
from .quote import nstring

_NAMES = frozenset(
    (
        b"date", b"subject", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc",
        b"in-reply-to", b"message-id",
    )
)  # fmt: skip
_Found = dict[bytes, list[bytes]]
_WHITE_SPACE = re.compile(rb"[ \t]+")


def envelope(octets: bytes, start: int = 0, end: int | None = None) -> bytes:
    """`(date subject from sender reply-to to cc bcc in-reply-to message-id)` of the header that
    lies at [start, end). Encoded words stay as they are. The addresses of repeated fields are
    joined, so that no sender or recipient is hidden; of other fields the last counts."""
    found: _Found = {}
    for field in fields(octets, start, end):
        name = field.name.lower()
        if name in _NAMES:
            found.setdefault(name, []).append(field.value)
    people = _people(found)
    return b"(%b)" % b" ".join(
        (
            _text(found, b"date"),
            _text(found, b"subject", _one_line),
            *people,
            _text(found, b"in-reply-to"),
            _text(found, b"message-id"),
        )
    )


def _text(found: _Found, name: bytes, form: Callable[[bytes], bytes] = unfold) -> bytes:
    values = found.get(name)
    return nstring(form(values[-1]) if values else None)


def _one_line(value: bytes) -> bytes:
    """Unfolded, with single spaces for runs of white space: text for people."""
    return _WHITE_SPACE.sub(b" ", unfold(value))


def _people(found: _Found) -> list[bytes]:
    sender = _list(found, b"from")
    return [
        sender,
        _list(found, b"sender", sender),
        _list(found, b"reply-to", sender),
        _list(found, b"to"),
        _list(found, b"cc"),
        _list(found, b"bcc"),
    ]


def _list(found: _Found, name: bytes, default: bytes = b"NIL") -> bytes:
    people: list[Address] = []
    for value in found.get(name, ()):
        people += addresses(value, MAX_ADDRESSES - len(people))
    return b"(%b)" % b"".join(map(_address, people)) if people else default


def _address(address: Address) -> bytes:
    return b"(%b %b %b %b)" % (
        nstring(None if address.name is None else _one_line(address.name)),
        nstring(address.adl),
        nstring(address.mailbox),
        nstring(address.host),
    )
