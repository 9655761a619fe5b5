"""Records that are the same each time, of known sizes, for transcripts. Nobody could open them."""

from e2email_protocol.sealed.armor import crc24
from e2email_protocol.sealed.record import Form, Policy, Record

ENCRYPTED = (
    b"From: bob@example.net\r\nContent-Type: multipart/encrypted;\r\n"
    b' protocol="application/pgp-encrypted"; boundary=x\r\n\r\n'
    b"--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n"
    b"--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"ZWdncyE=\r\n\r\n--x--\r\n"
)


def record(number: int) -> Record:
    body = b"%08d" % number * 3
    return Record(
        record_id=number.to_bytes(16, "big"),
        form=Form.SEALED,
        version=1,
        policy=Policy.SEALED,
        outer=b"Subject: [...]\r\n",
        boundary=b"b" * 24,
        envelope=b"envelope %d" % number,
        crc=crc24(body),
        body_size=len(body),
        body=body,
    )


def verbatim(number: int) -> Record:
    return Record(
        record_id=number.to_bytes(16, "big"),
        form=Form.VERBATIM,
        version=1,
        policy=Policy.BASELINE,
        outer=b"",
        boundary=b"v" * 24,
        envelope=b"envelope",
        crc=crc24(ENCRYPTED),
        body_size=len(ENCRYPTED),
        body=ENCRYPTED,
    )
