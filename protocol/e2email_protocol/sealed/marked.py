"""The body as the same mail with a marked header: what other people's programs need to show it.

Every function gives recorded changes or None where the mail is not of that shape. Each rule was
tried in Thunderbird, NeoMutt and Mutt; docs/specs/sealed-message.md has the table.
"""

import re

from e2email_protocol.mime.params import parameter
from e2email_protocol.mime.scan import Part
from e2email_protocol.sealed.change import Change
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.policy import copies

# Thunderbird needs the first, RFC 9788 readers the second. Directly after type/subtype, because
# behind an unterminated quoted string they are not seen.
MARKERS = b'; protected-headers="v1"; hp="cipher"'
# Without a charset: `us-ascii` breaks 8-bit text in Thunderbird, none shows it as in clear.
_NO_TYPE = b"Content-Type: text/plain" + MARKERS + b"\r\n"
_NO_SUBJECT = b"Subject:\r\n"  # without it Thunderbird shows the outer `[...]` for ever
_TOKEN = rb"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
_TYPE = re.compile(
    rb"Content-Type[ \t]*:(?:\r\n[ \t]|[ \t])*"
    + _TOKEN
    + rb"/"
    + _TOKEN
    + rb"(?=[ \t\r\n]*(?:;|\Z))",
    re.IGNORECASE,
)
_MARKED = re.compile(rb"(?<![a-z0-9-])(?:hp|protected-headers)[ \t\r\n]*[*=]", re.IGNORECASE)
_UNCLEAN = re.compile(rb"[^\t\r\n -~]|\r(?!\n)|(?<!\r)\n")


def marked(mail: Mail, front: bytes) -> tuple[Change, ...] | None:
    """Changes that put `front` first and mark the header; None if that can't be done safely."""
    if not mail.whole_header:
        return None
    types = list(mail.named(b"content-type"))
    if len(types) > 1:
        return None
    if mail.first(b"subject") is None:
        front += _NO_SUBJECT
    if not types:
        return (Change(0, b"", front + _NO_TYPE),)
    at = _after_type(mail.octets[types[0].start : types[0].end])
    if at is None:
        return None
    changes = (Change(0, b"", front), Change(types[0].start + at, b"", MARKERS))
    return changes + _signed_preamble(mail)


def _after_type(field: bytes) -> int | None:
    match = _TYPE.match(field)
    if match is None or _UNCLEAN.search(field) or _MARKED.search(field):
        return None
    return match.end()


def _signed_preamble(mail: Mail) -> tuple[Change, ...]:
    """A preamble that reads like a header, where Thunderbird looks for the signed one.

    It takes the Subject of a PGP-signed mail from what follows the root header and ignores the
    root's own marker; a preamble is no part of what was signed. S/MIME reads the root.
    """
    if (
        not mail.is_multipart("signed")
        or mail.protocol() != b"application/pgp-signature"
        or not mail.root.children
        or not _preamble_is_empty(mail)
        or has_protected_header(mail.root.children[0])
    ):
        return ()
    lines = b"Content-Type: text/plain" + MARKERS + b"\r\n" + copies(mail) + b"\r\n"
    return (Change(mail.root.body, b"", lines),)


def _preamble_is_empty(mail: Mail) -> bool:
    boundary = parameter(mail.root.params, b"boundary")
    return boundary is not None and mail.octets.startswith(b"--" + boundary, mail.root.body)


def has_protected_header(part: Part) -> bool:
    """Whether the part says that its header is the mail's (RFC 9788, or the older draft)."""
    return any(parameter(part.params, name) is not None for name in (b"hp", b"protected-headers"))
