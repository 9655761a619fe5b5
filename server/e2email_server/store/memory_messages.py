"""Messages in memory: delivered, appended, changed, copied, removed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from e2email_protocol.sealed.record import Record, RecordHead
from e2email_protocol.sealed.reseal import digest
from e2email_server.store.errors import Conflict, DiskFull, MessageGone, NotFound, RecordTaken
from e2email_server.store.memory_base import Memory, MemoryMailbox, MemoryMessage
from e2email_server.store.names import DELETED, flags_text, select_changes
from e2email_server.store.types import (
    Changes,
    Copied,
    Entry,
    Envelope,
    FlagOp,
    Flags,
    FlagsStored,
    Held,
    Messages,
    NewMessage,
    Placed,
    Resealed,
    StoredMessage,
    and_former,
    one_by_one,
    same_record,
)


class Mail(Memory):
    """See api.Store."""

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

    def _held(self, given: NewMessage) -> tuple[MemoryMailbox, MemoryMessage] | None:
        """The first message with this record id, in its own mailbox before others.

        Raises RecordTaken where it is another record.
        """
        first = self._box(given.mailbox_id)
        boxes = self._of_account(first.row.account_id)
        place = first.row.account_id, given.record.record_id

        def former() -> bytes:
            return self._former.get(place, b"")

        for box in sorted(boxes, key=lambda box: box is not first):
            for _, message in sorted(box.messages.items()):
                if message.record.record_id == given.record.record_id:
                    if not same_record(message.record, given.record, former):
                        raise RecordTaken("the account holds another record with this id")
                    return box, message
        return None

    def _require_room(self) -> None:
        if not self._room():
            raise DiskFull("free space is below the floor")

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
            StoredMessage(m.entry, _head(m.record), m.record.body if bodies else None, m.serial)
            for m in (box.chosen(uids) if box else ())
        ]

    async def body(
        self, mailbox_id: int, uid: int, start: int, count: int, serial: int | None = None
    ) -> bytes:
        box = self._mailboxes.get(mailbox_id)
        if box is None or uid not in box.messages:
            raise NotFound("no such message")
        if serial not in (None, box.messages[uid].serial):
            raise NotFound("the message was resealed meanwhile")
        return box.messages[uid].record.body[start : start + count]

    async def held(self, account_id: int, record_id: bytes) -> Held:
        box, message = self._shown(account_id, record_id)[0]
        head = _head(message.record)
        return Held(box.row.mailbox_id, StoredMessage(message.entry, head, None, message.serial))

    async def envelopes(self, account_id: int, after: bytes, count: int) -> list[Envelope]:
        shown = {
            message.record.record_id: message.record.envelope
            for box in self._of_account(account_id)
            for message in box.messages.values()
        }
        return [Envelope(*one) for one in sorted(shown.items()) if one[0] > after][:count]

    async def reseal(self, account_id: int, record: Resealed) -> None:
        self._require_room()
        shown = self._shown(account_id, record.record_id)
        place = account_id, record.record_id
        old = shown[0][1].record
        if digest(old.envelope) != record.old:
            raise Conflict("another form of the record is stored")
        body = old.body if record.body is None else record.body
        new = replace(old, envelope=record.envelope, body=body, body_size=len(body), crc=record.crc)
        modseqs = {box.row.mailbox_id: box.bump() for box in {id(b): b for b, _ in shown}.values()}
        for box, message in shown:
            message.record, message.serial = new, message.serial + 1
            message.entry = replace(
                message.entry,
                size=record.size,
                header_size=record.header_size,
                modseq=modseqs[box.row.mailbox_id],
            )
        self._former[place] = and_former(old.envelope, self._former.get(place, b""))
        self._tell(*modseqs)

    def _shown(
        self, account_id: int, record_id: bytes
    ) -> list[tuple[MemoryMailbox, MemoryMessage]]:
        """Every message of the account that shows this record, at least one. Raises NotFound."""
        found = [
            (box, message)
            for box in self._of_account(account_id)
            for message in box.messages.values()
            if message.record.record_id == record_id
        ]
        if not found:
            raise NotFound("no such record")
        return found

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

    def _pair(self, mailbox_id: int, target_id: int) -> MemoryMailbox:
        source, target = self._box(mailbox_id), self._box(target_id)
        if source.row.account_id != target.row.account_id:
            raise NotFound("no such mailbox")
        return source

    def _put_in(self, found: Sequence[MemoryMessage], target_id: int) -> Copied:
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
