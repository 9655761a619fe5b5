"""Whether published keys may be used: certificates by the gate, the statement by its chain.

What passes here is what mail is sealed to, so a statement and its certificates must say the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from e2email_crypto import gate, statement
from e2email_crypto.errors import KeyRefused, StatementInvalid
from e2email_protocol.sealed.record import Policy
from e2email_server.store.types import Certificate, Statement


class KeysRefused(Exception):
    """The keys cannot be published. The text is for their owner; `code` is the API's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Published:
    """Keys that passed, as the store takes them."""

    certificates: tuple[Certificate, ...]
    statement: Statement
    policy: Policy


def check(
    entry: bytes,
    certificates: Sequence[bytes],
    address: str,
    now: int,
    before: Statement | None = None,
    known: Sequence[Certificate] = (),
) -> Published:
    """Judge an entry of the key history and the certificates it lists. Raises KeysRefused.

    `before` is the newest stored entry and `known` the certificates in use until now, one of
    which signed; None: this is the first entry, and signs itself.
    """
    recipients = [_recipient(one, now) for one in certificates]
    try:
        if before is None:
            newest = statement.verify_chain([entry], certificates, address)
        else:
            signers = [*certificates, *(one.octets for one in known)]
            newest = statement.verify_next(before.octets, entry, signers, address)
    except StatementInvalid as fault:
        raise KeysRefused("statement-refused", f"The statement was refused: {fault}.") from fault
    _check_same(newest, recipients, address)
    return Published(
        tuple(
            Certificate(judged.fingerprint, octets)
            for judged, octets in zip(recipients, certificates, strict=True)
        ),
        Statement(newest.sequence, entry),
        Policy(newest.policy.value),
    )


def _recipient(certificate: bytes, now: int) -> gate.Recipient:
    try:
        return gate.recipient(certificate, now)
    except KeyRefused as fault:
        text = f"The certificate was refused: {fault.reason.value}."
        raise KeysRefused("certificate-refused", text) from fault


def _check_same(
    newest: statement.Statement, recipients: Sequence[gate.Recipient], address: str
) -> None:
    """Sealing compares PKESK ids with the statement's: a difference would stop all mail."""
    if newest.addresses != (address,):
        raise KeysRefused("statement-refused", "The statement names other addresses.")
    stated = {
        one.fingerprint: frozenset(statement.key_id(key) for key in one.encryption_subkeys)
        for one in newest.certificates
    }
    if stated != {one.fingerprint: one.key_ids for one in recipients}:
        raise KeysRefused(
            "statement-refused", "The statement and the certificates name different keys."
        )
