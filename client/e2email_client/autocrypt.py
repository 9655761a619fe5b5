"""The Autocrypt header of a mail (Level 1, autocrypt.org): a key that its owner sends along.

Parsed in the child process of `parsing`, which has no key. What a header may change is decided by
contact_rules.py; nothing of Autocrypt's own rules for replacing keys is used.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from e2email_protocol.mime.address import addresses
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.header import Field, fields, unfold

# Level 1 asks for less than 10 KiB of header. Anybody can send any number of these.
KEYDATA_MAX: Final = 16 * 1024
_VALUE_MAX: Final = 2 * KEYDATA_MAX
_WIDTH: Final = 76
_SPACE: Final = re.compile(rb"\s+")
_REPORT: Final = re.compile(rb"\s*multipart/report\b", re.IGNORECASE)
NAME: Final = b"autocrypt"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a mail says: whose key, since when (seconds since 1970), the key (binary)."""

    address: str = field(repr=False)
    date: int
    certificate: bytes = field(repr=False)


def present(header: bytes) -> bool:
    """Whether it is worth asking; costs nothing beside what a mail costs anyway."""
    return b"\nautocrypt:" in b"\n" + header.lower()


def offered(header: bytes) -> Offer | None:
    """The one key that a mail with this header offers for its one sender.

    None where there is none or more than one, where From names nobody or several, and for bounces
    and mailing lists, whose From is not who sent them.
    """
    found: dict[bytes, list[Field]] = {}
    for one in fields(header):
        found.setdefault(one.name.lower(), []).append(one)
    if b"list-id" in found or any(
        _REPORT.match(one.value) for one in found.get(b"content-type", ())
    ):
        return None
    sender, date = _sender(found.get(b"from", [])), _date(found.get(b"date", []))
    keys = [key for one in found.get(NAME, ()) if (key := _key(one.value, sender)) is not None]
    if sender is None or date is None or len(keys) != 1:
        return None
    return Offer(sender.decode(), date, keys[0])


def compose(address: str, certificate: bytes) -> bytes:
    """The field for mail from this address, with its line ends; `certificate` is cert.minimal's."""
    keydata = base64.b64encode(certificate)
    lines = [keydata[at : at + _WIDTH] for at in range(0, len(keydata), _WIDTH)]
    start = f"Autocrypt: addr={address}; prefer-encrypt=mutual; keydata=".encode()
    return b"\r\n ".join([start, *lines]) + b"\r\n"


def _sender(found: list[Field]) -> bytes | None:
    if len(found) != 1:
        return None
    named = addresses(found[0].value, 2)
    if len(named) != 1 or named[0].mailbox is None or named[0].host is None:
        return None
    spec = named[0].mailbox + b"@" + named[0].host
    return spec.lower() if spec.isascii() else None


def _date(found: list[Field]) -> int | None:
    date = parse_date(found[0].value) if len(found) == 1 else None
    return date[0] if date else None


def _key(value: bytes, sender: bytes | None) -> bytes | None:
    """None for what is not a valid header about the sender."""
    if len(value) > _VALUE_MAX:
        return None
    said: dict[bytes, bytes] = {}
    for name, content in _attributes(unfold(value)):
        critical = not name.startswith(b"_")
        if name in said or (critical and name not in {b"addr", b"prefer-encrypt", b"keydata"}):
            return None
        said[name] = content
    if said.get(b"addr", b"").lower() != sender:
        return None
    try:
        octets = base64.b64decode(_SPACE.sub(b"", said.get(b"keydata", b"")), validate=True)
    except binascii.Error:
        return None
    return octets if 0 < len(octets) <= KEYDATA_MAX else None


def _attributes(value: bytes) -> Iterator[tuple[bytes, bytes]]:
    for part in value.split(b";"):
        if part.strip():
            name, _, content = part.partition(b"=")
            yield name.strip().lower(), content.strip()
