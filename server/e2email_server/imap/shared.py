"""One picture of each selected mailbox, shared by all sessions that have it selected.

It is read once and kept up to date by one task, so an idle session costs no read and no copy,
and a new mail is read once however many wait for it.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from e2email_protocol.imap.errors import NoSuchMailbox
from e2email_protocol.imap.session import Changes, Entry, Snapshot
from e2email_protocol.mime.part import Part
from e2email_server.imap.faults import translated
from e2email_server.store.api import MessageStore
from e2email_server.store.errors import Failure, NotFound
from e2email_server.store.types import Changes as StoreChanges
from e2email_server.store.types import Entry as StoreEntry

log = logging.getLogger(__name__)

# Changes that are remembered for sessions that have not heard of them; one that asks for more
# gets them from the store.
LOG = 10_000
RETRY = 1.0  # seconds, while the store cannot be read


class Known(NamedTuple):
    """What is answered without a read; tuples, for a mailbox may have a hundred thousand."""

    entry: Entry
    date: int
    size: int
    record_id: bytes
    saved: int


def entry_of(entry: StoreEntry) -> Entry:
    return Entry(entry.uid, entry.flags, entry.modseq)


def known_of(entry: StoreEntry) -> Known:
    date = entry.internal_date
    saved = date if entry.saved == date else entry.saved  # one object: nearly all are the same
    return Known(entry_of(entry), date, entry.size, entry.record_id, saved)


class SharedMailbox:
    """Made by SharedMailboxes.open(); `messages` by uid, ascending."""

    def __init__(self, store: MessageStore, mailbox_id: int) -> None:
        self.mailbox_id = mailbox_id
        self.users = 0
        self.messages: dict[int, Known] = {}
        self.object_id = ""
        self.uidvalidity = 0
        self.uidnext = 1
        self.modseq = 0
        self.deleted = False
        self.layouts: dict[tuple[int, int], Part] = {}  # of verbatim messages, by uid and size
        self._store = store
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._stale = True
        self._entries: tuple[Entry, ...] | None = None
        self._log: list[tuple[int, int]] = []  # (modseq, uid), ascending
        self._complete_from = 0  # the log has every change above this modseq
        self._watcher: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """The first read; others who open it meanwhile wait for it. Raises NotFound, Failure."""
        async with self._lock:
            if self._watcher is not None:
                return
            found = await self._store.entries(self.mailbox_id)
            self.messages = await asyncio.to_thread(_by_uid, found.entries)
            self._take_row(found)
            self._complete_from = self.modseq
            self._stale = False
            self._watcher = asyncio.get_running_loop().create_task(self._watch())
            self._watcher.add_done_callback(self._unwatched)

    def forget(self) -> None:
        """The last session left."""
        if self._watcher is not None:
            self._watcher.cancel()

    # --- what sessions ask --------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        if self._entries is None:
            self._entries = tuple(known.entry for known in self.messages.values())
        return Snapshot(self._entries, self.uidnext, self.modseq)

    async def changes(self, since: int) -> Changes:
        """Raises NoSuchMailbox, Unavailable. Reads only when a change is known to be there."""
        with translated():
            await self.refresh()
            if since >= self.modseq:
                return Changes((), (), self.modseq)
            if since < self._complete_from:
                return _changes(await self._store.changes(self.mailbox_id, since))
        start = bisect_right(self._log, since, key=lambda change: change[0])
        return self._since({uid for _, uid in self._log[start:]})

    async def refresh(self) -> None:
        """Know what was committed before, a session's own changes above all. Raises as changes().

        Waits for a read that somebody else began: it may be of that very change.
        """
        if self._stale or self._lock.locked():
            await self._update()
        if self.deleted:
            raise NoSuchMailbox

    def _since(self, uids: Iterable[int]) -> Changes:
        entries: list[Entry] = []
        vanished: list[int] = []
        for uid in sorted(uids):
            known = self.messages.get(uid)
            if known is None:
                vanished.append(uid)
            else:
                entries.append(known.entry)
        return Changes(entries, vanished, self.modseq, self.snapshot())

    async def wait(self, since: int) -> None:
        """Return once modseq is above `since`, or the mailbox is gone."""
        while self.modseq <= since and not self.deleted:
            await self._news.wait()

    def touch(self) -> None:
        """A session changed it: the next changes() must see that."""
        self._stale = True

    # --- keeping up ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        while not self.deleted:
            try:
                newest = await self._store.wait(self.mailbox_id, self.modseq)
                self._stale = self._stale or newest > self.modseq
                await self._update()
            except NotFound:
                self.deleted = True
                self._tell()
            except Failure as error:
                log.error("mailbox %d cannot be watched: %s", self.mailbox_id, error)
                await asyncio.sleep(RETRY)

    def _unwatched(self, watcher: asyncio.Task[None]) -> None:
        """A fault of ours must not leave sessions deaf: they are ended, and come again."""
        if not watcher.cancelled() and watcher.exception() is not None:
            log.error("mailbox %d is not watched", self.mailbox_id, exc_info=watcher.exception())
            self.deleted = True
            self._tell()

    async def _update(self) -> None:
        async with self._lock:
            if not self._stale:
                return
            self._stale = False  # before reading: what is touched meanwhile is read again
            try:
                self._apply(await self._store.changes(self.mailbox_id, self.modseq))
            except NotFound:
                self.deleted = True
            except BaseException:
                self._stale = True
                raise
            self._tell()

    def _apply(self, changes: StoreChanges) -> None:
        self._entries = self._longer(changes)
        for uid in changes.vanished:
            gone = self.messages.pop(uid, None)
            if gone is not None:
                self.layouts.pop((uid, gone.size), None)
        self.messages.update(_by_uid(changes.entries))
        news = [(entry.modseq, entry.uid) for entry in changes.entries]
        # an expunge has no modseq here; the newest is not too early for anybody
        news += [(changes.mailbox.highest_modseq, uid) for uid in changes.vanished]
        self._log += sorted(news)
        if len(self._log) > 2 * LOG:
            self._complete_from = self._log[-LOG - 1][0]
            del self._log[: bisect_right(self._log, self._complete_from, key=lambda c: c[0])]
        self._take_row(changes)

    def _longer(self, changes: StoreChanges) -> tuple[Entry, ...] | None:
        """The snapshot's entries after new mail only, the usual case; else None: made anew."""
        new = tuple(entry_of(entry) for entry in changes.entries)
        if self._entries is None or changes.vanished or any(e.uid < self.uidnext for e in new):
            return None
        return self._entries + new

    def _take_row(self, changes: StoreChanges) -> None:
        self.object_id = changes.mailbox.object_id
        self.uidvalidity = changes.mailbox.uidvalidity
        self.uidnext = changes.mailbox.uidnext
        self.modseq = changes.mailbox.highest_modseq

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _by_uid(entries: Iterable[StoreEntry]) -> dict[int, Known]:
    return {entry.uid: known_of(entry) for entry in entries}


def _changes(found: StoreChanges) -> Changes:
    entries = [entry_of(entry) for entry in found.entries]
    return Changes(entries, found.vanished, found.mailbox.highest_modseq)


class SharedMailboxes:
    """All mailboxes that some session has selected."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._open: dict[int, SharedMailbox] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def open(self, mailbox_id: int) -> SharedMailbox:
        """Give it back with close(). Raises NoSuchMailbox, Unavailable."""
        shared = self._open.get(mailbox_id)
        if shared is None or shared.deleted:
            shared = self._open[mailbox_id] = SharedMailbox(self._store, mailbox_id)
        shared.users += 1
        try:
            with translated():
                await shared.load()
                await shared.refresh()
        except BaseException:
            self.close(shared)
            raise
        return shared

    def close(self, shared: SharedMailbox) -> None:
        shared.users -= 1
        if not shared.users:
            shared.forget()
            if self._open.get(shared.mailbox_id) is shared:
                del self._open[shared.mailbox_id]

    def touch(self, mailbox_ids: Sequence[int]) -> None:
        """A session changed these."""
        for mailbox_id in mailbox_ids:
            if shared := self._open.get(mailbox_id):
                shared.touch()
