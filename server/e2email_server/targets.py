"""What mail of an account is sealed to, judged from its rows: statement, certificates, gate.

"No key, no acceptance": whatever is missing, expired or does not fit is a refusal here, so that
nothing behind this module has to decide.
"""

from dataclasses import dataclass

from e2email_crypto import gate
from e2email_crypto.errors import KeyRefused, StatementInvalid
from e2email_crypto.errors import Refusal as KeyReason
from e2email_crypto.statement import Entry, decode, verify_chain
from e2email_crypto.statement import Statement as Stated
from e2email_protocol.sealed.record import Policy
from e2email_server.clock import Clock
from e2email_server.smtp.delivery import Refusal
from e2email_server.store.api import AccountStore
from e2email_server.store.errors import RowTampered
from e2email_server.store.types import Recipient, Statement

REJUDGE = 24 * 3600  # seconds; what the libraries call acceptable changes with time

_KEY_REFUSALS = {KeyReason.REVOKED: Refusal.REVOKED, KeyReason.EXPIRED: Refusal.EXPIRED}
"""Every other reason of the gate is BAD_KEY."""


class NotTaken(Exception):
    """Mail for this recipient is refused; `cause` is for the operator."""

    def __init__(self, refusal: Refusal, cause: str = "") -> None:
        super().__init__(cause or refusal.name)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Target:
    """An account that mail can be sealed for, until `good_until` (Unix seconds)."""

    account_id: int
    address: str
    inbox: int
    policy: Policy
    keys: tuple[gate.Recipient, ...]
    known_key_ids: frozenset[str]
    good_until: int


async def find_target(store: AccountStore, address: str, clock: Clock) -> Target:
    """Raises NotTaken, NotFound, and Failure of the store."""
    try:
        row = await store.recipient(address)
        if not row.account.enabled:
            raise NotTaken(Refusal.DISABLED)
        if row.statement is None:
            raise NotTaken(Refusal.NO_KEY, "no statement is published")
        history = [row.statement]
        if row.statement.sequence > 1:
            count = row.statement.sequence
            history = await store.statements(row.account.account_id, 1, count)
    except RowTampered as error:
        raise NotTaken(Refusal.BAD_STATEMENT, str(error)) from None
    return judge(row, history, clock())


def judge(row: Recipient, history: list[Statement], now: int) -> Target:
    """The target that statement and certificates give, if they agree. Raises NotTaken."""
    account, octets = row.account, [c.octets for c in row.certificates]
    # before the statement: a revoked or expired key does not verify its own statement either
    keys = [_gate(certificate, now) for certificate in octets]
    try:
        stated = _verified([entry.octets for entry in history], octets, account.address)
    except StatementInvalid as error:
        raise NotTaken(Refusal.BAD_STATEMENT, str(error)) from None
    statement = stated[-1]
    if statement.policy.value != account.policy.value:
        raise NotTaken(Refusal.BAD_STATEMENT, "the policy is not the statement's")
    if {key.fingerprint for key in keys} != statement.fingerprints:
        raise NotTaken(Refusal.BAD_STATEMENT, "the certificates are not the statement's")
    if frozenset[str]().union(*(key.key_ids for key in keys)) != statement.key_ids:
        raise NotTaken(Refusal.BAD_KEY, "the usable subkeys are not the statement's")
    return Target(
        account.account_id,
        account.address,
        account.inbox,
        account.policy,
        tuple(keys),
        frozenset[str]().union(*(one.key_ids for one in stated)),
        min([now + REJUDGE, *(key.good_until for key in keys if key.good_until is not None)]),
    )


def _verified(entries: list[bytes], certificates: list[bytes], address: str) -> list[Stated]:
    """The statements of a key history, oldest first. Raises StatementInvalid.

    A first entry carries its own proof. A later one was verified when it was published, by
    certificates that need not be here any more; since then its row's MAC vouches for it, and here
    it must still follow the one before it.
    """
    if len(entries) == 1:
        return [verify_chain(entries, certificates, address)]
    read = [Entry.decode(entry) for entry in entries]
    stated = [decode(entry.statement) for entry in read]
    heads = [None, *(entry.digest for entry in read)]
    for count, (statement, head) in enumerate(zip(stated, heads, strict=False), 1):
        if (statement.sequence, statement.previous) != (count, head):
            raise StatementInvalid(f"entry {count} does not follow the one before it")
        if address not in statement.addresses:
            raise StatementInvalid(f"entry {count} is of another account")
    return stated


def _gate(certificate: bytes, now: int) -> gate.Recipient:
    try:
        return gate.recipient(certificate, now)
    except KeyRefused as error:
        raise NotTaken(_KEY_REFUSALS.get(error.reason, Refusal.BAD_KEY), str(error)) from None
