"""Old mail under the keys of today: what is inside stays octet for octet, the encryption is new.

Envelope octets and arrival signature are those of the day on which the mail came, so that what
was proven stays proven. A verbatim body is what its sender encrypted and stays as it is: with
another PKESK in it, it would not be what was delivered any more.
"""

import hashlib
from dataclasses import dataclass

from e2email_protocol.mime.text import encrypted_body
from e2email_protocol.sealed.envelope import Body
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.opened import (
    Alarm,
    NotThisRecord,
    OpenedEnvelope,
    Refused,
    body_alarms,
    encrypted_span,
    plaintext_size,
    read_envelope,
    restore,
)
from e2email_protocol.sealed.record import MAX_ENVELOPE_MESSAGE, Form, Record
from e2email_protocol.sealed.sealer import Opener, Sealer
from e2email_protocol.sealed.signed import MAX_SIGNED

_LENGTH = 4  # octets in front of the envelope when both messages travel together
DIGEST_SIZE = 32
# 64 PKESKs of RSA-4096 in place of one of X25519 are 34 KiB more
MAX_GROWTH = 64 * 1024


class NotResealed(Refused):
    """Left as it is, for the reason in the text: an alarm, whose evidence its PKESKs are, or a
    new form that is not proved."""


@dataclass(frozen=True, slots=True, repr=False)
class Messages:
    """The two OpenPGP messages of a record; `body` is empty where the form is verbatim.

    `senders`: the keys that the mail's sender encrypted it to, whose encryption stays inside.
    """

    envelope: bytes
    body: bytes
    senders: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Lengths only."""
        return f"<Messages {len(self.envelope)} and {len(self.body)} octets>"

    def encode(self) -> bytes:
        """As the account API carries them: length of the envelope in 4 octets, envelope, body."""
        return len(self.envelope).to_bytes(_LENGTH) + self.envelope + self.body

    @classmethod
    def decode(cls, octets: bytes) -> "Messages":
        """Raises ValueError."""
        end = _LENGTH + int.from_bytes(octets[:_LENGTH])
        if not _LENGTH < end <= min(len(octets), _LENGTH + MAX_ENVELOPE_MESSAGE):
            raise ValueError("not the messages of a record")
        return cls(octets[_LENGTH:end], octets[end:])


def digest(envelope: bytes) -> bytes:
    """What names one form of a record in a compare-and-swap: SHA-256 of its envelope's message.

    Sealing draws a fresh session key, so that no two forms have it in common; both messages are
    always exchanged together.
    """
    return hashlib.sha256(envelope).digest()


def resealed(record: Record, *, account: str, opener: Opener, sealer: Sealer) -> Messages:
    """The record's messages, sealed to the keys of `sealer`, and opened again by `opener`.

    Raises what opening raises (Refused, BadEnvelope, the adapters' own errors) and NotResealed;
    then nothing of it may be stored. Of a 50 MiB body four copies are held.
    """
    plaintext = opener.open(record.envelope, MAX_SIGNED).plaintext
    held = read_envelope(
        record.envelope, plaintext, account=account, record_id=record.record_id, opener=opener
    )
    _check(held, record, opener)
    envelope = _proved(plaintext, MAX_SIGNED, opener, sealer)
    if len(envelope) > MAX_ENVELOPE_MESSAGE:
        raise NotResealed("the envelope is too large for so many keys")
    if record.form is Form.VERBATIM:
        return Messages(envelope, b"", _senders(held, record.body, sealer))
    size = plaintext_size(held.envelope)
    plaintext = opener.open(record.body, size).plaintext
    senders = _senders(held, restore(held.envelope, plaintext), sealer)
    return Messages(envelope, _proved(plaintext, size, opener, sealer), senders)


def _check(held: OpenedEnvelope, record: Record, opener: Opener) -> None:
    if (record.form is Form.VERBATIM) != (held.envelope.body is Body.VERBATIM):
        raise NotThisRecord("the envelope is that of another form")
    if Alarm.FOREIGN_KEY in body_alarms(held, record.body, opener):
        raise NotResealed("it is sealed to a key that is not the account's")


def _senders(held: OpenedEnvelope, delivered: bytes, sealer: Sealer) -> frozenset[str]:
    if not held.envelope.encrypted:
        return frozenset()
    mail = Mail(delivered)
    start, end = encrypted_span(encrypted_body(delivered, mail.root))
    return sealer.message_key_ids(delivered[start:end])


def _proved(plaintext: bytes, limit: int, opener: Opener, sealer: Sealer) -> bytes:
    """Sealed anew, for the old form will be gone: to exactly these keys, and it opens to this."""
    message = sealer.seal(plaintext)
    if opener.message_key_ids(message) != sealer.key_ids:
        raise NotResealed("it came out sealed to other keys than asked")
    if opener.open(message, limit).plaintext != plaintext:
        raise NotResealed("its new form does not open to the same octets")
    return message
