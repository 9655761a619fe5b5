"""From what the server serves to what its owner sees. Keys stay in the worker processes, and what
others wrote is parsed in processes without keys (parsing.py).

Three ends for a record: opened; a notice, when it can never be opened (State.UNREADABLE); or
nothing yet, when a worker died or ran out of time and it is worth trying again (Later). Where only
the sender's own encryption does not open, what was delivered is known all the same.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TypeVar

from e2email_client.digest import MAX_TEXT, Digest, Heading
from e2email_client.failure import Offline
from e2email_client.local import published
from e2email_client.local.chunks import LARGE
from e2email_client.local.fold import fold
from e2email_client.local.mails import Body, Security, State, Summary
from e2email_client.notice import DELIVERED, SEALED, notice
from e2email_client.parsing import NoParser, Parsing
from e2email_crypto.armor import dearmor
from e2email_crypto.arrival import key_id, verify_arrival
from e2email_crypto.errors import BadArmor, BadMessage, CryptoError, OpenFailed, TooLarge
from e2email_crypto.open import MAX_MESSAGE, Opened, OpenPool
from e2email_crypto.packets import message_key_ids
from e2email_protocol.sealed import opened as sealed
from e2email_protocol.sealed.arrival import DEVICE, SMTP, Arrival
from e2email_protocol.sealed.envelope import BadEnvelope
from e2email_protocol.sealed.envelope import Body as BodyKind
from e2email_protocol.sealed.record import Form
from e2email_protocol.sealed.render import parse_envelope_field, render, stored_messages
from e2email_protocol.sealed.sealer import Decrypted, Signature
from e2email_protocol.sealed.signed import MAX_SIGNED
from e2email_protocol.sealed.summary import NAMES
from e2email_protocol.sealed.view import join_view

_ARMOR = b"-----BEGIN PGP MESSAGE-----"
_BLANK_OCTETS = 1024  # white space in front of an armored message, and its first line
_EMAIL_ID = re.compile(r"E[0-9a-f]{32}", re.ASCII)
UNPROVEN = "unproven"
# Signatures found good that are not verified again: some 3 MiB, of a large mailbox.
MAX_SIGNED_KNOWN = 20_000
# One worker may be killed by a machine that is short of memory just then.
FRESH_DEATHS = 2
_TOO_MUCH_TO_READ = "To read it takes more memory or time than is allowed."
_NO_RECORD = "What the server holds is not a sealed message of this program's format."

T = TypeVar("T")
P = TypeVar("P")


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
        self._parsing = Parsing(workers)
        self._adapter = _Adapter(keys, self._pool)

    def __repr__(self) -> str:
        return f"Opening({self._keys.account})"

    def close(self) -> None:
        self._pool.close()
        self._parsing.close()

    def envelopes(
        self, found: Sequence[tuple[str, bytes]]
    ) -> list[tuple[str, Summary | Unreadable | Later]]:
        """(email id, fetched E2email-Envelope field) → its summary, or why there is none."""
        fields = [(email_id, parse_envelope_field(octets)) for email_id, octets in found]
        messages = [field.message if field else None for _, field in fields]
        plaintexts = self._opened([message or b"" for message in messages], MAX_SIGNED)
        known = [
            _attempt(lambda: self._envelope(email_id, message, plaintext))  # noqa: B023
            for (email_id, _), message, plaintext in zip(fields, messages, plaintexts, strict=True)
        ]
        headings = self._parsed(known, lambda one: one.envelope.fields, self._parsing.headings)
        return [
            (email_id, _summary(one, of) if isinstance(one, sealed.OpenedEnvelope) else one)
            for (email_id, _), one, of in zip(fields, *headings, strict=True)
        ]

    def _parsed(
        self,
        found: Sequence[T | Unreadable | Later],
        octets: Callable[[T], bytes],
        parse: Callable[[Sequence[bytes]], Sequence[P | None]],
    ) -> tuple[list[T | Unreadable | Later], list[P | None]]:
        """What was opened, and what parsing the octets of each gives; Later for all of them where
        nothing can be parsed."""
        good = [one for one in found if not isinstance(one, Unreadable | Later)]
        try:
            parsed = iter(parse([octets(one) for one in good]))
        except NoParser:
            late: list[T | Unreadable | Later] = [
                one if isinstance(one, Unreadable) else Later() for one in found
            ]
            return late, [None] * len(found)
        of = [None if isinstance(one, Unreadable | Later) else next(parsed) for one in found]
        return list(found), of

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
        self, found: list[tuple[str, bytes]]
    ) -> list[tuple[str, tuple[Summary, Body] | Later]]:
        """(email id, rendered record) → what is shown for it; a notice where it is unreadable.

        `found` is emptied, and what was dealt with let go: a mail of 50 MiB is in memory at most
        three times.
        """
        asked = [_Asked(email_id, octets) for email_id, octets in found]
        found.clear()
        envelopes = self._opened([one.envelope for one in asked], MAX_SIGNED)
        bodies = deque(self._opened([one.sealed_body for one in asked], sealed.MAX_ENTITY))
        restored = [
            _attempt(lambda: self._restored(one, envelope, bodies))  # noqa: B023
            for one, envelope in zip(asked, envelopes, strict=True)
        ]
        parsed, digests = self._parsed(restored, lambda one: one.octets, self._parsing.digests)
        del restored
        results: list[tuple[str, tuple[Summary, Body] | Later]] = []
        for one, mail, facts in zip(asked, parsed, digests, strict=True):
            outcome: tuple[Summary, Body] | Unreadable | Later
            outcome = self._finished(mail, facts) if isinstance(mail, _Restored) else mail
            if isinstance(outcome, Unreadable):
                outcome = self._unreadable(outcome, one.octets)
            results.append((one.email_id, outcome))
        return results

    def _opened(self, messages: list[bytes], most: int) -> list[bytes | OpenFailed]:
        return [_plaintext(outcome) for outcome in self._pool.open_many(messages, most)]

    def _restored(
        self, asked: _Asked, envelope: bytes | OpenFailed, bodies: deque[bytes | OpenFailed]
    ) -> _Restored:
        """What was delivered, as far as it is not the sender's encryption."""
        body = bodies.popleft()
        record = asked.record
        if record is None:
            raise Unreadable(_NO_RECORD)
        known = self._envelope(asked.email_id, record.envelope, envelope)
        alarms = sealed.body_alarms(known, record.body, self._adapter)
        try:
            verbatim = known.envelope.body is BodyKind.VERBATIM
            plaintext = record.body if verbatim else _or_raise(body)
            octets = sealed.restore(known.envelope, plaintext)
        except (CryptoError, sealed.Refused) as error:
            why = _judged(error)
            if isinstance(why, Unreadable):
                why.alarms = alarms
            raise why from error
        asked.let_go()
        return _Restored(known, octets, alarms)

    def _finished(self, one: _Restored, facts: Digest | None) -> tuple[Summary, Body] | Later:
        try:
            return self._shown(one, facts)
        except Later as late:
            return late
        except NoParser:
            return Later()

    def _shown(self, one: _Restored, facts: Digest | None) -> tuple[Summary, Body]:
        known, octets = one.known, one.octets
        if facts is None:
            return self._unparsed(one)
        alarms = one.alarms | sealed.summary_alarms(known, facts.summary)
        if not known.envelope.encrypted:
            return _final(known, octets, octets, facts, _security(known, alarms, ()))
        try:
            start, end = sealed.encrypted_span(facts.encrypted)
            decrypted = self._adapter.open(octets[start:end], sealed.MAX_ENTITY)
            header = octets[: facts.summary.header_size]
            view = self._parsing.view(header, decrypted.plaintext)
        except (CryptoError, sealed.Refused) as error:
            why = _judged(error)
            if isinstance(why, Later):
                raise why from error
            return self._closed(str(why), octets, known, alarms)
        if view is None:
            return self._closed(_TOO_MUCH_TO_READ, octets, known, alarms)
        shown = join_view(view.front, view.start, decrypted.plaintext)
        security = _security(known, alarms, decrypted.signatures)
        return _final(known, octets, shown, view.digest, security)

    def _unparsed(self, one: _Restored) -> tuple[Summary, Body]:
        """What cannot be parsed within the limits. What its envelope announced stays as it is."""
        known, octets, alarms = one.known, one.octets, one.alarms
        (heading,) = self._parsing.headings([known.envelope.fields])
        summary = _summary(known, heading)
        if isinstance(summary, Unreadable) or summary.state is not State.READY:
            return self._closed(_TOO_MUCH_TO_READ, octets, known, alarms)
        size = known.envelope.header_size
        body = Body(
            view=octets,
            delivered=octets,
            trace_length=known.envelope.trace,
            header=octets[:size],
            text=fold(octets[size : size + MAX_TEXT].decode("utf-8", "replace")),
            header_text=fold(octets[:size].decode("utf-8", "replace")),
        )
        return replace(summary, state=State.OPENED, security=_security(known, alarms, ())), body

    def _unreadable(self, why: Unreadable, octets: bytes) -> tuple[Summary, Body] | Later:
        """`octets` are what the server holds: nothing else is known."""
        security = Security("unreadable", UNPROVEN, alarms=_alarms(str(why), why.alarms))
        try:
            return self._noticed(str(why), octets, SEALED, security, None)
        except (Later, NoParser):
            return Later()

    def _closed(
        self,
        why: str,
        delivered: bytes,
        known: sealed.OpenedEnvelope,
        alarms: frozenset[sealed.Alarm],
    ) -> tuple[Summary, Body]:
        """Only the sender's encryption stays closed: how the mail came is known."""
        security = replace(
            _security(known, alarms, ()), encryption="unreadable", alarms=_alarms(why, alarms)
        )
        return self._noticed(why, delivered, DELIVERED, security, known)

    def _noticed(
        self,
        why: str,
        octets: bytes,
        name: str,
        security: Security,
        known: sealed.OpenedEnvelope | None,
    ) -> tuple[Summary, Body]:
        """A notice to which `octets` are attached. `known`: they are what was delivered."""
        shown = notice(why, octets, name)
        (facts,) = self._parsing.digests([shown])
        if facts is None:
            raise Later
        heading = facts.heading
        summary = Summary(
            state=State.UNREADABLE,
            size=len(shown),
            envelope=heading.envelope,
            structure=facts.summary.structure,
            fields=shown[: facts.summary.header_size],
            preview=why,
            date=0,
            subject=heading.subject,
            sender=heading.sender,
            recipients="",
            attachments=1,
            security=security,
            names=published.pack(facts.summary.names),
        )
        body = Body(
            view=shown,
            delivered=octets if known else shown,
            trace_length=known.envelope.trace if known else 0,
            header=shown[: facts.summary.header_size],
            text=facts.text,
            header_text=facts.header_text,
        )
        return summary, body


class _Asked:
    """A record as the server serves it; a large one is not kept beside the messages in it."""

    def __init__(self, email_id: str, octets: bytes) -> None:
        self.email_id = email_id
        self.record = stored_messages(octets)
        self._octets = None if self.record and len(octets) > LARGE else octets

    def __repr__(self) -> str:
        return f"_Asked({self.email_id})"

    def let_go(self) -> None:
        """What was delivered is known: what the server holds is not shown any more."""
        self.record = self._octets = None

    @property
    def envelope(self) -> bytes:
        return self.record.envelope if self.record else b""

    @property
    def sealed_body(self) -> bytes:
        return self.record.body if self.record and self.record.form is Form.SEALED else b""

    @property
    def octets(self) -> bytes:
        if self._octets is not None:
            return self._octets
        assert self.record is not None
        rendered = render(self.record.record())
        return rendered.read(0, rendered.size)


@dataclass(frozen=True, slots=True)
class _Restored:
    """A mail as it was delivered, and what is wrong with what it was stored in."""

    known: sealed.OpenedEnvelope
    octets: bytes
    alarms: frozenset[sealed.Alarm]

    def __repr__(self) -> str:
        return f"_Restored({len(self.octets)} octets)"


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
    (sealed.NotEncrypted, "It is marked as encrypted by its sender, and is not encrypted."),
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


def _summary(opened: sealed.OpenedEnvelope, heading: Heading | None) -> Summary | Unreadable:
    """From the envelope alone. CLOSED where the octets must be opened before anything is shown."""
    envelope = opened.envelope
    if heading is None:
        return Unreadable(_TOO_MUCH_TO_READ)
    # an envelope that nobody vouches for could say anything: what was announced never changes
    left_out = set(envelope.omitted) - {NAMES}  # without them it is only answered less
    final = opened.proven and not envelope.encrypted and not left_out
    return Summary(
        state=State.READY if final else State.CLOSED,
        size=envelope.size,
        envelope=heading.envelope,
        structure=envelope.structure or b"",
        fields=envelope.fields,
        preview=envelope.preview or "",
        date=heading.date,
        subject=heading.subject,
        sender=heading.sender,
        recipients=heading.recipients,
        attachments=envelope.attachments,
        security=_security(opened, opened.alarms, ()),
        names=published.pack(envelope.names),
    )


def _final(
    known: sealed.OpenedEnvelope, delivered: bytes, view: bytes, facts: Digest, security: Security
) -> tuple[Summary, Body]:
    """From the octets: this is what counts, whatever the envelope said."""
    summary, heading = facts.summary, facts.heading
    shown = Summary(
        state=State.OPENED,
        size=len(view),
        envelope=heading.envelope,
        structure=summary.structure,
        fields=b"".join(raw for _, raw in summary.fields),
        preview=summary.preview,
        date=heading.date,
        subject=heading.subject,
        sender=heading.sender,
        recipients=heading.recipients,
        attachments=summary.attachments,
        security=security,
        names=published.pack(summary.names),
    )
    body = Body(
        view=view,
        delivered=delivered,
        trace_length=known.envelope.trace,
        header=view[: summary.header_size],
        text=facts.text,
        header_text=facts.header_text,
    )
    return shown, body


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


def _alarms(why: str, alarms: frozenset[sealed.Alarm]) -> tuple[str, ...]:
    return (why, *sorted(alarm.value for alarm in alarms))


class _Adapter:
    """The Opener that protocol/…/sealed is handed."""

    def __init__(self, keys: Keys, pool: OpenPool) -> None:
        self._keys = keys
        self._pool = pool
        self._lock = threading.Lock()
        self._signed: OrderedDict[bytes, None] = OrderedDict()
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
        return public is not None and self._is_signed(public, envelope, signature)

    def _is_signed(self, public: bytes, envelope: bytes, signature: bytes) -> bool:
        """Each envelope is met twice, when it is listed and with its body."""
        made = blake2b(public + signature + envelope, digest_size=16).digest()
        with self._lock:
            if made in self._signed:
                return True
        if not verify_arrival(public, envelope, signature):
            return False
        with self._lock:
            self._signed[made] = None
            if len(self._signed) > MAX_SIGNED_KNOWN:
                self._signed.popitem(last=False)
        return True

    def _device(self, signer: str, time: int) -> bytes | None:
        try:
            device = self._keys.device(signer)
        except Offline:
            raise Later from None
        if device is None or (device.until is not None and time > device.until):
            return None
        return device.public


def _binary(message: bytes) -> bytes:
    # no mail program puts more in front, and nothing large is copied
    if message[:_BLANK_OCTETS].lstrip().startswith(_ARMOR):
        return dearmor(message, b"MESSAGE", MAX_MESSAGE)
    return message
