"""Outlines for SORT and THREAD out of a header, and the base subject (RFC 5256 §2)."""

from __future__ import annotations

import re

from ..mime.address import addresses
from ..mime.date import parse_date
from ..mime.header import fields
from ..mime.words import decode_words
from .extensions import Outline
from .limits import REFERENCES, SUBJECT

_NAMES = frozenset(
    (b"date", b"subject", b"from", b"to", b"cc", b"message-id", b"in-reply-to", b"references")
)
_ID = re.compile(rb"<([^<>]*+)>")
_FOLD = re.compile(rb"[\r\n\t ]+")

# Possessive throughout: no subject makes the matcher go back.
_BLOB = r"\[[^\[\]]*+\] *+"
_BLOBS = re.compile(rf"(?:{_BLOB})++")
_REPLY = re.compile(rf"(?:{_BLOB})*+(?:re|fwd?+) *+(?:{_BLOB})?+: *+", re.IGNORECASE)
_FORWARD = re.compile(r"\[fwd:", re.IGNORECASE)


def outline_of(uid: int, arrived: int, size: int, header: bytes) -> Outline:
    """`header`: a message's top header (what follows it does no harm); of a field that stands

    there twice the last counts, as in ENVELOPE.
    """
    found = {f.name.lower(): f.value for f in fields(header) if f.name.lower() in _NAMES}
    sent = parse_date(found.get(b"date", b""))
    ids = message_ids(found.get(b"message-id", b""))
    return Outline(
        uid=uid,
        arrived=arrived,
        sent=arrived if sent is None else sent[0],
        size=size,
        subject=decode_words(found.get(b"subject", b""))[:SUBJECT],
        sender=_mailbox(found.get(b"from")),
        to=_mailbox(found.get(b"to")),
        cc=_mailbox(found.get(b"cc")),
        message_id=ids[0] if ids else "",
        references=message_ids(found.get(b"references", b""))
        or message_ids(found.get(b"in-reply-to", b""))[:1],  # RFC 5256 §3: its first only
    )


def message_ids(value: bytes) -> tuple[str, ...]:
    """The ids between "<" and ">"; of very many the first and the last ones."""
    found = [_FOLD.sub(b"", match[1]).decode("latin-1") for match in _ID.finditer(value)]
    if len(found) > REFERENCES:
        found = [found[0], *found[1 - REFERENCES :]]
    return tuple(filter(None, found))


def _mailbox(value: bytes | None) -> str:
    """addr-mailbox of the first address, a group's name among them."""
    for address in addresses(value or b"", limit=1):
        return decode_words(address.mailbox or b"")
    return ""


def base_subject(subject: str) -> tuple[str, bool]:
    """The subject without what replies and forwards add (RFC 5256 §2.1), and was there any.

    Folded for comparison. In one pass: what is taken off is not looked at again.
    """
    text = " ".join(subject.split())
    start, end = 0, len(text)
    reply = False
    while True:
        while text[max(start, end - 5) : end].lower() == "(fwd)":
            end, reply = _trim(text, start, end - 5), True
        while match := _REPLY.match(text, start, end):
            start, reply = match.end(), True
        start = _without_blobs(text, start, end)
        if not (_FORWARD.match(text, start, end) and text[end - 1] == "]"):
            return text[start:end].casefold(), reply
        start, end, reply = start + len("[fwd:"), end - 1, True
        end = _trim(text, start, end)
        start += text[start:end].startswith(" ")


def _trim(text: str, start: int, end: int) -> int:
    return end - (end > start and text[end - 1] == " ")


def _without_blobs(text: str, start: int, end: int) -> int:
    """Past "[list] [tag] ", unless that would leave nothing."""
    match = _BLOBS.match(text, start, end)
    if match is None:
        return start
    return match.end() if match.end() < end else text.rindex("[", start, end)
