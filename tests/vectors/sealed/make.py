"""Make the vectors of this folder anew, or those that are named.

`python tests/vectors/sealed/make.py [NAME…]` from the root. Encryption is random, so every run
changes every file it makes; the keys in keys.json are kept.
"""

import base64
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1])]

from e2email_crypto.arrival import ArrivalKey  # noqa: E402
from e2email_crypto.gate import recipient  # noqa: E402
from e2email_crypto.keyedit import new_identity  # noqa: E402
from e2email_crypto.seal import seal  # noqa: E402
from e2email_protocol.sealed.armor import crc24  # noqa: E402
from e2email_protocol.sealed.arrival import DEVICE, Arrival, appended  # noqa: E402
from e2email_protocol.sealed.record import Policy, Record  # noqa: E402
from e2email_protocol.sealed.render import render, rendered_sizes  # noqa: E402
from e2email_protocol.sealed.reseal import resealed  # noqa: E402
from e2email_protocol.sealed.signed import Signed, join_signed, split_signed  # noqa: E402
from support.sealing import (  # noqa: E402
    ACCOUNT,
    RealOpener,
    RealSealer,
    armored,
    composed,
    encrypted_mail,
    opened,
    vector_opener,
)

NOW = 1_795_334_400
PLAIN = (
    b"From: Bob Example <bob@example.net>\r\nTo: Alice <alice@example.test>\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sun, 22 Nov 2026 07:59:00 +0000\r\n"
    b"Message-ID: <1@example.net>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe.\r\n"
)
SIGNED = (
    b"From: bob@example.net\r\nTo: alice@example.test\r\nSubject: signed\r\n"
    b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nsigned\r\n--b\r\n"
    b"Content-Type: application/pgp-signature\r\n\r\nnot a real one\r\n--b--\r\n"
)
INNER = (
    b'Content-Type: text/plain; hp="cipher"\r\nSubject: inside\r\nFrom: carol@example.org\r\n'
    b"HP-Outer: Subject: ...\r\n\r\nOnly for Alice.\r\n"
)


def keys() -> dict[str, str]:
    path = HERE / "keys.json"
    if path.exists():
        found: dict[str, str] = json.loads(path.read_text())
        return found
    alice, later, mallory = (
        new_identity(address, "", NOW - 1000)
        for address in (ACCOUNT, ACCOUNT, "mallory@example.org")
    )
    server, device = ArrivalKey.generate(), ArrivalKey.generate()
    made = {
        "account": ACCOUNT,
        "secret_key": text(alice.tsk),
        "certificate": text(alice.cert),
        "later_secret_key": text(later.tsk),
        "later_certificate": text(later.cert),
        "foreign_certificate": text(mallory.cert),
        "arrival_seed": server.seed.hex(),
        "arrival_public": server.public.hex(),
        "arrival_signer": server.key_id,
        "device_seed": device.seed.hex(),
        "device_public": device.public.hex(),
    }
    path.write_text(json.dumps(made, indent=1) + "\n")
    return made


def text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


class Maker:
    """The records of all cases, from the held keys."""

    def __init__(self, held: dict[str, str], opener: RealOpener) -> None:
        self.opener = opener
        self.alice = recipient(base64.b64decode(held["certificate"]), NOW)
        self.mallory = recipient(base64.b64decode(held["foreign_certificate"]), NOW)
        self.server = ArrivalKey(bytes.fromhex(held["arrival_seed"]))
        self.sealer = RealSealer(self.alice, self.server)
        self.later = RealSealer(
            recipient(base64.b64decode(held["later_certificate"]), NOW), self.server
        )
        self.device = RealSealer(self.alice, ArrivalKey(bytes.fromhex(held["device_seed"])))
        self.plain = self.composed(PLAIN)
        self.other = self.composed(PLAIN, record_id=bytes(16))
        self.to_alice = encrypted_mail(armored(seal(INNER, [self.alice])))
        self.to_mallory = encrypted_mail(armored(seal(INNER, [self.mallory])))

    def composed(self, received: bytes, **given: Any) -> Record:
        return composed(received, self.sealer, **given)

    def envelope(self, old: bytes, new: bytes, *, sign: bool = True) -> Record:
        """The plain record with an envelope in which `old` (a pattern) is replaced."""
        signed = split_signed(self.opener.open(self.plain.envelope, 1 << 20).plaintext)
        envelope, count = re.subn(old, new, signed.envelope, count=1)
        assert count == 1
        signature = self.server.sign(envelope) if sign else signed.signature
        wrapped = join_signed(Signed(signed.signer, signature, envelope))
        return replace(self.plain, envelope=self.sealer.seal(wrapped))

    def body(self, message: bytes) -> Record:
        """The plain record with another body."""
        return replace(self.plain, body=message, body_size=len(message), crc=crc24(message))

    def resealed(self, record: Record, sealer: RealSealer) -> Record:
        """The record under the keys of another statement, an earlier one if asked for."""
        new = resealed(record, account=ACCOUNT, opener=self.opener, sealer=sealer)
        body = new.body or record.body
        crc = crc24(body) if new.body else 0
        return replace(record, envelope=new.envelope, body=body, body_size=len(body), crc=crc)

    def cases(self) -> Iterator[tuple[str, str, str, Record]]:
        """(name, expect, what, record)"""
        baseline = {"policy": Policy.BASELINE}
        new, envelope, body = self.composed, self.envelope, self.body
        yield "plain", "opened", "an ordinary mail", self.plain
        yield "baseline", "opened", "policy baseline", new(PLAIN, **baseline)
        yield "signed", "opened", "PGP-signed: a preamble is inserted", new(SIGNED)
        yield "no-header", "opened", "a mail without any header", new(b"\r\nhi\r\n")
        doubled = b"Content-Type: text/html\r\n" + PLAIN
        yield "whole-mixed", "opened", "two Content-Type: wrapped in multipart/mixed", new(doubled)
        odd = b" \r\n" + PLAIN + b"\0\n\r\xff"
        yield "whole-attached", "opened", "begins with white space: wrapped as a file", new(odd)
        many = b"Cc: a@example.org" + b",\r\n a@example.org" * 1200 + b"\r\n" + PLAIN
        yield "omitted", "opened", "Cc is too long for the envelope", new(many)
        others = b"".join(b"X-%08d: 1\r\n" % n for n in range(200))
        yield "omitted-names", "opened", "names of 200 other fields", new(others + PLAIN)
        yield (
            "without-names", "opened", "an envelope made before it had names",
            envelope(rb'"names":\[[^]]*\],', b""),
        )  # fmt: skip
        stored = appended("mutt", "TLSv1.3", NOW)
        yield "appended", "opened", "stored by a program", new(PLAIN, trace=b"", arrival=stored)
        here = {"trace": b"", "arrival": Arrival(DEVICE, "", NOW)}
        yield "device", "opened", "made on a device", composed(PLAIN, self.device, **here)
        yield (
            "device-baseline", "opened", "the same under baseline",
            composed(PLAIN, self.device, **here, **baseline),
        )  # fmt: skip
        yield "device-by-server", "unproven", "the server's key on a device's", new(PLAIN, **here)
        yield (
            "mail-by-device", "unproven", "a device's key on mail that came by SMTP",
            composed(PLAIN, self.device),
        )  # fmt: skip
        yield "encrypted", "opened", "sender-encrypted", new(self.to_alice)
        yield "verbatim", "opened", "the same under baseline", new(self.to_alice, **baseline)
        was_alices = {"resealed": self.plain, "resealed-baseline": new(PLAIN, **baseline)}
        for name, record in was_alices.items():
            yield name, "opened", "sealed anew to a later key", self.resealed(record, self.later)
        yield (
            "resealed-verbatim", "opened", "of a verbatim record the envelope alone is sealed anew",
            self.resealed(new(self.to_alice, **baseline), self.later),
        )  # fmt: skip
        yield (
            "resealed-back", "alarm: foreign key", "sealed to the later key, then back",
            self.resealed(composed(PLAIN, self.later), self.sealer),
        )  # fmt: skip
        yield (
            "names-nobody", "opened", "PGP/MIME to somebody else: sealed, and left as it is",
            new(self.to_mallory, **baseline),
        )  # fmt: skip
        yield (
            "forged-verdict", "unproven", "the signature is of another envelope",
            envelope(rb"pass", b"fail", sign=False),
        )  # fmt: skip
        stranger = RealSealer(self.alice, ArrivalKey(bytes(32)))
        yield "another-signer", "unproven", "a key nobody pinned", composed(PLAIN, stranger)
        plaintext = self.opener.open(self.plain.body, 1 << 20).plaintext
        yield (
            "foreign-key", "alarm: foreign key", "the body is sealed to a second certificate too",
            body(seal(plaintext, [self.alice, self.mallory])),
        )  # fmt: skip
        yield (
            "false-summary", "alarm: summary", "the envelope shows another Subject",
            envelope(rb"\nSubject: [^\r]*", b"\nSubject: false"),
        )  # fmt: skip
        yield (
            "swapped-body", "refused: not this record", "the body of another record",
            body(self.other.body),
        )  # fmt: skip
        yield (
            "swapped-envelope", "refused: not this record", "the envelope of another record",
            replace(self.plain, envelope=self.other.envelope),
        )  # fmt: skip
        yield (
            "wrong-hash", "refused: damaged", "the SHA-256 is of other octets",
            envelope(rb'"sha256":"....', b'"sha256":"0000'),
        )  # fmt: skip
        yield (
            "wrong-change", "refused: damaged", "a recorded change that is not in the body",
            envelope(rb"protected-headers", b"protected-Headers"),
        )  # fmt: skip
        yield (
            "mailed-back", "refused: copy of stored", "a stored body, mailed to its owner",
            new(encrypted_mail(armored(self.other.body))),
        )  # fmt: skip
        yield (
            "mailed-back-envelope", "refused: copy of stored", "a stored envelope, mailed likewise",
            new(encrypted_mail(armored(self.other.envelope)), **baseline),
        )  # fmt: skip
        yield (
            "version-2", "refused: version", "an envelope of version 2",
            envelope(rb'"version":1', b'"version":2'),
        )  # fmt: skip
        yield (
            "not-canonical", "refused: envelope", "a space in the envelope's JSON",
            envelope(rb'"version":1', b'"version": 1'),
        )  # fmt: skip
        yield (
            "body-as-envelope", "refused: envelope", "the body's message as the envelope",
            replace(self.plain, envelope=self.plain.body),
        )  # fmt: skip


def vector(expect: str, what: str, record: Record, opener: RealOpener) -> dict[str, object]:
    """The JSON beside the rendering."""
    made: dict[str, object] = {
        "what": what,
        "expect": expect,
        "id": record.record_id.hex(),
        "form": record.form,
        "policy": record.policy,
        "size": rendered_sizes(record)[0],
        "crc": f"{record.crc:06x}",
    }
    if not expect.startswith("refused"):
        mail = opened(record, opener)
        made["envelope"] = text(
            split_signed(opener.open(record.envelope, 1 << 20).plaintext).envelope
        )
        made["delivered"] = text(mail.delivered)
        made["view"] = text(mail.view)
    return made


def main() -> None:
    held = keys()
    with vector_opener(held) as opener:
        for name, expect, what, record in Maker(held, opener).cases():
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            made = vector(expect, what, record, opener)
            (HERE / f"{name}.eml").write_bytes(render(record).read(0, 1 << 30))
            (HERE / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")


main()
