"""What a message says, for people and for search: text, preview, attachments.

Everything here is lenient and never fails for a message's content. The strings still hold
whatever the sender wrote: control characters are the reader's to clean.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .charset import decode
from .header import fields
from .params import parameter, parameter_text
from .part import Part
from .section import UnknownEncoding, decoded
from .words import decode_words

PREVIEW_LENGTH = 200
# A preview needs the beginning only; a page's style sheet comes before its text.
_PREVIEW_OCTETS = 64 * 1024

_HIDDEN = re.compile(r"<(?:(script|style|head|title)\b|!--)", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z!?][^>]*(?:>|\Z)")
# Thunderbird and others put this sentence in front; it says nothing, so it hides nothing.
_PREAMBLE = re.compile(
    rb"\s*This is an OpenPGP/MIME encrypted message"
    rb"(?: \(RFC (?:2440|4880|9580) and 3156\))?\.?\r?\n"
)
_SIGNATURES = frozenset(
    (
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
    )
)


@dataclass(frozen=True, slots=True, repr=False)
class Attachment:
    """A part to save, with its declared type and its name for people ("" where it has none);
    `size` is that of its body as sent."""

    part: Part
    media: str
    name: str
    size: int

    def __repr__(self) -> str:
        return f"Attachment({self.size} octets)"


def walk(root: Part, *, messages: bool) -> Iterator[Part]:
    """All parts in order; those of an attached message only where `messages`."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        yield part
        if messages or not part.is_message:
            waiting.extend(reversed(part.children))


def text(octets: bytes, part: Part, limit: int | None = None) -> str:
    """The text of a leaf (of its first `limit` octets) in its declared charset, else guessed."""
    try:
        body = decoded(octets, part, limit)
    except UnknownEncoding:
        body = octets[part.body : part.end][:limit]
    return decode(body, parameter(part.params, b"charset") or b"")


def preview(octets: bytes, root: Part, limit: int = PREVIEW_LENGTH) -> str:
    """The first `limit` characters a reader would see, on one line: of the first text/plain part
    that says something, else of the first text/html. Attachments and attached messages are no
    part of it."""
    for media in ("text/plain", "text/html"):
        for part in walk(root, messages=False):
            if part.media != media or _is_attachment(part):
                continue
            shown = text(octets, part, _PREVIEW_OCTETS)
            if media == "text/html":
                shown = _visible(shown)
            # mostly the beginning has enough; of many words each is a character at least
            start = " ".join(shown[: 2 * limit].split())
            if len(start) < limit:
                start = " ".join(shown.split(None, limit)[:limit])
            if start:
                return start[:limit]
    return ""


def _visible(page: str) -> str:
    """The text of an HTML page, roughly: for a line in a list, not for reading."""
    seen, position = [], 0
    for start in _HIDDEN.finditer(page):
        if start.start() < position:
            continue
        seen.append(page[position : start.start()])
        position = _end_of_hidden(page, start)
    seen.append(page[position:])
    return html.unescape(_TAG.sub(" ", "".join(seen)))


def _end_of_hidden(page: str, start: re.Match[str]) -> int:
    closing = f"</{start[1]}" if start[1] else "-->"
    match = re.compile(re.escape(closing), re.IGNORECASE).search(page, start.end())
    return match.start() if match and start[1] else match.end() if match else len(page)


def attachments(root: Part) -> tuple[Attachment, ...]:
    """The parts that a mail program would offer to save, in order. An attached message is one;
    its own parts are not. Signatures are none."""
    return tuple(
        Attachment(part, part.media, _name(part) or "", part.size)
        for part in walk(root, messages=False)
        if not part.is_multipart and _is_attachment(part)
    )


def _is_attachment(part: Part) -> bool:
    disposition = part.disposition
    if disposition is not None and disposition[0].lower() == b"attachment":
        return True
    if part.media in _SIGNATURES:
        return False
    return not part.media.startswith("text/") or bool(_name(part))


def _name(part: Part) -> str | None:
    disposition = part.disposition
    name = parameter_text(disposition[1], b"filename") if disposition else None
    return parameter_text(part.params, b"name") if name is None else name


def header_text(octets: bytes, part: Part) -> Iterator[str]:
    """The fields of a part's header as `Name: value` lines, decoded."""
    for field in fields(octets, part.start, part.body):
        yield f"{decode_words(field.name)}: {decode_words(field.value)}"


def search_text(
    octets: bytes, root: Part, *, header: bool = True, limit: int | None = None
) -> Iterator[str]:
    """Everything IMAP SEARCH TEXT looks at, decoded; without the message's own header for BODY.
    Of each part that is text, its first `limit` octets.

    Of HTML the source, as other servers do; of parts that are not text only the header.
    """
    for part in walk(root, messages=True):
        if header or part is not root:
            yield "\n".join(header_text(octets, part))
        if part.media.startswith("text/"):
            yield text(octets, part, limit)


def encrypted_body(octets: bytes, root: Part) -> tuple[int, int] | None:
    """The span of the armored body where the whole message is exactly RFC 3156 section 4 and
    holds nothing beside it: two parts, version 1, no preamble but the one that mail programs
    write, no epilogue. Else None."""
    if root.media != "multipart/encrypted" or len(root.children) != 2:
        return None
    protocol = parameter(root.params, b"protocol")
    version, body = root.children
    if (
        (protocol or b"").lower() != b"application/pgp-encrypted"
        or version.media != "application/pgp-encrypted"
        or body.media != "application/octet-stream"
        or octets[version.body : version.end].strip() != b"Version: 1"
        or any((part.encoding or b"7bit").lower() != b"7bit" for part in root.children)
    ):
        return None
    boundary = b"--" + (parameter(root.params, b"boundary") or b"")
    between = (
        _without_preamble(octets[root.body : version.start]),
        octets[version.end : body.start],
        octets[body.end : root.end],
    )
    if [gap.strip() for gap in between] != [boundary, boundary, boundary + b"--"]:
        return None
    return body.body, body.end


def _without_preamble(gap: bytes) -> bytes:
    match = _PREAMBLE.match(gap)
    return gap[match.end() :] if match else gap
