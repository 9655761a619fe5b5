"""SASL PLAIN (RFC 4616), for IMAP, POP3 and whoever else logs people in."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field


class BadResponse(Exception):
    """The client's response is not base64, or not the mechanism's."""


@dataclass(frozen=True, slots=True)
class Plain:
    """message = [authzid] UTF8NUL authcid UTF8NUL passwd; no one acts for another here."""

    user: str
    password: bytes = field(repr=False)


def decode(response: bytes) -> bytes:
    """The octets of one base64 response line."""
    try:
        return base64.b64decode(response, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadResponse("not base64") from error


def parse_plain(message: bytes) -> Plain:
    fields = message.split(b"\0")
    if len(fields) != 3 or not fields[1] or not fields[2]:
        raise BadResponse("not a PLAIN message")
    if fields[0] not in (b"", fields[1]):
        raise BadResponse("acting for another user")
    try:
        return Plain(fields[1].decode(), fields[2])
    except UnicodeDecodeError as error:
        raise BadResponse("user name is not UTF-8") from error
