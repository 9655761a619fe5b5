"""What the store in memory keeps: its rows, and how each part of it finds them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from e2email_protocol.sealed.record import Record
from e2email_server.clock import Clock, now
from e2email_server.store.errors import AlreadyExists, Conflict, LimitReached, NotFound
from e2email_server.store.names import MAX_MAILBOXES, new_object_id
from e2email_server.store.types import (
    Account,
    Box,
    Certificate,
    Entry,
    Invite,
    Mailbox,
    Pairing,
    Placed,
    Statement,
    Token,
)
from e2email_server.store.waiters import Waiters


@dataclass(slots=True)
class MemoryMessage:
    entry: Entry
    record: Record
    serial: int = 0


@dataclass(slots=True)
class MemoryMailbox:
    """A mailbox with its mail."""

    row: Mailbox
    messages: dict[int, MemoryMessage] = field(default_factory=dict)
    expunged: dict[int, int] = field(default_factory=dict)

    def bump(self) -> int:
        self.row = replace(self.row, highest_modseq=self.row.highest_modseq + 1)
        return self.row.highest_modseq

    def put(self, record: Record, entry: Entry) -> Placed:
        """Store under the next UID; `entry` gives the rest."""
        uid, modseq = self.row.uidnext, self.bump()
        self.row = replace(self.row, uidnext=uid + 1)
        self.messages[uid] = MemoryMessage(replace(entry, uid=uid, modseq=modseq), record)
        return Placed(self.row.uidvalidity, uid, modseq)

    def take_out(self, uids: Iterable[int]) -> None:
        modseq = self.bump()
        for uid in uids:
            del self.messages[uid]
            self.expunged[uid] = modseq

    def chosen(self, uids: Iterable[int]) -> list[MemoryMessage]:
        return [self.messages[uid] for uid in sorted(set(uids)) if uid in self.messages]


@dataclass(slots=True)
class MemoryAccount:
    """An account with everything that hangs on it."""

    row: Account
    certificates: tuple[Certificate, ...] = ()
    past: dict[str, Certificate] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)
    recovery_hash: bytes | None = None
    last_uidvalidity: int = 0

    def use(self, certificates: Iterable[Certificate]) -> None:
        """Of a fingerprint there is one form, in use or past."""
        held = {one.fingerprint: one for one in self.certificates}
        self.certificates = tuple(certificates)
        used = {one.fingerprint for one in self.certificates}
        self.past = {
            name: one for name, one in sorted({**self.past, **held}.items()) if name not in used
        }

    def fits(self, box: Box) -> None:
        stored = self.boxes.get(box.name)
        if box.version != (stored.version if stored else 0) + 1:
            raise Conflict("another version is stored")

    def put(self, box: Box) -> None:
        self.fits(box)
        self.boxes[box.name] = box

    def append(self, statement: Statement) -> None:
        if statement.sequence != len(self.statements) + 1:
            raise Conflict("the statement is not the next one")
        self.statements.append(statement)


class Memory:
    """What its parts share. `room` stands for the disk."""

    def __init__(self, clock: Clock = now, room: Callable[[], bool] = lambda: True) -> None:
        self._clock, self._room = clock, room
        self._people: dict[int, MemoryAccount] = {}
        self._invites: dict[bytes, Invite] = {}
        self._tokens: dict[bytes, Token] = {}
        self._pairings: dict[bytes, Pairing] = {}
        self._mailboxes: dict[int, MemoryMailbox] = {}
        self._former: dict[tuple[int, bytes], bytes] = {}  # by account and record id
        self._waiters = Waiters()
        self._last = 0
        self._epoch = 0

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _person(self, account_id: int) -> MemoryAccount:
        try:
            return self._people[account_id]
        except KeyError:
            raise NotFound("no such account") from None

    def _of_account(self, account_id: int) -> list[MemoryMailbox]:
        mine = [box for box in self._mailboxes.values() if box.row.account_id == account_id]
        return sorted(mine, key=lambda box: box.row.name)

    def _box(self, mailbox_id: int) -> MemoryMailbox:
        try:
            return self._mailboxes[mailbox_id]
        except KeyError:
            raise NotFound("no such mailbox") from None

    def _make(self, person: MemoryAccount, name: str, special_use: str | None) -> Mailbox:
        others = self._of_account(person.row.account_id)
        if len(others) >= MAX_MAILBOXES:
            raise LimitReached("the account has as many mailboxes as it may have")
        if any(box.row.name == name for box in others):
            raise AlreadyExists("a mailbox of that name exists")
        person.last_uidvalidity = max(self._clock(), person.last_uidvalidity + 1)
        row = Mailbox(
            self._next(),
            person.row.account_id,
            name,
            special_use,
            True,
            person.last_uidvalidity,
            1,
            1,
            new_object_id(),
        )
        self._mailboxes[row.mailbox_id] = MemoryMailbox(row)
        return row

    def _tell(self, *mailbox_ids: int) -> None:
        self._waiters.committed({i: self._box(i).row.highest_modseq for i in mailbox_ids})
