"""From what the server serves to what its owner sees. Keys stay in the worker processes, and what
others wrote is parsed in processes without keys (parsing.py).

Three ends for a record: opened; a notice, when it can never be opened (State.UNREADABLE); or
nothing yet, when a worker died or ran out of time and it is worth trying again (Later). Where only
the sender's own encryption does not open, what was delivered is known all the same.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from e2email_client.autocrypt import Offer
from e2email_client.bodies import Bodies, Restored
from e2email_client.local.chunks import LARGE
from e2email_client.local.mails import Body, Summary
from e2email_client.opener import AccountOpener, Keys
from e2email_client.parsing import NoParser, Parsing
from e2email_client.summaries import announced
from e2email_client.unreadable import NO_RECORD, Later, Unreadable, attempt, judged
from e2email_crypto.errors import CryptoError, OpenFailed
from e2email_crypto.open import Opened, OpenPool
from e2email_protocol.sealed import opened as sealed
from e2email_protocol.sealed import reseal
from e2email_protocol.sealed.envelope import Body as BodyKind
from e2email_protocol.sealed.record import Form
from e2email_protocol.sealed.render import parse_envelope_field, render, stored_messages
from e2email_protocol.sealed.sealer import Sealer
from e2email_protocol.sealed.signed import MAX_SIGNED

_EMAIL_ID = re.compile(r"E[0-9a-f]{32}", re.ASCII)

T = TypeVar("T")
P = TypeVar("P")


class Opening:
    """Opens envelopes and bodies of one account. Blocks; thread-safe; close() ends the workers."""

    def __init__(self, keys: Keys, secret_keys: Sequence[bytes], workers: int = 2) -> None:
        self._keys = keys
        self._pool = OpenPool(workers, *secret_keys)
        self._parsing = Parsing(workers)
        self._opener = AccountOpener(keys, self._pool)
        self._bodies = Bodies(self._opener, self._parsing)

    def __repr__(self) -> str:
        return f"Opening({self._keys.account})"

    def use(self, keys: Keys, secret_keys: Sequence[bytes]) -> None:
        """From now on these, of the same account."""
        self._pool.hold(*secret_keys)
        # only now: what fails to open until then is not judged by keys that come
        self._opener.judge_by(keys)

    def close(self) -> None:
        self._pool.close()
        self._parsing.close()

    def autocrypt(self, headers: Sequence[bytes]) -> list[Offer | None]:
        """The key that each of these headers offers. Raises NoParser."""
        return self._parsing.autocrypt(headers)

    def envelopes(
        self, found: Sequence[tuple[str, bytes]]
    ) -> list[tuple[str, Summary | Unreadable | Later]]:
        """(email id, fetched E2email-Envelope field) → its summary, or why there is none."""
        fields = [(email_id, parse_envelope_field(octets)) for email_id, octets in found]
        messages = [field.message if field else None for _, field in fields]
        plaintexts = self._opened([message or b"" for message in messages], MAX_SIGNED)
        known = [
            attempt(lambda: self._envelope(email_id, message, plaintext))  # noqa: B023
            for (email_id, _), message, plaintext in zip(fields, messages, plaintexts, strict=True)
        ]
        headings = self._parsed(known, lambda one: one.envelope.fields, self._parsing.headings)
        return [
            (email_id, announced(one, of) if isinstance(one, sealed.OpenedEnvelope) else one)
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
            raise Unreadable(NO_RECORD)
        return sealed.read_envelope(
            message,
            self._or_again(message, plaintext, MAX_SIGNED),
            account=self._keys.account,
            record_id=record_id(email_id),
            opener=self._opener,
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
            attempt(lambda: self._restored(one, envelope, bodies))  # noqa: B023
            for one, envelope in zip(asked, envelopes, strict=True)
        ]
        parsed, digests = self._parsed(restored, lambda one: one.octets, self._parsing.digests)
        del restored
        results: list[tuple[str, tuple[Summary, Body] | Later]] = []
        for one, mail, facts in zip(asked, parsed, digests, strict=True):
            outcome: tuple[Summary, Body] | Unreadable | Later
            outcome = self._bodies.shown(mail, facts) if isinstance(mail, Restored) else mail
            if isinstance(outcome, Unreadable):
                outcome = self._bodies.unreadable(outcome, one.octets)
            results.append((one.email_id, outcome))
        return results

    def resealed(
        self, email_id: str, octets: bytes, sealer: Sealer
    ) -> tuple[bytes, reseal.Messages]:
        """The envelope's message of a rendered record, and both messages sealed anew and opened
        again: they give the same octets. Raises Unreadable, Later; then nothing may be stored."""
        found = stored_messages(octets)
        if found is None or found.field.record_id != record_id(email_id):
            raise Unreadable(NO_RECORD)
        made = attempt(
            lambda: reseal.resealed(
                found.record(), account=self._keys.account, opener=self._opener, sealer=sealer
            )
        )
        if isinstance(made, Unreadable | Later):
            raise made
        return found.envelope, made

    def _opened(self, messages: list[bytes], most: int) -> list[bytes | OpenFailed]:
        return [_plaintext(outcome) for outcome in self._pool.open_many(messages, most)]

    def _restored(
        self, asked: _Asked, envelope: bytes | OpenFailed, bodies: deque[bytes | OpenFailed]
    ) -> Restored:
        """What was delivered, as far as it is not the sender's encryption."""
        body = bodies.popleft()
        record = asked.record
        if record is None:
            raise Unreadable(NO_RECORD)
        known = self._envelope(asked.email_id, record.envelope, envelope)
        alarms = sealed.body_alarms(known, record.body, self._opener)
        try:
            verbatim = known.envelope.body is BodyKind.VERBATIM
            plaintext = record.body
            if not verbatim:
                plaintext = self._or_again(record.body, body, sealed.MAX_ENTITY)
            octets = sealed.restore(known.envelope, plaintext)
        except (CryptoError, sealed.Refused) as error:
            why = judged(error)
            if isinstance(why, Unreadable):
                why.alarms = alarms
            raise why from error
        asked.let_go()
        return Restored(known, octets, alarms)

    def _or_again(self, message: bytes, plaintext: bytes | OpenFailed, most: int) -> bytes:
        if not isinstance(plaintext, OpenFailed):
            return plaintext
        if not plaintext.final:
            raise plaintext
        return self._opener.open_again(message, most)


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


def record_id(email_id: str) -> bytes:
    """EMAILID is `E` and the record id in hex (docs/specs/sealed-message.md); b"" for another."""
    return bytes.fromhex(email_id[1:]) if _EMAIL_ID.fullmatch(email_id) else b""


def _plaintext(outcome: Opened | OpenFailed) -> bytes | OpenFailed:
    return outcome if isinstance(outcome, OpenFailed) else outcome.plaintext
