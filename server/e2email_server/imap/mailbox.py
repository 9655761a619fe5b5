"""A selected mailbox of the sealed face: the shared picture, and the store for everything else."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial

from e2email_protocol.imap.errors import Cannot
from e2email_protocol.imap.session import (
    AppendResult,
    Changes,
    CopyResult,
    Entry,
    Message,
    Need,
    Snapshot,
    StoreOp,
    StoreResult,
    TextSearch,
)
from e2email_server.imap.access import Access
from e2email_server.imap.body import Body
from e2email_server.imap.faults import translated
from e2email_server.imap.message import MetaMessage, SealedMessage
from e2email_server.imap.naming import find_mailbox
from e2email_server.imap.shared import Known, SharedMailbox, SharedMailboxes, entry_of, known_of
from e2email_server.store.api import Store
from e2email_server.store.names import DELETED
from e2email_server.store.types import Copied, FlagOp, Flags, Mailbox, NewMessage, StoredMessage

PAGE = 500  # messages of one read
CARRIED = 5000  # that one commit copies or moves, some 100 ms; more take several
BATCH = 1000  # messages that one commit marks or removes: between two, others' mail is stored
PAGE_OCTETS = 4 * 1024 * 1024  # of their renderings, when bodies are read with them
_RECORD = Need.ENVELOPE | Need.STRUCTURE | Need.HEADER | Need.BODY
_NEVER = 2**32  # uids have 32 bits
_OPS = {
    StoreOp.REPLACE: FlagOp.REPLACE,
    StoreOp.ADD: FlagOp.ADD,
    StoreOp.REMOVE: FlagOp.REMOVE,
}


Prepare = Callable[[Mailbox, bytes, Flags, datetime | None], Awaitable[NewMessage]]
"""A message that is to be appended there, sealed where it is not yet (append.Appending)."""


class TextIsSealed(Cannot):
    """SEARCH in header or body."""

    text = b"the text is sealed: only flags, dates, sizes and numbers can be searched here"


class SealedMailbox:
    """See session.Mailbox. `access` is that of the credential that logged in."""

    def __init__(
        self,
        store: Store,
        mailboxes: SharedMailboxes,
        shared: SharedMailbox,
        access: Access,
        readonly: bool,
        prepare: Prepare,
    ) -> None:
        self._store, self._mailboxes, self._shared = store, mailboxes, shared
        self._access, self._prepare = access, prepare
        self._told = shared.modseq
        self._readonly = readonly or not access.has("write")

    def __repr__(self) -> str:
        return f"<SealedMailbox {self._shared.mailbox_id}>"

    @property
    def readonly(self) -> bool:
        return self._readonly

    @property
    def uidvalidity(self) -> int:
        return self._shared.uidvalidity

    @property
    def mailbox_id(self) -> str:
        return self._shared.object_id

    @property
    def recent_from(self) -> int:
        """Nothing is \\Recent: no program of today makes use of it."""
        return _NEVER

    async def snapshot(self) -> Snapshot:
        snapshot = self._shared.snapshot()
        self._told = snapshot.modseq
        return snapshot

    async def changes(self, since: int) -> Changes:
        # first: a wait() after a failure must not return for the same news at once, for ever
        self._told = self._shared.modseq
        await self._access.still()
        changes = await self._shared.changes(since)
        self._told = changes.modseq
        return changes

    async def wait(self) -> None:
        await self._shared.wait(self._told)

    async def close(self) -> None:
        self._mailboxes.close(self._shared)

    async def search(self, key: TextSearch, uids: Sequence[int]) -> Collection[int]:
        raise TextIsSealed

    # --- reading ------------------------------------------------------------------------------

    async def fetch(self, uids: Sequence[int], need: Need) -> AsyncGenerator[Message, None]:
        await self._access.require("read")
        messages = self._shared.messages
        known = [messages[uid] for uid in uids if uid in messages]
        if not need & _RECORD:
            for one in known:
                yield MetaMessage(one)
            return
        bodies = Need.BODY in need
        for page in _pages(known, bodies):
            for message in await self._read(page, bodies):
                yield message

    async def _read(self, page: Sequence[int], bodies: bool) -> list[SealedMessage]:
        with translated():
            found = await self._store.messages(self._shared.mailbox_id, page, bodies=bodies)
        return [self._message(stored) for stored in found]

    def _message(self, stored: StoredMessage) -> SealedMessage:
        read = partial(
            self._store.body, self._shared.mailbox_id, stored.entry.uid, serial=stored.serial
        )
        body = Body(read, stored.body)
        return SealedMessage(known_of(stored.entry), stored.head, body, self._shared.layouts)

    # --- changing -----------------------------------------------------------------------------

    async def store(
        self,
        uids: Sequence[int],
        op: StoreOp,
        flags: frozenset[str],
        unchangedsince: int | None = None,
    ) -> StoreResult:
        sets_deleted = DELETED in flags and op is not StoreOp.REMOVE
        await self._access.require("delete" if sets_deleted else "write")
        changed: dict[int, Entry] = {}
        modified: list[int] = []
        for batch in batches(uids):
            with translated():
                done = await self._store.store_flags(
                    self._shared.mailbox_id, batch, _OPS[op], flags, unchangedsince
                )
            if done.changed:
                self._shared.touch()
            changed |= {entry.uid: entry_of(entry) for entry in done.changed}
            modified += done.modified
        # what another session has just expunged is not told as there
        await self._shared.refresh()
        left = set(modified)
        messages = self._shared.messages
        return StoreResult(
            [
                changed.get(uid) or messages[uid].entry
                for uid in uids
                if uid in messages and uid not in left
            ],
            modified,
        )

    async def replace(
        self, uid: int, name: str, octets: bytes, flags: frozenset[str], when: datetime | None
    ) -> AppendResult:
        await self._access.require("delete")  # the old one goes for good
        await self._access.require("write")
        target = await find_mailbox(self._store, self._access.account_id, name)
        message = await self._prepare(target, octets, flags, when)
        with translated():
            placed = await self._store.replace(self._shared.mailbox_id, uid, message)
        self._mailboxes.touch([self._shared.mailbox_id, target.mailbox_id])
        return AppendResult(placed.uidvalidity, placed.uid)

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        await self._access.require("delete")
        if uids is None:
            uids = await self._marked()
        gone: list[int] = []
        for batch in batches(uids):
            with translated():
                found = await self._store.expunge(self._shared.mailbox_id, batch)
            if found:
                self._shared.touch()
            gone += found
        return gone

    async def _marked(self) -> list[int]:
        with translated():
            await self._shared.refresh()
        return [uid for uid, known in self._shared.messages.items() if DELETED in known.entry.flags]

    async def copy(self, uids: Sequence[int], name: str) -> CopyResult:
        await self._access.require("write")
        target = await find_mailbox(self._store, self._access.account_id, name)
        done: list[Copied] = []
        try:
            for batch in batches(uids, CARRIED):
                with translated():
                    source = self._shared.mailbox_id
                    done.append(await self._store.copy(source, batch, target.mailbox_id))
        except BaseException:
            await self._undo(target.mailbox_id, done)
            raise
        finally:
            self._mailboxes.touch([target.mailbox_id])
        return _result(done)

    async def _undo(self, target_id: int, done: Sequence[Copied]) -> None:
        """RFC 3501 §6.4.7: a COPY that fails leaves the target as it was."""
        copies = [uid for copied in done for uid in copied.targets]
        for batch in batches(copies):
            with translated():
                await self._store.remove(target_id, batch)

    async def move(self, uids: Sequence[int], name: str) -> CopyResult:
        await self._access.require("write")  # nothing is lost by it
        target = await find_mailbox(self._store, self._access.account_id, name)
        done: list[Copied] = []
        try:
            for batch in batches(uids, CARRIED):
                with translated():
                    source = self._shared.mailbox_id
                    done.append(await self._store.move(source, batch, target.mailbox_id))
        finally:
            self._mailboxes.touch([self._shared.mailbox_id, target.mailbox_id])
        return _result(done)


def _result(done: Sequence[Copied]) -> CopyResult:
    sources = [uid for copied in done for uid in copied.sources]
    targets = [uid for copied in done for uid in copied.targets]
    return CopyResult(done[0].uidvalidity, sources, targets)


def batches(uids: Sequence[int], size: int = BATCH) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), size):
        yield uids[start : start + size]


def _pages(messages: Sequence[Known], bodies: bool) -> Iterator[Sequence[int]]:
    """Uids for one read each: bounded in number, and in octets where bodies come with them."""
    page: list[int] = []
    octets = 0
    for known in messages:
        size = known.size if bodies else 0
        if page and (len(page) >= PAGE or octets + size > PAGE_OCTETS):
            yield page
            page, octets = [], 0
        page.append(known.entry.uid)
        octets += size
    if page:
        yield page
