"""Mail of this machine (drafts, sent mail, what is imported), sealed here before it goes up.

The server gets what it would have made itself of mail from outside, and never the mail. It knows
the account's certificates and this device's signing key, and no key that opens anything.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from e2email_client.failure import Alarm, LocalFault, Refused
from e2email_crypto import gate
from e2email_crypto.armor import dearmor
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import CryptoError, KeyRefused, SealFailed
from e2email_crypto.open import MAX_MESSAGE
from e2email_crypto.packets import message_key_ids
from e2email_crypto.seal import seal
from e2email_crypto.statement import Certificate, Statement, key_id
from e2email_protocol.sealed.append import own_record
from e2email_protocol.sealed.arrival import DEVICE, Arrival
from e2email_protocol.sealed.compose import compose
from e2email_protocol.sealed.record import RECORD_ID_SIZE, Policy, Record
from e2email_protocol.sealed.render import render
from e2email_protocol.sealed.sealer import Sealer

if TYPE_CHECKING:
    from e2email_client.history import History
    from e2email_client.unlock import Unlocked

MAX_MAIL = 50 * 1024 * 1024  # octets of one mail: the server's own limit
REJUDGE = 24 * 3600  # seconds; what the libraries call acceptable changes with time
BOUNDARY_SIZE = 16  # random octets; hexadecimal in the record
_ARMOR = b"-----BEGIN PGP"
_ARMOR_WITHIN = 1000  # octets; beyond them it is no message of ours to look into
_UNREACHED = ""  # of Arrival.tls: it came over no connection


@dataclass(frozen=True, slots=True)
class _Sealer:
    """The Sealer of protocol/sealed: seals to one statement, signs as this device."""

    keys: tuple[gate.Recipient, ...]
    known_key_ids: frozenset[str]
    device: ArrivalKey = field(repr=False)

    @property
    def key_ids(self) -> frozenset[str]:
        return frozenset[str]().union(*(key.key_ids for key in self.keys))

    @property
    def signer(self) -> str:
        return self.device.key_id

    def seal(self, plaintext: bytes) -> bytes:
        """Raises SealFailed, also where the PKESK ids are not exactly key_ids."""
        return seal(plaintext, self.keys)

    def sign(self, envelope: bytes) -> bytes:
        return self.device.sign(envelope)

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        try:
            if _ARMOR in message[:_ARMOR_WITHIN]:
                message = dearmor(message, b"MESSAGE", MAX_MESSAGE)
            return message_key_ids(message)
        except CryptoError:
            return frozenset()


@dataclass(frozen=True, slots=True)
class _Judged:
    """A sealer for one statement, until `good_until` (Unix seconds)."""

    sequence: int
    policy: Policy
    good_until: int
    sealer: _Sealer


class DeviceSealer:
    """Seals for one account, to its newest statement. Blocks; thread-safe.

    `history` gives the statements of the verified key history, oldest first; `certificates` the
    account's own, past and newest forms among them: the newest statement says which of them count.
    """

    def __init__(
        self,
        account: str,
        device: ArrivalKey,
        certificates: Callable[[], Sequence[bytes]],
        history: Callable[[], Sequence[Statement]],
    ) -> None:
        self._account = account
        self._device = device
        self._certificates = certificates
        self._history = history
        self._judged: _Judged | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"DeviceSealer({self._account}, {self._device.key_id})"

    def seal(self, octets: bytes, now: int) -> bytes:
        """What to APPEND for a mail: its record, rendered. `now`: Unix seconds.

        Whatever a program writes is taken as it is. What is a rendering for this account already
        is given back unchanged: nothing is sealed twice. Raises Refused (TOOBIG; CANNOT where a
        key expired or is revoked), Alarm, LocalFault.
        """
        judged = self._for(now)
        # a rendering of the largest mail is larger than that mail
        if own_record(octets, judged.sealer) is not None:
            return octets
        if len(octets) > MAX_MAIL:
            raise Refused("TOOBIG", "The message is above the limit of 50 MiB.")
        try:
            record = compose(
                b"",
                octets,
                account=self._account,
                record_id=secrets.token_bytes(RECORD_ID_SIZE),
                boundary=secrets.token_hex(BOUNDARY_SIZE).encode(),
                policy=judged.policy,
                arrival=Arrival(DEVICE, _UNREACHED, now),
                sealer=judged.sealer,
            )
        except SealFailed as fault:
            raise LocalFault(f"The message was not sealed: {fault}.") from fault
        return _rendered(record, judged.sealer)

    def sealer(self, now: int) -> Sealer:
        """For what is sealed anew. Raises as `seal` does."""
        return self._for(now).sealer

    def _for(self, now: int) -> _Judged:
        with self._lock:
            history = self._history()
            known = self._judged
            if known is None or known.sequence != history[-1].sequence or now >= known.good_until:
                known = self._judged = self._judge(history, now)
            return known

    def _judge(self, history: Sequence[Statement], now: int) -> _Judged:
        """The newest statement's keys, and nothing beside or without them."""
        newest = history[-1]
        if self._device.public not in newest.device_keys:
            raise Refused("CANNOT", "This machine was removed from the account: run e2email setup.")
        usable = [one for one in map(self._gated(now), self._certificates()) if one is not None]
        keys = [one for one in map(_fitting(usable), newest.certificates) if one is not None]
        if {one.fingerprint for one in keys} != newest.fingerprints:
            raise Refused("CANNOT", self._why_none(newest, usable))
        sealer = _Sealer(
            tuple(keys), frozenset[str]().union(*(one.key_ids for one in history)), self._device
        )
        expiries = [key.good_until for key in keys if key.good_until is not None]
        until = min([now + REJUDGE, *expiries])
        return _Judged(newest.sequence, Policy(newest.policy.value), until, sealer)

    def _why_none(self, newest: Statement, usable: Sequence[gate.Recipient]) -> str:
        """Raises Alarm where the certificates are there, and are not what the statement says."""
        if newest.fingerprints <= {one.fingerprint for one in usable}:
            raise Alarm("The usable keys of this account are not those of its statement.")
        return "A key of this account has expired, was revoked, or is not on this machine yet."

    def _gated(self, now: int) -> Callable[[bytes], gate.Recipient | None]:
        def gated(certificate: bytes) -> gate.Recipient | None:
            try:
                return gate.recipient(certificate, now)
            except KeyRefused:
                return None  # one given up long ago is no fault; one that is needed will be missed

        return gated


def _fitting(
    usable: Sequence[gate.Recipient],
) -> Callable[[Certificate], gate.Recipient | None]:
    """Of the forms of a certificate the one that is sealed to exactly what a statement says."""

    def fitting(stated: Certificate) -> gate.Recipient | None:
        wanted = frozenset(map(key_id, stated.encryption_subkeys))
        same = (one for one in usable if one.fingerprint == stated.fingerprint)
        return next((one for one in same if one.key_ids == wanted), None)

    return fitting


def _rendered(record: Record, sealer: _Sealer) -> bytes:
    """The octets, which must be read back as this very record: so the server will see them."""
    rendered = render(record)
    octets = rendered.read(0, rendered.size)
    found = own_record(octets, sealer)
    # the boundary of a verbatim one is not rendered
    if found is None or replace(found, boundary=record.boundary) != record:
        raise LocalFault("The message was not sealed: it does not read back.")
    return octets


def device_sealer(unlocked: Unlocked, history: History) -> DeviceSealer | None:
    """None where the account does not vouch for a key of this machine, which `e2email setup`
    changes."""
    device = unlocked.device_key
    if device is None or device.public not in history.statements()[-1].device_keys:
        return None
    own = history.certificates
    return DeviceSealer(unlocked.settings.address, device, own, history.statements)


def sealing(unlocked: Unlocked, history: History) -> Callable[[bytes], bytes] | None:
    """The seal for what is stored from this machine: mail → what to APPEND (DeviceSealer.seal).

    None where there is none: then the server seals what it gets.
    """
    sealer = device_sealer(unlocked, history)
    return None if sealer is None else lambda octets: sealer.seal(octets, int(time.time()))
