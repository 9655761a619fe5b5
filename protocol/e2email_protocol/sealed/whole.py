"""The body as a wrapper around the mail, where its own header cannot be marked safely."""

from e2email_protocol.sealed.change import MAX_CHANGES, Change
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.marked import MARKERS
from e2email_protocol.sealed.policy import copies

_NEVER = frozenset({"multipart/signed", "multipart/encrypted"})  # a wrapper breaks what they mean
_CONTENT = b"content-"


def mixed(mail: Mail, front: bytes, boundary: bytes) -> tuple[Change, ...] | None:
    """The original header above a multipart/mixed whose only child has its Content-* and body."""
    content = [f.field for f in mail.fields if f.name.startswith(_CONTENT)]
    if (
        not mail.whole_header
        or mail.header_end == mail.root.body  # no empty line to put the wrapper before
        or mail.root.media in _NEVER
        or len(content) > MAX_CHANGES - 4
        or b"--" + boundary in mail.octets
    ):
        return None
    if mail.first(b"subject") is None:
        front += b"Subject:\r\n"
    moved = b"".join(mail.octets[f.start : f.end] for f in content)
    child = (
        b"Content-Type: multipart/mixed" + MARKERS + b';\r\n boundary="%b"\r\n\r\n--%b\r\n%b'
    ) % (boundary, boundary, moved)
    return (
        Change(0, b"", front),
        *(Change(f.start, mail.octets[f.start : f.end], b"") for f in content),
        Change(mail.header_end, b"", child),
        Change(len(mail.octets), b"", b"\r\n--%b--\r\n" % boundary),
    )


def attached(mail: Mail, front: bytes) -> tuple[Change, ...]:
    """The delivered octets as a file, under a header that says whose they are. Always possible."""
    header = (
        front
        + copies(mail)
        + b"MIME-Version: 1.0\r\n"
        + b"Content-Type: application/octet-stream"
        + MARKERS
        + b'; name="message.eml"\r\n'
        + b"Content-Transfer-Encoding: binary\r\n"
        + b'Content-Disposition: attachment; filename="message.eml"\r\n\r\n'
    )
    return (Change(0, b"", header),)
