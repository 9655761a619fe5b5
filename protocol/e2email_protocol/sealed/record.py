"""What the store holds of one sealed message. Knows no OpenPGP and no MIME."""

import re
from dataclasses import dataclass
from enum import StrEnum

FORMAT_VERSION = 1  # of envelope, body changes and rendering together; unknown ones are refused
RECORD_ID_SIZE = 16  # random, so that ids of different servers never meet
MAX_OUTER = 8 << 10  # the clear header; the largest that policy.py makes is about half of it
MAX_ENVELOPE_MESSAGE = 32 << 10  # the envelope's OpenPGP message: 16 KiB, wrapper, 64 PKESKs
BOUNDARY = re.compile(rb"[0-9A-Za-z]{16,60}")  # RFC 2046 §5.1.1, without what needs quoting
MAX_CRC = 1 << 24


class Form(StrEnum):
    """How the body is kept."""

    SEALED = "sealed"  # an OpenPGP message made on arrival
    VERBATIM = "verbatim"  # octets that the sender encrypted, kept as they came


class Policy(StrEnum):
    """What the clear header around a sealed message shows."""

    SEALED = "sealed"  # nothing
    BASELINE = "baseline"  # who and when, so that replies work in any program


@dataclass(frozen=True, slots=True, repr=False)
class RecordHead:
    """A record without its body: enough for sizes and for rendering by pieces.

    `outer` is whole CRLF-terminated header fields (empty in the verbatim form), `envelope` one
    binary OpenPGP message, `crc` the CRC-24 of the body (0 in the verbatim form).
    Raises ValueError for what compose() never makes.
    """

    record_id: bytes
    form: Form
    version: int
    policy: Policy
    outer: bytes
    boundary: bytes
    envelope: bytes
    crc: int
    body_size: int

    def __post_init__(self) -> None:
        if (
            len(self.record_id) != RECORD_ID_SIZE
            or self.version != FORMAT_VERSION
            or BOUNDARY.fullmatch(self.boundary) is None
            or len(self.outer) > MAX_OUTER
            or not 0 < len(self.envelope) <= MAX_ENVELOPE_MESSAGE
            or not 0 <= self.crc < MAX_CRC
            or self.body_size < 0
        ):
            raise ValueError("not a record of a known form")

    def __repr__(self) -> str:
        """Id, form and size; never the outer header, which names people under `baseline`."""
        name = type(self).__name__
        return f"<{name} {self.record_id.hex()} {self.form} {self.policy} {self.body_size}>"


@dataclass(frozen=True, slots=True, repr=False)
class Record(RecordHead):
    """A record with its body: a binary OpenPGP message, or the delivered octets if verbatim."""

    body: bytes

    def __post_init__(self) -> None:
        RecordHead.__post_init__(self)
        if self.body_size != len(self.body):
            raise ValueError("body_size is not the body's length")
