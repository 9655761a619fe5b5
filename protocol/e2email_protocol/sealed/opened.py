"""From a record to what its owner sees: envelope first, then the body, each against the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from e2email_protocol.mime.address import addresses
from e2email_protocol.mime.text import encrypted_body
from e2email_protocol.sealed.arrival import SMTP
from e2email_protocol.sealed.change import BadChange, invert
from e2email_protocol.sealed.compose import SEAL_FIELD, seal_field
from e2email_protocol.sealed.envelope import Body, Envelope, decode
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.sealer import Opener, Signature
from e2email_protocol.sealed.signed import MAX_SIGNED, split_signed
from e2email_protocol.sealed.summary import Summary, agrees, summarise
from e2email_protocol.sealed.view import opened_view

# What a mail of 50 MiB decrypts to, and some compression; beyond it a bomb is likelier.
MAX_ENTITY = 64 << 20
_ENVELOPE_START = b'{"signature":'


class Refused(ValueError):
    """Opened, and not to be shown as this message."""


class NotThisRecord(Refused):
    """Envelope, body and record id do not belong together."""


class Damaged(Refused):
    """The octets that came back are not those that were delivered."""


class NotEncrypted(Refused):
    """Its envelope says that the sender encrypted it, and there is nothing to open in it."""


class CopyOfStored(Refused):
    """A copy of a message stored in this mailbox was sent by somebody (`sender`, for people).

    Whoever has a stored body (a thief of the server's disk) can mail it to its owner, who alone
    can open it, and hope that the answer quotes it.
    """

    def __init__(self, sender: str) -> None:
        super().__init__("a copy of a message stored in this mailbox was sent as new mail")
        self.sender = sender


class Security(StrEnum):
    """Who encrypted the mail."""

    SENDER = "encrypted by the sender"
    ARRIVAL = "sealed on arrival"
    STORED = "sealed when it was stored"


class Alarm(StrEnum):
    """Something that the server or the way here should not have done."""

    FOREIGN_KEY = "someone else can read this mail"
    SUMMARY = "the mail is not what its summary said"


@dataclass(frozen=True, slots=True)
class OpenedEnvelope:
    """An envelope, whether it was signed by a key we trust, and what is wrong with it."""

    envelope: Envelope
    proven: bool
    alarms: frozenset[Alarm]

    @property
    def verdicts(self) -> tuple[tuple[str, str], ...]:
        """Of the server on the sender; none where the origin is unproven."""
        return self.envelope.arrival.verdicts if self.proven else ()

    @property
    def security(self) -> Security:
        """What may be said to the user about who encrypted this mail."""
        if self.envelope.encrypted:
            return Security.SENDER
        arrived = self.proven and self.envelope.arrival.origin == SMTP
        return Security.ARRIVAL if arrived else Security.STORED


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """A message as its owner sees it.

    `delivered` is what the server accepted behind its own fields; `view` what programs show,
    unequal only for mail that its sender encrypted; `summary` is recomputed from `view`.
    `signatures` are those found inside the sender's encryption.
    """

    envelope: OpenedEnvelope
    delivered: bytes
    view: bytes
    summary: Summary
    signatures: tuple[Signature, ...]
    alarms: frozenset[Alarm]

    @property
    def received(self) -> bytes:
        """The octets that came by SMTP, without our two fields."""
        return self.delivered[self.envelope.envelope.trace :]

    def __repr__(self) -> str:
        """Record id and lengths only."""
        return f"<Opened {self.envelope.envelope!r} view of {len(self.view)} octets>"


def open_envelope(
    message: bytes, *, account: str, record_id: bytes, opener: Opener
) -> OpenedEnvelope:
    """Open the OpenPGP message of an envelope that stands for this record.

    Raises BadEnvelope, UnknownVersion, NotThisRecord and what the opener raises.
    """
    plaintext = opener.open(message, MAX_SIGNED).plaintext
    return read_envelope(message, plaintext, account=account, record_id=record_id, opener=opener)


def read_envelope(
    message: bytes, plaintext: bytes, *, account: str, record_id: bytes, opener: Opener
) -> OpenedEnvelope:
    """The same for a message that was opened already, with many others at once."""
    signed = split_signed(plaintext)
    envelope = decode(signed.envelope)
    if envelope.record_id != record_id or envelope.account != account:
        raise NotThisRecord("the envelope belongs to another record")
    proven = bool(signed.signer) and opener.proves_origin(
        envelope.arrival, signed.signer, signed.envelope, signed.signature
    )
    alarms = _foreign_key(message, envelope, proven, opener)
    return OpenedEnvelope(envelope, proven, alarms)


def open_body(opened: OpenedEnvelope, body: bytes, opener: Opener) -> Opened:
    """Open the stored body that belongs to an envelope, and read it, all in this process.

    Raises NotThisRecord, Damaged, NotEncrypted, CopyOfStored and what the opener raises.
    """
    plaintext = body
    if opened.envelope.body is not Body.VERBATIM:
        plaintext = opener.open(body, plaintext_size(opened.envelope)).plaintext
    mail = Mail(restore(opened.envelope, plaintext))
    summary = summarise(mail)
    alarms = body_alarms(opened, body, opener) | summary_alarms(opened, summary)
    if not opened.envelope.encrypted:
        return Opened(opened, mail.octets, mail.octets, summary, (), alarms)
    span = encrypted_span(encrypted_body(mail.octets, mail.root))
    decrypted = opener.open(mail.octets[slice(*span)], MAX_ENTITY)
    refuse_copy(mail, decrypted.plaintext)
    view = opened_view(mail, decrypted.plaintext)
    signatures = decrypted.signatures
    return Opened(opened, mail.octets, view, summarise(Mail(view)), signatures, alarms)


def summary_alarms(opened: OpenedEnvelope, summary: Summary) -> frozenset[Alarm]:
    """Whether the envelope said what it should; `summary` is made of what was delivered."""
    return frozenset() if agrees(opened.envelope, summary) else frozenset({Alarm.SUMMARY})


def body_alarms(opened: OpenedEnvelope, body: bytes, opener: Opener) -> frozenset[Alarm]:
    """The envelope's, and that of the body's recipients; whoever sent a verbatim one chose them."""
    if opened.envelope.body is Body.VERBATIM:
        return opened.alarms
    return opened.alarms | _foreign_key(body, opened.envelope, opened.proven, opener)


def _foreign_key(
    message: bytes, envelope: Envelope, proven: bool, opener: Opener
) -> frozenset[Alarm]:
    """A key id is only a name, and an old one may be put on a stranger's key.

    Who vouches for an envelope vouches for `keys`: those of one statement, and no others. Since
    then the owner may have resealed it, to the keys of a later statement.
    """
    named = opener.message_key_ids(message)
    if proven:
        own = named in resealable_to(envelope.key_ids, opener.stated_key_ids)
    else:
        own = named <= opener.known_key_ids
    return frozenset() if own else frozenset({Alarm.FOREIGN_KEY})


def resealable_to(
    keys: frozenset[str], stated: Sequence[frozenset[str]]
) -> Sequence[frozenset[str]]:
    """What a record that was sealed to `keys` may be sealed to now, from `keys` themselves on.

    `stated` as in Opener. Sets stated before are none: whoever cannot open a message can still
    take PKESKs away from it, back to the set of an earlier statement. Empty if `keys` are unheard
    of.
    """
    return stated[stated.index(keys) :] if keys in stated else ()


def plaintext_size(envelope: Envelope) -> int:
    """Octets inside the body: what its opening may be limited to."""
    return envelope.size + sum(len(c.inserted) - len(c.removed) for c in envelope.changes)


def restore(envelope: Envelope, plaintext: bytes) -> bytes:
    """The delivered octets from what was sealed (or stored, if verbatim), hash checked.

    Raises NotThisRecord when the body is another record's, Damaged.
    """
    seal = seal_field(envelope.account, envelope.record_id)
    if envelope.body is not Body.VERBATIM and not plaintext.startswith(seal):
        raise NotThisRecord("the body belongs to another record")
    try:
        octets = invert(plaintext, envelope.changes)
    except BadChange as error:
        raise Damaged("the recorded changes do not fit the body") from error
    if len(octets) != envelope.size or hashlib.sha256(octets).digest() != envelope.sha256:
        raise Damaged("the octets are not those that were delivered")
    return octets


def encrypted_span(found: tuple[int, int] | None) -> tuple[int, int]:
    """Where the sender's message stands in a mail that its envelope calls encrypted."""
    if found is None:
        raise NotEncrypted("the envelope calls encrypted what is not")
    return found


def refuse_copy(mail: Mail, entity: bytes) -> None:
    """Raises CopyOfStored where what a sender encrypted is the inside of a stored body or
    envelope. Of `mail` only the header is looked at."""
    if entity.startswith(_ENVELOPE_START) or any(
        one.name == SEAL_FIELD.lower() for one in Mail(entity).fields
    ):
        raise CopyOfStored(_sender(mail))


def _sender(mail: Mail) -> str:
    field = mail.first(b"from")
    people = () if field is None else addresses(field.value, 1)
    return people[0].text if people else ""
