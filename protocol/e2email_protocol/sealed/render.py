"""A record as an RFC 5322 message: the same octets every time, any stretch of them by itself.

Sealed form: the clear header, `E2email-Envelope`, and RFC 3156 multipart/encrypted. Verbatim form:
`E2email-Envelope`, then the octets as they came. All of ours is 7-bit, in CRLF lines below 998.
"""

import re
from binascii import a2b_base64
from dataclasses import dataclass

from e2email_protocol.sealed.armor import (
    Read,
    armored_size,
    armored_slice,
    base64_lines,
    base64_size,
    crc24,
    dearmor,
)
from e2email_protocol.sealed.policy import is_outer
from e2email_protocol.sealed.record import (
    FORMAT_VERSION,
    MAX_ENVELOPE_MESSAGE,
    MAX_OUTER,
    Form,
    Policy,
    Record,
    RecordHead,
)

ENVELOPE_FIELD = b"E2email-Envelope"
_NEXT_FIELD = b"\r\n" + ENVELOPE_FIELD + b": "
_ENVELOPE = re.compile(
    rb"E2email-Envelope: (?P<version>[0-9]{1,4}); id=(?P<id>[0-9a-f]{32}); "
    rb"policy=(?P<policy>[a-z]+);\r\n(?P<base64>(?: [A-Za-z0-9+/=]{1,64}\r\n)+)"
)
_ENCRYPTED = (
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted";\r\n'
    b' boundary="%(boundary)b"\r\n'
    b"\r\n"
    b"--%(boundary)b\r\n"
    b"Content-Type: application/pgp-encrypted\r\n"
    b"\r\n"
    b"Version: 1\r\n"
    b"\r\n"
    b"--%(boundary)b\r\n"
    b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n'
    b'Content-Disposition: inline; filename="encrypted.asc"\r\n'
    b"\r\n"
)
_TAIL = b"\r\n--%b--\r\n"
_INDENT = b" "
_ENCRYPTED_SIZE = len(_ENCRYPTED % {b"boundary": b""})
_HEADER_SIZE = (_ENCRYPTED % {b"boundary": b""}).index(b"\r\n\r\n") + 4
_NO_BOUNDARY = b"0" * 16  # of a verbatim record that was read back: it renders none
_BOUNDARY_LINE = re.compile(rb' boundary="([0-9A-Za-z]{16,60})"\r\n')


@dataclass(frozen=True, slots=True)
class EnvelopeField:
    """What E2email-Envelope says in clear, and the binary OpenPGP message in it."""

    record_id: bytes
    policy: Policy
    message: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Stored:
    """The two messages of a record, and what else is rendered; a verbatim body is the mail as it
    was delivered."""

    form: Form
    field: EnvelopeField
    outer: bytes
    boundary: bytes
    body: bytes

    @property
    def envelope(self) -> bytes:
        return self.field.message

    def record(self) -> Record:
        """With the checksum computed."""
        return Record(
            record_id=self.field.record_id,
            form=self.form,
            version=FORMAT_VERSION,
            policy=self.field.policy,
            outer=self.outer,
            boundary=self.boundary,
            envelope=self.envelope,
            crc=crc24(self.body) if self.form is Form.SEALED else 0,
            body_size=len(self.body),
            body=self.body,
        )

    def __repr__(self) -> str:
        """Lengths only."""
        return f"<Stored {self.form}, {len(self.body)} octets>"


class Rendered:
    """The octets of one record. `read_body(start, count)` gives stretches of the stored body."""

    def __init__(self, record: RecordHead, read_body: Read) -> None:
        self._record = record
        self._read_body = read_body
        self._head = _head(record)
        self._tail = _tail(record)
        self._body_size = _body_size(record)

    def __repr__(self) -> str:
        return f"<Rendered {self._record!r}>"

    @property
    def size(self) -> int:
        """RFC822.SIZE; nothing of the body is read."""
        return len(self._head) + self._body_size + len(self._tail)

    @property
    def header(self) -> bytes:
        """The message header with its empty line; of the verbatim form only our own field."""
        end = self._head.find(b"\r\n\r\n")
        return self._head if end < 0 else self._head[: end + 4]

    def read(self, start: int, count: int) -> bytes:
        """Octets start … start + count, fewer at the end; reads only what they need."""
        stop = min(start + count, self.size)
        body = len(self._head)
        tail = body + self._body_size
        middle = b""
        if start < tail and stop > body:
            first, last = max(start - body, 0), min(stop - body, self._body_size)
            middle = self._read_rendered_body(first, last - first)
        return (
            self._head[start:stop] + middle + self._tail[max(start - tail, 0) : max(stop - tail, 0)]
        )

    def _read_rendered_body(self, start: int, count: int) -> bytes:
        record = self._record
        if record.form is Form.VERBATIM:
            return self._read_body(start, count)
        return armored_slice(self._read_body, record.body_size, record.crc, start, count)


def render(record: Record) -> Rendered:
    """The rendering of a record whose body is in memory."""
    return Rendered(record, lambda start, count: record.body[start : start + count])


def rendered_sizes(record: RecordHead) -> tuple[int, int]:
    """(RFC822.SIZE, size of the header) of a record: arithmetic, nothing is rendered."""
    field = len(_field_start(record)) + base64_size(len(record.envelope), len(_INDENT))
    if record.form is Form.VERBATIM:
        return field + record.body_size, field
    boundary = len(record.boundary)
    header = len(record.outer) + field + _HEADER_SIZE + boundary
    rest = _ENCRYPTED_SIZE - _HEADER_SIZE + 2 * boundary + armored_size(record.body_size)
    return header + rest + len(_tail(record)), header


def envelope_field(record: RecordHead) -> bytes:
    """The header field that a client lists a mailbox by."""
    return _field_start(record) + base64_lines(record.envelope, _INDENT)


def _field_start(record: RecordHead) -> bytes:
    return b"%b: %d; id=%b; policy=%b;\r\n" % (
        ENVELOPE_FIELD,
        record.version,
        record.record_id.hex().encode(),
        record.policy.encode(),
    )


def _head(record: RecordHead) -> bytes:
    field = envelope_field(record)
    if record.form is Form.VERBATIM:
        return field
    return record.outer + field + _ENCRYPTED % {b"boundary": record.boundary}


def _tail(record: RecordHead) -> bytes:
    return b"" if record.form is Form.VERBATIM else _TAIL % record.boundary


def _body_size(record: RecordHead) -> int:
    return record.body_size if record.form is Form.VERBATIM else armored_size(record.body_size)


def parse_envelope_field(octets: bytes) -> EnvelopeField | None:
    """A fetched E2email-Envelope field, an empty line after it or not.

    None for anything that envelope_field() does not make.
    """
    match = _ENVELOPE.match(octets)
    if match is None or octets[match.end() :] not in (b"", b"\r\n"):
        return None
    return _envelope_field(match)


def _envelope_field(match: re.Match[bytes]) -> EnvelopeField | None:
    try:
        message = a2b_base64(match["base64"])
        shown = Policy(match["policy"].decode())
    except ValueError:
        return None
    if int(match["version"]) != FORMAT_VERSION or not 0 < len(message) <= MAX_ENVELOPE_MESSAGE:
        return None
    return EnvelopeField(bytes.fromhex(match["id"].decode()), shown, message)


def parse_rendered(octets: bytes) -> Record | None:
    """The record whose rendering is exactly these octets, None for everything else.

    Whose keys it is sealed to is the caller's question (PKESK ids of envelope and body).
    """
    found = stored_messages(octets)
    if found is None or not is_outer(found.outer, found.field.policy, found.form):
        return None
    record = found.record()
    rendered = render(record)
    return record if rendered.read(0, rendered.size) == octets else None


def stored_messages(octets: bytes) -> Stored | None:
    """What of a rendering is to be opened. Clear header and checksum are not looked at: what was
    opened proves itself."""
    start = 0 if octets.startswith(ENVELOPE_FIELD) else octets.find(_NEXT_FIELD, 0, MAX_OUTER) + 2
    match = _ENVELOPE.match(octets, start)
    field = None if match is None else _envelope_field(match)
    if match is None or field is None:
        return None
    if start == 0:
        return Stored(Form.VERBATIM, field, b"", _NO_BOUNDARY, octets[match.end() :])
    at = match.end()
    boundary = _BOUNDARY_LINE.search(octets, at, at + len(_ENCRYPTED))
    if boundary is None:
        return None
    head = len(_ENCRYPTED % {b"boundary": boundary[1]})
    body = dearmor(octets, at + head, len(octets) - len(_TAIL % boundary[1]))
    return None if body is None else Stored(Form.SEALED, field, octets[:start], boundary[1], body)
