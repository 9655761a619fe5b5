"""What mail of an account is sealed to, judged from its rows: statement, certificates, gate.

"No key, no acceptance": whatever is missing, expired or does not fit is a refusal here, so that
nothing behind this module has to decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

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


@dataclass(frozen=True, slots=True)
class Followed:
    """What is left of a key history that was read once: where it ends, and every key id in it."""

    sequence: int
    head: bytes | None
    key_ids: frozenset[str]
    newest: Stated | None


NOTHING = Followed(0, None, frozenset(), None)

# By store and account. A long history is read once and not for every mail, APPEND and record: what
# was followed cannot change unless the newest entry does, and that one is read each time.
_followed: WeakKeyDictionary[AccountStore, dict[int, Followed]] = WeakKeyDictionary()


async def find_target(store: AccountStore, address: str, clock: Clock) -> Target:
    """Raises NotTaken, NotFound, and Failure of the store."""
    try:
        row = await store.recipient(address)
        if not row.account.enabled:
            raise NotTaken(Refusal.DISABLED)
        if row.statement is None:
            raise NotTaken(Refusal.NO_KEY, "no statement is published")
        number, newest = row.account.account_id, row.statement
        known = _followed.setdefault(store, {})
        before = known.get(number, NOTHING)
        if before.sequence > newest.sequence:
            before = NOTHING
        history = [newest]
        if newest.sequence > before.sequence + 1:
            count = newest.sequence - before.sequence
            history = await store.statements(number, before.sequence + 1, count)
    except RowTampered as error:
        raise NotTaken(Refusal.BAD_STATEMENT, str(error)) from None
    target, known[number] = judge(row, history, clock(), before)
    return target


def judge(
    row: Recipient, history: Sequence[Statement], now: int, before: Followed = NOTHING
) -> tuple[Target, Followed]:
    """The target that statement and certificates give, if they agree. Raises NotTaken.

    `history`: the entries behind those that `before` stands for, or the last of them again.
    """
    account, octets = row.account, [c.octets for c in row.certificates]
    # before the statement: a revoked or expired key does not verify its own statement either
    keys = [_gate(certificate, now) for certificate in octets]
    try:
        followed = _follow(before, [one.octets for one in history], octets, account.address)
    except StatementInvalid as error:
        raise NotTaken(Refusal.BAD_STATEMENT, str(error)) from None
    statement = followed.newest
    assert statement is not None
    if statement.policy.value != account.policy.value:
        raise NotTaken(Refusal.BAD_STATEMENT, "the policy is not the statement's")
    if {key.fingerprint for key in keys} != statement.fingerprints:
        raise NotTaken(Refusal.BAD_STATEMENT, "the certificates are not the statement's")
    if frozenset[str]().union(*(key.key_ids for key in keys)) != statement.key_ids:
        raise NotTaken(Refusal.BAD_KEY, "the usable subkeys are not the statement's")
    target = Target(
        account.account_id,
        account.address,
        account.inbox,
        account.policy,
        tuple(keys),
        followed.key_ids,
        min([now + REJUDGE, *(key.good_until for key in keys if key.good_until is not None)]),
    )
    return target, followed


def _follow(
    before: Followed, entries: Sequence[bytes], certificates: list[bytes], address: str
) -> Followed:
    """What a key history comes to with these entries, oldest first. Raises StatementInvalid.

    A first entry carries its own proof. A later one was verified when it was published, by
    certificates that need not be here any more; since then its row's MAC vouches for it, and here
    it must still follow the one before it.
    """
    for octets in entries:
        entry = Entry.decode(octets)
        if entry.digest != before.head:
            before = _next(before, entry, address)
    if before.sequence == 1:
        verify_chain(entries, certificates, address)
    return before


def _next(before: Followed, entry: Entry, address: str) -> Followed:
    said, count = decode(entry.statement), before.sequence + 1
    if (said.sequence, said.previous) != (count, before.head):
        raise StatementInvalid(f"entry {count} does not follow the one before it")
    if address not in said.addresses:
        raise StatementInvalid(f"entry {count} is of another account")
    return Followed(count, entry.digest, before.key_ids | said.key_ids, said)


def _gate(certificate: bytes, now: int) -> gate.Recipient:
    try:
        return gate.recipient(certificate, now)
    except KeyRefused as error:
        raise NotTaken(_KEY_REFUSALS.get(error.reason, Refusal.BAD_KEY), str(error)) from None
