"""The store in memory: the twin that tests of other parts run on. Passes the same contract test.

Everything happens in the loop's thread without an await in between, so each method is a
transaction. What may fail is checked first.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from e2email_protocol.sealed.record import Policy, Record, RecordHead
from e2email_server.clock import Clock, now
from e2email_server.store.credential_rows import MAX_TOKENS
from e2email_server.store.errors import (
    AlreadyExists,
    BadName,
    Conflict,
    DiskFull,
    LimitReached,
    MessageGone,
    NotFound,
    RecordTaken,
)
from e2email_server.store.names import (
    DELETED,
    INBOX,
    MAX_MAILBOXES,
    SEEN,
    SEPARATOR,
    flags_text,
    mailbox_name,
    new_object_id,
    renamed,
    select_changes,
)
from e2email_server.store.types import (
    DEFAULT_MAILBOXES,
    Account,
    Box,
    Certificate,
    Changes,
    Copied,
    Counts,
    Entry,
    FlagOp,
    Flags,
    FlagsStored,
    Invite,
    Kdf,
    Mailbox,
    Messages,
    NewAccount,
    NewMessage,
    NewToken,
    Placed,
    Recipient,
    Statement,
    StoredMessage,
    Token,
    one_by_one,
    same_record,
)
from e2email_server.store.waiters import Waiters


@dataclass(slots=True)
class _Message:
    entry: Entry
    record: Record


@dataclass(slots=True)
class _Box:
    """A mailbox with its mail."""

    row: Mailbox
    messages: dict[int, _Message] = field(default_factory=dict)
    expunged: dict[int, int] = field(default_factory=dict)

    def bump(self) -> int:
        self.row = replace(self.row, highest_modseq=self.row.highest_modseq + 1)
        return self.row.highest_modseq

    def put(self, record: Record, entry: Entry) -> Placed:
        """Store under the next UID; `entry` gives the rest."""
        uid, modseq = self.row.uidnext, self.bump()
        self.row = replace(self.row, uidnext=uid + 1)
        self.messages[uid] = _Message(replace(entry, uid=uid, modseq=modseq), record)
        return Placed(self.row.uidvalidity, uid, modseq)

    def take_out(self, uids: Iterable[int]) -> None:
        modseq = self.bump()
        for uid in uids:
            del self.messages[uid]
            self.expunged[uid] = modseq

    def chosen(self, uids: Iterable[int]) -> list[_Message]:
        return [self.messages[uid] for uid in sorted(set(uids)) if uid in self.messages]


@dataclass(slots=True)
class _Person:
    """An account with everything that hangs on it."""

    row: Account
    certificates: tuple[Certificate, ...] = ()
    statements: list[Statement] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)
    last_uidvalidity: int = 0

    def put(self, box: Box) -> None:
        stored = self.boxes.get(box.name)
        if box.version != (stored.version if stored else 0) + 1:
            raise Conflict("another version is stored")
        self.boxes[box.name] = box

    def append(self, statement: Statement) -> None:
        if statement.sequence != len(self.statements) + 1:
            raise Conflict("the statement is not the next one")
        self.statements.append(statement)


class MemoryStore:
    """See api.Store. `room` stands for the disk."""

    def __init__(self, clock: Clock = now, room: Callable[[], bool] = lambda: True) -> None:
        self._clock, self._room = clock, room
        self._people: dict[int, _Person] = {}
        self._invites: dict[bytes, Invite] = {}
        self._tokens: dict[bytes, Token] = {}
        self._mailboxes: dict[int, _Box] = {}
        self._waiters = Waiters()
        self._last = 0
        self._epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    def has_room(self) -> bool:
        return self._room()

    async def close(self) -> None:
        """Nothing to let go of."""

    def _next(self) -> int:
        self._last += 1
        return self._last

    # --- accounts ---------------------------------------------------------------------------

    async def register(self, account: NewAccount, invite_hash: bytes | None) -> Account:
        if invite_hash is not None and (
            (await self.find_invite(invite_hash)).address != account.address
        ):
            raise NotFound("the invite is for another address")
        if any(person.row.address == account.address for person in self._people.values()):
            raise AlreadyExists("an account with that address exists")
        person = self._person_of(account)
        self._invites.pop(invite_hash or b"", None)
        self._people[person.row.account_id] = person
        self._epoch += 1
        made = [self._make(person, name, use) for name, use in DEFAULT_MAILBOXES]
        person.row = replace(person.row, inbox=made[0].mailbox_id)
        return person.row

    def _person_of(self, account: NewAccount) -> _Person:
        row = Account(
            self._next(),
            account.address,
            account.policy,
            True,
            self._clock(),
            0,
            account.kdf,
            account.auth_hash,
        )
        person = _Person(row, account.certificates)
        if account.statement is not None:
            person.append(account.statement)
        for box in account.boxes:
            person.put(box)
        return person

    def _person(self, account_id: int) -> _Person:
        try:
            return self._people[account_id]
        except KeyError:
            raise NotFound("no such account") from None

    def _by_address(self, address: str) -> _Person:
        for person in self._people.values():
            if person.row.address == address:
                return person
        raise NotFound("no such account")

    async def account(self, address: str) -> Account:
        return self._by_address(address).row

    async def account_by_id(self, account_id: int) -> Account:
        return self._person(account_id).row

    async def accounts(self) -> list[Account]:
        return [person.row for person in self._people.values()]

    async def recipient(self, address: str) -> Recipient:
        person = self._by_address(address)
        newest = person.statements[-1] if person.statements else None
        return Recipient(person.row, person.certificates, newest)

    async def statements(self, account_id: int, first: int, count: int) -> list[Statement]:
        statements = self._people[account_id].statements if account_id in self._people else []
        return [entry for entry in statements if entry.sequence >= first][:count]

    async def publish(
        self,
        account_id: int,
        certificates: Sequence[Certificate],
        statement: Statement,
        policy: Policy,
    ) -> None:
        person = self._person(account_id)
        person.append(statement)
        person.certificates = tuple(certificates)
        person.row = replace(person.row, policy=policy)
        self._epoch += 1

    async def set_enabled(self, account_id: int, enabled: bool) -> None:
        person = self._person(account_id)
        person.row = replace(person.row, enabled=enabled)
        self._epoch += 1

    async def set_auth(self, account_id: int, auth_hash: str, kdf: Kdf, slots: Box) -> None:
        person = self._person(account_id)
        person.put(slots)
        person.row = replace(person.row, auth_hash=auth_hash, kdf=kdf)
        self._epoch += 1

    # --- credentials ------------------------------------------------------------------------

    async def invite(self, invite: Invite, invite_hash: bytes) -> None:
        if any(person.row.address == invite.address for person in self._people.values()):
            raise AlreadyExists("an account with that address exists")
        for other in [h for h, i in self._invites.items() if i.address == invite.address]:
            del self._invites[other]
        self._invites[invite_hash] = invite

    async def find_invite(self, invite_hash: bytes) -> Invite:
        invite = self._invites.get(invite_hash)
        if invite is None or invite.expires <= self._clock():
            raise NotFound("no such invite")
        return invite

    async def add_token(self, token: NewToken) -> Token:
        if len(await self.tokens(token.account_id)) >= MAX_TOKENS:
            raise LimitReached("the account has as many tokens as it may have")
        made = Token(
            self._next(), token.account_id, token.kind, token.name, token.scopes, self._clock(), 0
        )
        self._tokens[token.token_hash] = made
        return made

    async def find_token(self, token_hash: bytes) -> Token:
        try:
            return self._tokens[token_hash]
        except KeyError:
            raise NotFound("no such token") from None

    async def tokens(self, account_id: int) -> list[Token]:
        return [token for token in self._tokens.values() if token.account_id == account_id]

    async def remove_token(self, account_id: int, token_id: int) -> None:
        for token_hash, token in self._tokens.items():
            if (token.account_id, token.token_id) == (account_id, token_id):
                del self._tokens[token_hash]
                self._epoch += 1
                return
        raise NotFound("no such token")

    async def token_used(self, token_id: int, day: int) -> None:
        for token_hash, token in self._tokens.items():
            if token.token_id == token_id:
                self._tokens[token_hash] = replace(token, last_used_day=day)

    async def boxes(self, account_id: int) -> list[Box]:
        boxes = self._people[account_id].boxes if account_id in self._people else {}
        return [boxes[name] for name in sorted(boxes)]

    async def box(self, account_id: int, name: str) -> Box:
        for box in await self.boxes(account_id):
            if box.name == name:
                return box
        raise NotFound("no such box")

    async def put_box(self, account_id: int, box: Box) -> None:
        self._person(account_id).put(box)

    async def remove_box(self, account_id: int, name: str) -> None:
        self._person(account_id).boxes.pop(name, None)

    # --- mailboxes --------------------------------------------------------------------------

    def _of_account(self, account_id: int) -> list[_Box]:
        mine = [box for box in self._mailboxes.values() if box.row.account_id == account_id]
        return sorted(mine, key=lambda box: box.row.name)

    async def mailboxes(self, account_id: int) -> list[Mailbox]:
        return [box.row for box in self._of_account(account_id)]

    def _box(self, mailbox_id: int) -> _Box:
        try:
            return self._mailboxes[mailbox_id]
        except KeyError:
            raise NotFound("no such mailbox") from None

    async def mailbox(self, mailbox_id: int) -> Mailbox:
        return self._box(mailbox_id).row

    async def mailbox_named(self, account_id: int, name: str) -> Mailbox:
        for mailbox in await self.mailboxes(account_id):
            if mailbox.name == name:
                return mailbox
        raise NotFound("no such mailbox")

    async def counts(self, mailbox_id: int) -> Counts:
        entries = [message.entry for message in self._box(mailbox_id).messages.values()]
        return Counts(
            len(entries),
            sum(SEEN not in entry.flags for entry in entries),
            sum(DELETED in entry.flags for entry in entries),
            sum(entry.size for entry in entries),
        )

    async def create(self, account_id: int, name: str, special_use: str | None = None) -> Mailbox:
        return self._make(self._person(account_id), mailbox_name(name), special_use)

    def _make(self, person: _Person, name: str, special_use: str | None) -> Mailbox:
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
        self._mailboxes[row.mailbox_id] = _Box(row)
        return row

    async def rename(self, mailbox_id: int, name: str) -> None:
        old, new = self._box(mailbox_id).row, mailbox_name(name)
        if old.name == INBOX:
            target = await self.create(old.account_id, new)
            await self.move(mailbox_id, list(self._box(mailbox_id).messages), target.mailbox_id)
            return
        if new == old.name or new.startswith(old.name + SEPARATOR):
            raise BadName("a mailbox cannot go below itself")
        boxes = self._of_account(old.account_id)
        moved = {box.row.mailbox_id: renamed(box.row.name, old.name, new) for box in boxes}
        staying = {box.row.name for box in boxes if moved[box.row.mailbox_id] is None}
        names = {number: mailbox_name(path) for number, path in moved.items() if path}
        if staying.intersection(names.values()):
            raise AlreadyExists("a mailbox of that name exists")
        for number, path in names.items():
            box = self._mailboxes[number]
            box.row = replace(box.row, name=path)

    async def delete(self, mailbox_id: int) -> None:
        if self._box(mailbox_id).row.name == INBOX:
            raise BadName("INBOX cannot be deleted")
        del self._mailboxes[mailbox_id]
        self._waiters.committed({}, {mailbox_id})

    async def subscribe(self, mailbox_id: int, subscribed: bool) -> None:
        box = self._box(mailbox_id)
        box.row = replace(box.row, subscribed=subscribed)

    # --- messages ---------------------------------------------------------------------------

    async def deliver(self, messages: Messages) -> list[Placed]:
        self._require_room()
        messages = [message async for message in one_by_one(messages)]
        for message in messages:
            self._box(message.mailbox_id)  # all or nothing
        placed = [self._put(message) for message in messages]
        self._tell(*(message.mailbox_id for message in messages))
        return placed

    def _put(self, message: NewMessage) -> Placed:
        entry = Entry(
            0,
            0,
            message.flags,
            message.internal_date,
            message.size,
            message.header_size,
            message.record.record_id,
            self._clock(),
        )
        return self._box(message.mailbox_id).put(message.record, entry)

    async def append(self, messages: Sequence[NewMessage]) -> list[Placed]:
        self._require_room()
        given: dict[bytes, Record] = {}
        for message in messages:  # all or nothing
            flags_text(message.flags)
            self._held(message)
            first = given.setdefault(message.record.record_id, message.record)
            if not same_record(first, message.record):
                raise RecordTaken("another record with this id was given")
        placed = [self._append(message) for message in messages]
        self._tell(*(message.mailbox_id for message in messages))
        return placed

    def _append(self, message: NewMessage) -> Placed:
        held = self._held(message)
        if held is None:
            return self._put(message)
        holder, stored = held
        if holder is self._box(message.mailbox_id):
            return Placed(holder.row.uidvalidity, stored.entry.uid, stored.entry.modseq)
        return self._put(replace(message, record=stored.record))

    async def replace(self, mailbox_id: int, uid: int, message: NewMessage) -> Placed:
        self._require_room()
        box = self._pair(mailbox_id, message.mailbox_id)
        flags_text(message.flags)
        self._held(message)
        if uid not in box.messages:
            raise MessageGone("no such message")
        box.take_out([uid])
        placed = self._append(message)
        self._tell(mailbox_id, message.mailbox_id)
        return placed

    def _held(self, given: NewMessage) -> tuple[_Box, _Message] | None:
        """The first message with this record id, in its own mailbox before others.

        Raises RecordTaken where it is another record.
        """
        first = self._box(given.mailbox_id)
        boxes = self._of_account(first.row.account_id)
        for box in sorted(boxes, key=lambda box: box is not first):
            for _, message in sorted(box.messages.items()):
                if message.record.record_id == given.record.record_id:
                    if not same_record(message.record, given.record):
                        raise RecordTaken("the account holds another record with this id")
                    return box, message
        return None

    def _require_room(self) -> None:
        if not self._room():
            raise DiskFull("free space is below the floor")

    def _tell(self, *mailbox_ids: int) -> None:
        self._waiters.committed({i: self._box(i).row.highest_modseq for i in mailbox_ids})

    async def entries(self, mailbox_id: int) -> Changes:
        box = self._box(mailbox_id)
        return Changes(box.row, tuple(message.entry for message in box.messages.values()), ())

    async def changes(self, mailbox_id: int, since: int) -> Changes:
        box = self._box(mailbox_id)
        entries = (message.entry for message in box.messages.values())
        return Changes(
            box.row,
            tuple(entry for entry in entries if entry.modseq > since),
            tuple(uid for uid, modseq in sorted(box.expunged.items()) if modseq > since),
        )

    async def messages(
        self, mailbox_id: int, uids: Sequence[int], *, bodies: bool = False
    ) -> list[StoredMessage]:
        box = self._mailboxes.get(mailbox_id)
        return [
            StoredMessage(m.entry, _head(m.record), m.record.body if bodies else None)
            for m in (box.chosen(uids) if box else ())
        ]

    async def body(self, mailbox_id: int, uid: int, start: int, count: int) -> bytes:
        box = self._mailboxes.get(mailbox_id)
        if box is None or uid not in box.messages:
            raise NotFound("no such message")
        return box.messages[uid].record.body[start : start + count]

    async def store_flags(
        self,
        mailbox_id: int,
        uids: Sequence[int],
        op: FlagOp,
        flags: Flags,
        unchanged_since: int | None = None,
    ) -> FlagsStored:
        box = self._box(mailbox_id)
        found = [message.entry for message in box.chosen(uids)]
        changes, modified = select_changes(found, op, flags, unchanged_since)
        if not changes:
            return FlagsStored((), tuple(modified))
        modseq = box.bump()
        changed = tuple(replace(entry, flags=new, modseq=modseq) for entry, new in changes)
        for entry in changed:
            box.messages[entry.uid].entry = entry
        self._tell(mailbox_id)
        return FlagsStored(changed, tuple(modified))

    async def expunge(self, mailbox_id: int, uids: Iterable[int] | None) -> list[int]:
        box = self._box(mailbox_id)
        chosen = box.chosen(box.messages if uids is None else uids)
        gone = [message.entry.uid for message in chosen if DELETED in message.entry.flags]
        return await self.remove(mailbox_id, gone)

    async def remove(self, mailbox_id: int, uids: Sequence[int]) -> list[int]:
        box = self._box(mailbox_id)
        gone = [message.entry.uid for message in box.chosen(uids)]
        if gone:
            box.take_out(gone)
            self._tell(mailbox_id)
        return gone

    async def copy(self, mailbox_id: int, uids: Sequence[int], target_id: int) -> Copied:
        self._require_room()
        found = self._pair(mailbox_id, target_id).chosen(uids)
        return self._put_in(found, target_id)

    async def move(self, mailbox_id: int, uids: Sequence[int], target_id: int) -> Copied:
        source = self._pair(mailbox_id, target_id)
        found = source.chosen(uids)
        if found:
            source.take_out([message.entry.uid for message in found])
            self._tell(mailbox_id)
        return self._put_in(found, target_id)

    def _pair(self, mailbox_id: int, target_id: int) -> _Box:
        source, target = self._box(mailbox_id), self._box(target_id)
        if source.row.account_id != target.row.account_id:
            raise NotFound("no such mailbox")
        return source

    def _put_in(self, found: Sequence[_Message], target_id: int) -> Copied:
        target, time = self._box(target_id), self._clock()
        placed = [target.put(m.record, replace(m.entry, saved=time)) for m in found]
        self._tell(target_id)
        return Copied(
            target.row.uidvalidity,
            tuple(message.entry.uid for message in found),
            tuple(place.uid for place in placed),
        )

    async def wait(self, mailbox_id: int, modseq: int) -> int:
        async def highest(mailbox: int) -> int:
            return self._box(mailbox).row.highest_modseq

        return await self._waiters.wait(mailbox_id, modseq, highest)


def _head(record: Record) -> RecordHead:
    return RecordHead(
        record.record_id,
        record.form,
        record.version,
        record.policy,
        record.outer,
        record.boundary,
        record.envelope,
        record.crc,
        record.body_size,
    )
