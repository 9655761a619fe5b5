"""Sealers and openers for tests: real ones over e2email_crypto, and a fake one for speed."""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from e2email_crypto.armor import dearmor
from e2email_crypto.arrival import ArrivalKey, key_id, verify_arrival
from e2email_crypto.errors import BadArmor, BadMessage, TooLarge
from e2email_crypto.gate import Recipient, recipient
from e2email_crypto.open import OpenWorker
from e2email_crypto.packets import message_key_ids
from e2email_crypto.seal import seal
from e2email_protocol.sealed.armor import armored_slice, crc24
from e2email_protocol.sealed.arrival import DEVICE, Arrival
from e2email_protocol.sealed.compose import compose
from e2email_protocol.sealed.opened import Opened, open_body, open_envelope
from e2email_protocol.sealed.record import Policy, Record
from e2email_protocol.sealed.sealer import Decrypted, Opener, Sealer, Signature

ACCOUNT = "alice@example.test"
RECORD_ID = bytes(range(16))
BOUNDARY = b"0123456789abcdef0123456789abcdef"
TRACE = (
    b"Return-Path: <bob@example.net>\r\n"
    b"Received: from mx.example.net ([192.0.2.7]) by mail.example.test with ESMTPS\r\n"
    b" id 000102030405060708090a0b0c0d0e0f; Sun, 22 Nov 2026 07:00:00 +0000\r\n"
)
ARRIVED = Arrival(
    "smtp", "TLSv1.3", 1_795_334_400, (("dkim", "pass example.net"), ("spf", "pass example.net"))
)
ARMOR = b"-----BEGIN PGP MESSAGE-----"
MAX_ARMOR = 128 << 20


def real_key_ids(message: bytes) -> frozenset[str]:
    try:
        if message.lstrip().startswith(ARMOR):
            message = dearmor(message, b"MESSAGE", MAX_ARMOR)
        return message_key_ids(message)
    except (BadArmor, BadMessage, TooLarge):
        return frozenset()


@dataclass(frozen=True)
class RealSealer:
    """Seals to a gated certificate and signs with an arrival key."""

    recipient: Recipient
    arrival_key: ArrivalKey

    @property
    def key_ids(self) -> frozenset[str]:
        return self.recipient.key_ids

    @property
    def known_key_ids(self) -> frozenset[str]:
        return self.recipient.key_ids

    @property
    def signer(self) -> str:
        return self.arrival_key.key_id

    def seal(self, plaintext: bytes) -> bytes:
        return seal(plaintext, [self.recipient])

    def sign(self, envelope: bytes) -> bytes:
        return self.arrival_key.sign(envelope)

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        return real_key_ids(message)


@dataclass(frozen=True)
class RealOpener:
    """Opens in a worker process; trusts one arrival key and one device."""

    worker: OpenWorker
    known_key_ids: frozenset[str]
    pinned: bytes
    certs: tuple[bytes, ...] = ()
    now: int | None = None
    device: bytes = bytes(32)  # public key of one of the account's devices
    stated: tuple[frozenset[str], ...] = ()  # key ids of each statement, oldest first

    @property
    def stated_key_ids(self) -> tuple[frozenset[str], ...]:
        return self.stated or (self.known_key_ids,)

    def open(self, message: bytes, max_plaintext: int) -> Decrypted:
        if message.lstrip().startswith(ARMOR):
            message = dearmor(message, b"MESSAGE", MAX_ARMOR)
        opened = self.worker.open(message, max_plaintext, self.certs, self.now)
        signatures = tuple(Signature(str(s.state), s.fingerprint) for s in opened.signatures)
        return Decrypted(opened.plaintext, signatures)

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        return real_key_ids(message)

    def proves_origin(
        self, arrival: Arrival, signer: str, envelope: bytes, signature: bytes
    ) -> bool:
        public = self.device if arrival.origin == DEVICE else self.pinned
        return signer == key_id(public) and verify_arrival(public, envelope, signature)


@contextmanager
def vector_opener(keys: Mapping[str, str]) -> Iterator[RealOpener]:
    """The opener of tests/vectors/sealed/keys.json, whose history has two statements."""
    now = 1_795_334_400
    names = ("", "later_")
    stated = tuple(recipient(b64decode(keys[f"{name}certificate"]), now).key_ids for name in names)
    public, device = (bytes.fromhex(keys[f"{name}_public"]) for name in ("arrival", "device"))
    with OpenWorker(*(b64decode(keys[f"{name}secret_key"]) for name in names)) as worker:
        known = stated[0] | stated[1]
        yield RealOpener(worker, known, public, (), now, device, stated)


_MIRROR = bytes(255 - octet for octet in range(256))  # no word of the plaintext stays readable
_FAKE = re.compile(rb"FAKE ((?:[0-9A-F]{16} )+)\n", re.DOTALL)


def fake_message(plaintext: bytes, *key_ids: str) -> bytes:
    """What FakeIdentity takes for an OpenPGP message to these keys."""
    return b"FAKE %b \n" % " ".join(key_ids).encode() + plaintext.translate(_MIRROR)


@dataclass(frozen=True)
class FakeIdentity:
    """Sealer and opener of one account without any cryptography: for speed, and to make faults."""

    key_ids: frozenset[str] = frozenset({"00000000000000A1"})
    known_key_ids: frozenset[str] = frozenset({"00000000000000A1", "00000000000000A0"})
    signer: str = "5e5e5e5e5e5e5e5e"
    trusted: frozenset[str] = frozenset({"5e5e5e5e5e5e5e5e"})
    signatures: tuple[Signature, ...] = field(default=())
    stated_key_ids: tuple[frozenset[str], ...] = (
        frozenset({"00000000000000A0"}),
        frozenset({"00000000000000A1"}),
    )

    def seal(self, plaintext: bytes) -> bytes:
        return fake_message(plaintext, *sorted(self.key_ids))

    def sign(self, envelope: bytes) -> bytes:
        return (b"%08x" % (hash(envelope) & 0xFFFFFFFF)) * 8

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        match = _FAKE.match(self._binary(message))
        return frozenset(match[1].decode().split()) if match else frozenset()

    def open(self, message: bytes, max_plaintext: int) -> Decrypted:
        message = self._binary(message)
        match = _FAKE.match(message)
        if match is None or not self.message_key_ids(message) & self.known_key_ids:
            raise ValueError("cannot be opened")
        plaintext = message[match.end() :].translate(_MIRROR)
        if len(plaintext) > max_plaintext:
            raise ValueError("too large")
        return Decrypted(plaintext, self.signatures)

    def proves_origin(
        self, arrival: Arrival, signer: str, envelope: bytes, signature: bytes
    ) -> bool:
        return signer in self.trusted and signature == self.sign(envelope)

    def but(self, **changes: object) -> "FakeIdentity":
        return replace(self, **changes)

    def _binary(self, message: bytes) -> bytes:
        text = message.strip()
        if not text.startswith(ARMOR):
            return message
        lines = text.split(b"\r\n\r\n", 1)[-1].split(b"\r\n")
        return b64decode(b"".join(line for line in lines if line[:1] not in (b"=", b"-")))


def armored(message: bytes) -> bytes:
    return armored_slice(lambda a, n: message[a : a + n], len(message), crc24(message), 0, 1 << 30)


def composed(
    received: bytes,
    sealer: Sealer,
    *,
    policy: Policy = Policy.SEALED,
    trace: bytes = TRACE,
    arrival: Arrival = ARRIVED,
    record_id: bytes = RECORD_ID,
) -> Record:
    """compose() with the constants of this module."""
    return compose(
        trace,
        received,
        account=ACCOUNT,
        record_id=record_id,
        boundary=BOUNDARY,
        policy=policy,
        arrival=arrival,
        sealer=sealer,
    )


def opened(record: Record, opener: Opener) -> Opened:
    """Envelope and body of a record, both opened."""
    envelope = open_envelope(
        record.envelope, account=ACCOUNT, record_id=record.record_id, opener=opener
    )
    return open_body(envelope, record.body, opener)


def encrypted_mail(ciphertext: bytes, *, outer: bytes = b"", preamble: bytes = b"") -> bytes:
    """A mail that its sender encrypted (RFC 3156), around an armored message."""
    return (
        (outer or b"From: Carol <carol@example.org>\r\nTo: alice@example.test\r\nSubject: ...\r\n")
        + b"MIME-Version: 1.0\r\n"
        + b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted";\r\n'
        + b' boundary="b1"\r\n\r\n'
        + preamble
        + b"--b1\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n"
        + b"--b1\r\nContent-Type: application/octet-stream\r\n\r\n"
        + ciphertext
        + b"\r\n--b1--\r\n"
    )
