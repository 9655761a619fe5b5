"""From what the server serves to what its owner sees. Keys stay in the worker processes.

Three ends for a record: opened; a notice, when it can never be opened (State.UNREADABLE); or
nothing yet, when a worker died or ran out of time and it is worth trying again (Later). Where only
the sender's own encryption does not open, what was delivered is known all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from e2email_client.digest import Digest, digest, people
from e2email_client.failure import Offline
from e2email_client.local import published
from e2email_client.local.mails import Body, Security, State, Summary
from e2email_client.notice import DELIVERED, SEALED, notice
from e2email_crypto.armor import dearmor
from e2email_crypto.arrival import key_id, verify_arrival
from e2email_crypto.errors import BadArmor, BadMessage, CryptoError, OpenFailed, TooLarge
from e2email_crypto.open import MAX_MESSAGE, Opened, OpenPool
from e2email_crypto.packets import message_key_ids
from e2email_protocol.mime.envelope import envelope as imap_envelope
from e2email_protocol.sealed import opened as sealed
from e2email_protocol.sealed.arrival import DEVICE, SMTP, Arrival
from e2email_protocol.sealed.envelope import BadEnvelope
from e2email_protocol.sealed.envelope import Body as BodyKind
from e2email_protocol.sealed.record import Form, Record
from e2email_protocol.sealed.render import parse_envelope_field, parse_rendered
from e2email_protocol.sealed.sealer import Decrypted, Signature
from e2email_protocol.sealed.signed import MAX_SIGNED
from e2email_protocol.sealed.summary import NAMES

_ARMOR = b"-----BEGIN PGP MESSAGE-----"
_EMAIL_ID = re.compile(r"E[0-9a-f]{32}", re.ASCII)
UNPROVEN = "unproven"
# One worker may be killed by a machine that is short of memory just then.
FRESH_DEATHS = 2
_NO_RECORD = "What the server holds is not a sealed message of this program's format."

T = TypeVar("T")


class Later(Exception):
    """Not opened this time, for a reason that may pass: a worker died or ran out of time."""


class Unreadable(Exception):
    """Can never be opened. The text is a sentence of ours for the user."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.alarms: frozenset[sealed.Alarm] = frozenset()  # what is wrong with it besides


class _TooMuch(CryptoError):
    """Two workers that had met nothing else died of this message, or ran out of time."""


@dataclass(frozen=True, slots=True)
class Device:
    """A key that an account's statements name, for what its devices make."""

    public: bytes  # Ed25519
    until: int | None = None  # time of the statement that no longer names it


def _no_device(_signer: str) -> Device | None:
    return None


@dataclass(frozen=True, slots=True)
class Keys:
    """Public facts of the account that opening is judged by."""

    account: str
    stated_key_ids: frozenset[frozenset[str]]  # encryption subkeys, a set for each statement
    signers: tuple[bytes, ...]  # Ed25519: the server's arrival keys
    certificates: tuple[bytes, ...] = ()  # whose signatures inside encrypted mail are judged
    # key id → the device; may ask the server, and raises Offline where that does not answer
    device: Callable[[str], Device | None] = _no_device


class Opening:
    """Opens envelopes and bodies of one account. Blocks; thread-safe; close() ends the workers."""

    def __init__(self, keys: Keys, secret_keys: Sequence[bytes], workers: int = 2) -> None:
        self._keys = keys
        self._pool = OpenPool(workers, *secret_keys)
        self._adapter = _Adapter(keys, self._pool)

    def __repr__(self) -> str:
        return f"Opening({self._keys.account})"

    def close(self) -> None:
        self._pool.close()

    def envelopes(
        self, found: Sequence[tuple[str, bytes]]
    ) -> list[tuple[str, Summary | Unreadable | Later]]:
        """(email id, fetched E2email-Envelope field) → its summary, or why there is none."""
        fields = [(email_id, parse_envelope_field(octets)) for email_id, octets in found]
        messages = [field.message if field else b"" for _, field in fields]
        results: list[tuple[str, Summary | Unreadable | Later]] = []
        for (email_id, field), outcome in zip(
            fields, self._pool.open_many(messages, MAX_SIGNED), strict=True
        ):
            message = field.message if field else None
            plaintext = _plaintext(outcome)
            result = _attempt(lambda: _summary(self._envelope(email_id, message, plaintext)))  # noqa: B023
            results.append((email_id, result))
        return results

    def _envelope(
        self, email_id: str, message: bytes | None, plaintext: bytes | OpenFailed
    ) -> sealed.OpenedEnvelope:
        if message is None:
            raise Unreadable(_NO_RECORD)
        return sealed.read_envelope(
            message,
            _or_raise(plaintext),
            account=self._keys.account,
            record_id=record_id(email_id),
            opener=self._adapter,
        )

    def bodies(
        self, found: Iterable[tuple[str, bytes]]
    ) -> list[tuple[str, tuple[Summary, Body] | Later]]:
        """(email id, rendered record) → what is shown for it; a notice where it is unreadable."""
        kept = list(found)
        records = [parse_rendered(octets) for _, octets in kept]
        envelopes = self._opened([r.envelope if r else b"" for r in records], MAX_SIGNED)
        bodies = self._opened(
            [r.body if r and r.form is Form.SEALED else b"" for r in records], sealed.MAX_ENTITY
        )
        results: list[tuple[str, tuple[Summary, Body] | Later]] = []
        for (email_id, octets), record, envelope, body in zip(
            kept, records, envelopes, bodies, strict=True
        ):
            outcome = _attempt(
                lambda: self._mail(email_id, record, envelope, body)  # noqa: B023
            )
            if isinstance(outcome, Unreadable):
                outcome = _unreadable(outcome, octets)
            results.append((email_id, outcome))
        return results

    def _opened(self, messages: list[bytes], most: int) -> list[bytes | OpenFailed]:
        return [_plaintext(outcome) for outcome in self._pool.open_many(messages, most)]

    def _mail(
        self,
        email_id: str,
        record: Record | None,
        envelope: bytes | OpenFailed,
        body: bytes | OpenFailed,
    ) -> tuple[Summary, Body]:
        if record is None:
            raise Unreadable(_NO_RECORD)
        known = self._envelope(email_id, record.envelope, envelope)
        try:
            return self._known(known, record, body)
        except (CryptoError, sealed.Refused) as error:
            outcome = _judged(error)
            if isinstance(outcome, Unreadable):
                outcome.alarms = sealed.body_alarms(known, record.body, self._adapter)
            raise outcome from error

    def _known(
        self, known: sealed.OpenedEnvelope, record: Record, body: bytes | OpenFailed
    ) -> tuple[Summary, Body]:
        """A record whose envelope is open."""
        verbatim = known.envelope.body is BodyKind.VERBATIM
        plaintext = record.body if verbatim else _or_raise(body)
        try:
            opened = sealed.read_body(known, record.body, plaintext, self._adapter)
        except (CryptoError, sealed.CopyOfStored) as error:
            why = _judged(error)
            if isinstance(why, Later):
                raise
            # of the sender's encryption: what it is in is checked before
            mail, alarms = sealed.read_delivered(known, record.body, plaintext, self._adapter)
            return _closed(str(why), mail.octets, known, alarms)
        facts = digest(opened.view)
        return _final(opened, facts), Body(
            opened.view, opened.delivered, known.envelope.trace, facts.header, facts.text
        )


def record_id(email_id: str) -> bytes:
    """EMAILID is `E` and the record id in hex (docs/specs/sealed-message.md); b"" for another."""
    return bytes.fromhex(email_id[1:]) if _EMAIL_ID.fullmatch(email_id) else b""


def _plaintext(outcome: Opened | OpenFailed) -> bytes | OpenFailed:
    return outcome if isinstance(outcome, OpenFailed) else outcome.plaintext


def _or_raise(plaintext: bytes | OpenFailed) -> bytes:
    if isinstance(plaintext, OpenFailed):
        raise plaintext
    return plaintext


def _attempt(action: Callable[[], T]) -> T | Unreadable | Later:
    """The one place where failures of opening become the user's sentences."""
    try:
        return action()
    except (Unreadable, Later) as outcome:
        return outcome
    except (CryptoError, sealed.Refused, BadEnvelope) as error:
        return _judged(error)


_WHY: tuple[tuple[type[Exception], str], ...] = (
    (_TooMuch, "To open what its sender encrypted takes more memory or time than is allowed."),
    (sealed.NotThisRecord, "The server put the parts of different messages together."),
    (sealed.Damaged, "Its octets are not those that were delivered."),
)
_NO_FORMAT = "Its format is not known to this version of the program, or it is damaged."


def _judged(error: Exception) -> Unreadable | Later:
    if isinstance(error, OpenFailed):
        if not error.final:
            return Later()
        return Unreadable("It is damaged, or sealed to a key that is not in this account's vault.")
    if isinstance(error, sealed.CopyOfStored):
        who = error.sender or "an unnamed sender"
        return Unreadable(f"A copy of a message stored in this mailbox was sent to you by {who}.")
    return Unreadable(next((why for kind, why in _WHY if isinstance(error, kind)), _NO_FORMAT))


def _summary(opened: sealed.OpenedEnvelope) -> Summary:
    """From the envelope alone. CLOSED where the octets must be opened before anything is shown."""
    envelope = opened.envelope
    seen = people(envelope.fields)
    # an envelope that nobody vouches for could say anything: what was announced never changes
    left_out = set(envelope.omitted) - {NAMES}  # without them it is only answered less
    final = opened.proven and not envelope.encrypted and not left_out
    return Summary(
        state=State.READY if final else State.CLOSED,
        size=envelope.size,
        envelope=imap_envelope(envelope.fields),
        structure=envelope.structure or b"",
        fields=envelope.fields,
        preview=envelope.preview or "",
        date=seen.date,
        subject=seen.subject,
        sender=seen.sender,
        recipients=seen.recipients,
        attachments=envelope.attachments,
        security=_security(opened, opened.alarms, ()),
        names=published.pack(envelope.names),
    )


def _final(opened: sealed.Opened, facts: Digest) -> Summary:
    """From the octets: this is what counts, whatever the envelope said."""
    return Summary(
        state=State.OPENED,
        size=facts.size,
        envelope=facts.envelope,
        structure=facts.structure,
        fields=b"".join(raw for _, raw in opened.summary.fields),
        preview=facts.preview,
        date=facts.people.date,
        subject=facts.people.subject,
        sender=facts.people.sender,
        recipients=facts.people.recipients,
        attachments=facts.attachments,
        security=_security(opened.envelope, opened.alarms, opened.signatures),
        names=published.pack(opened.summary.names),
    )


def _security(
    opened: sealed.OpenedEnvelope,
    alarms: frozenset[sealed.Alarm],
    signatures: Sequence[Signature],
) -> Security:
    # several signatures: the best one counts, a bad one beside it proves nothing
    best = min(signatures, key=lambda s: s.verdict != "valid", default=None)
    return Security(
        encryption=opened.security.value,
        origin=opened.envelope.arrival.origin if opened.proven else UNPROVEN,
        signature=best.verdict if best else "none",
        signer=best.fingerprint if best else "",
        alarms=tuple(sorted(alarm.value for alarm in alarms)),
        verdicts=dict(opened.verdicts) if opened.envelope.arrival.origin == SMTP else {},
    )


def _unreadable(why: Unreadable, octets: bytes) -> tuple[Summary, Body]:
    """`octets` are what the server holds: nothing else is known."""
    security = Security("unreadable", UNPROVEN, alarms=_alarms(str(why), why.alarms))
    summary, shown, facts = _noticed(str(why), octets, SEALED, security)
    return summary, Body(shown, shown, 0, facts.header, facts.text)


def _closed(
    why: str, delivered: bytes, known: sealed.OpenedEnvelope, alarms: frozenset[sealed.Alarm]
) -> tuple[Summary, Body]:
    """Only the sender's encryption stays closed: how the mail came is known."""
    security = replace(
        _security(known, alarms, ()), encryption="unreadable", alarms=_alarms(why, alarms)
    )
    summary, shown, facts = _noticed(why, delivered, DELIVERED, security)
    return summary, Body(shown, delivered, known.envelope.trace, facts.header, facts.text)


def _alarms(why: str, alarms: frozenset[sealed.Alarm]) -> tuple[str, ...]:
    return (why, *sorted(alarm.value for alarm in alarms))


def _noticed(
    why: str, octets: bytes, name: str, security: Security
) -> tuple[Summary, bytes, Digest]:
    shown = notice(why, octets, name)
    facts = digest(shown)
    summary = Summary(
        state=State.UNREADABLE,
        size=facts.size,
        envelope=facts.envelope,
        structure=facts.structure,
        fields=facts.header,
        preview=why,
        date=0,
        subject=facts.people.subject,
        sender=facts.people.sender,
        recipients="",
        attachments=1,
        security=security,
    )
    return summary, shown, facts


class _Adapter:
    """The Opener that protocol/…/sealed is handed."""

    def __init__(self, keys: Keys, pool: OpenPool) -> None:
        self._keys = keys
        self._pool = pool
        self._signers = {key_id(public): public for public in keys.signers}
        self._known = frozenset[str]().union(*keys.stated_key_ids)

    @property
    def known_key_ids(self) -> frozenset[str]:
        return self._known

    @property
    def stated_key_ids(self) -> frozenset[frozenset[str]]:
        return self._keys.stated_key_ids

    def open(self, message: bytes, max_plaintext: int) -> Decrypted:
        opened = self._opened(_binary(message), max_plaintext)
        return Decrypted(
            opened.plaintext,
            tuple(Signature(one.state.value, one.fingerprint) for one in opened.signatures),
        )

    def _opened(self, message: bytes, max_plaintext: int) -> Opened:
        """OpenFailed that is not final says nothing about the message; _TooMuch does.

        A worker may die of something else, or not start. It is this message if it takes, alone, a
        fresh worker with it, and then another.
        """
        deaths, fresh = 0, False
        while True:
            try:
                return self._pool.open(message, max_plaintext, self._keys.certificates, fresh=fresh)
            except OpenFailed as error:
                if error.final or (fresh and not error.alone):
                    raise
                deaths += error.alone
                if deaths == FRESH_DEATHS:
                    raise _TooMuch("takes too much memory or time") from None
            fresh = True

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        try:
            return message_key_ids(_binary(message))
        except (BadArmor, BadMessage, TooLarge):
            return frozenset()

    def proves_origin(
        self, arrival: Arrival, signer: str, envelope: bytes, signature: bytes
    ) -> bool:
        """Raises Later where it takes the server to know, and that is not reached."""
        if arrival.origin == DEVICE:
            public = self._device(signer, arrival.time)
        else:
            public = self._signers.get(signer)
        return public is not None and verify_arrival(public, envelope, signature)

    def _device(self, signer: str, time: int) -> bytes | None:
        try:
            device = self._keys.device(signer)
        except Offline:
            raise Later from None
        if device is None or (device.until is not None and time > device.until):
            return None
        return device.public


def _binary(message: bytes) -> bytes:
    if message.lstrip().startswith(_ARMOR):
        return dearmor(message, b"MESSAGE", MAX_MESSAGE)
    return message
