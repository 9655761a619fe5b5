"""Whether published keys may be used: certificates by the gate, the statement by its chain.

What passes here is what mail is sealed to, so a statement and its certificates must say the same.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from e2email_crypto import gate, statement
from e2email_crypto.cert import examine, merge, read_packets
from e2email_crypto.errors import KeyRefused, OtherKey, Refusal, StatementInvalid
from e2email_protocol.sealed.record import Policy
from e2email_server.store.types import Certificate, Statement

# Of certificates that an account ever had: every change reads them all. A key has some KiB.
EVER_CAP: Final = 4 << 20


class KeysRefused(Exception):
    """The keys cannot be published. The text is for their owner; `code` is the API's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Published:
    """Keys that passed, as the store takes them. `aliases`: addresses that were not judged yet."""

    certificates: tuple[Certificate, ...]
    statement: Statement
    policy: Policy
    aliases: tuple[str, ...]


def check(
    entry: bytes,
    certificates: Sequence[bytes],
    address: str,
    now: int,
    before: Statement | None = None,
    known: Sequence[Certificate] = (),
    *,
    forced: bool = False,
) -> Published:
    """Judge an entry of the key history and the certificates it lists. Raises KeysRefused.

    `before` is the newest stored entry and `known` all certificates that the account ever had,
    one of which signed; None: this is the first entry, and signs itself. `forced`: the
    administrator lets this entry follow without a signature.
    """
    recipients = [_recipient(one, now) for one in certificates]
    if not forced:
        _check_room(recipients, certificates, known)
    _check_not_revoked(recipients, known, now)
    try:
        newest = _verified(entry, certificates, address, before, known, forced)
    except StatementInvalid as fault:
        raise _statement_refused(f"The statement was refused: {fault}.") from fault
    if newest.sequence > statement.ENTRIES_MAX:
        # nobody would verify a longer history, so mail would go to keys that nobody trusts
        raise _statement_refused("The key history is as long as it may be.")
    _check_same(newest, recipients, address)
    return Published(
        tuple(
            Certificate(judged.fingerprint, octets)
            for judged, octets in zip(recipients, certificates, strict=True)
        ),
        Statement(newest.sequence, entry),
        Policy(newest.policy.value),
        _new_aliases(newest, before),
    )


def check_revoked(octets: bytes, known: Sequence[Certificate], now: int) -> Certificate:
    """Judge a certificate of `known` in a form that revokes its primary key. Raises KeysRefused."""
    try:
        found = read_packets(octets)
        info = examine(found, now)
        held = {one.fingerprint: one.octets for one in known}.get(info.fingerprint)
        if held is None:
            raise _certificate_refused("not one of this account")
        # else one could take away what earlier entries of the history are verified with
        if not _packets(held) <= {(one.tag, one.body) for one in found}:
            raise _certificate_refused("it lacks something that is stored")
    except KeyRefused as fault:
        raise _certificate_refused(fault.reason.value) from fault
    if info.forged:
        raise _certificate_refused(Refusal.FORGED_BINDING.value)
    if not _revoked(octets, now):
        raise _certificate_refused("it is not revoked")
    return Certificate(info.fingerprint, octets)


def _packets(certificate: bytes) -> set[tuple[int, bytes]]:
    return {(one.tag, one.body) for one in read_packets(certificate)}


def _verified(
    entry: bytes,
    certificates: Sequence[bytes],
    address: str,
    before: Statement | None,
    known: Sequence[Certificate],
    forced: bool,
) -> statement.Statement:
    if before is None:
        return statement.verify_chain([entry], certificates, address)
    # of a certificate that is here the stored form counts, which may be revoked; and with it what
    # the new form says, which may have made an expired key valid again
    signers = [*certificates, *(_with_news(one.octets, certificates) for one in known)]
    accepted = {statement.Entry.decode(entry).digest} if forced else set[bytes]()
    return statement.verify_next(before.octets, entry, signers, address, accepted=accepted)


def _with_news(stored: bytes, certificates: Sequence[bytes]) -> bytes:
    for one in certificates:
        with suppress(OtherKey, KeyRefused):  # refused: too large with both
            return merge(stored, one)
    return stored


def _recipient(certificate: bytes, now: int) -> gate.Recipient:
    try:
        return gate.recipient(certificate, now)
    except KeyRefused as fault:
        raise _certificate_refused(fault.reason.value) from fault


def _check_room(
    recipients: Sequence[gate.Recipient],
    certificates: Sequence[bytes],
    known: Sequence[Certificate],
) -> None:
    """Where these are kept beside all that the account ever had."""
    sizes = {one.fingerprint: len(one.octets) for one in known}
    sizes |= {
        one.fingerprint: len(octets) for one, octets in zip(recipients, certificates, strict=True)
    }
    if sum(sizes.values()) > EVER_CAP:
        raise _certificate_refused("too many with all past ones, which are kept")


def _check_not_revoked(
    recipients: Sequence[gate.Recipient], known: Sequence[Certificate], now: int
) -> None:
    """A revocation is final: a form without it does not bring the key back."""
    names = {one.fingerprint for one in recipients}
    if any(one.fingerprint in names and _revoked(one.octets, now) for one in known):
        raise _certificate_refused(Refusal.REVOKED.value)


def _revoked(certificate: bytes, now: int) -> bool:
    try:
        gate.recipient(certificate, now)
    except KeyRefused as fault:
        return fault.reason is Refusal.REVOKED
    return False


def _check_same(
    newest: statement.Statement, recipients: Sequence[gate.Recipient], address: str
) -> None:
    """Sealing compares PKESK ids with the statement's: a difference would stop all mail."""
    if newest.addresses[0] != address:
        raise _statement_refused("The statement's first address is not the account's.")
    stated = {
        one.fingerprint: frozenset(statement.key_id(key) for key in one.encryption_subkeys)
        for one in newest.certificates
    }
    given = {one.fingerprint: one.key_ids for one in recipients}
    if stated != given or len(given) != len(recipients):
        raise _statement_refused("The statement and the certificates name different keys.")


def _new_aliases(newest: statement.Statement, before: Statement | None) -> tuple[str, ...]:
    """Addresses that the entry before did not have: what it had was judged then."""
    held: tuple[str, ...] = ()
    if before is not None:
        held = statement.decode(statement.Entry.decode(before.octets).statement).addresses
    return tuple(one for one in newest.addresses[1:] if one not in held)


def _statement_refused(text: str) -> KeysRefused:
    return KeysRefused("statement-refused", text)


def _certificate_refused(reason: str) -> KeysRefused:
    return KeysRefused("certificate-refused", f"The certificate was refused: {reason}.")
