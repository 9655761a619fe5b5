"""What the journal holds, done on the server: each entry stays until the server says OK.

Any step may be the last one before the power fails: what was done is then done again, which does
no harm, for every change is relative. Deletes win over flags. docs/specs/journal.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from pathlib import Path

from e2email_client.failure import NotUnderstood, Offline, Refused
from e2email_client.local import contents, mailboxes, names
from e2email_client.local.cipher import Database
from e2email_client.local.entries import Entry, Kind, Place, together
from e2email_client.local.journal import Journal
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.pending import Effect
from e2email_client.local.seen import Seen
from e2email_client.lock import FileLock
from e2email_client.upstream import Remote

log = logging.getLogger(__name__)

# Entries that are done together and leave the journal together.
ENTRIES_AT_ONCE = 500
# For another program's replay to end: it is sent again by nobody, so it is worth a wait.
OTHERS_SECONDS = 30.0
_LOOK_SECONDS = 0.05
# Answers that no later attempt will change. Everything else (UNAVAILABLE, INUSE, SERVERBUG, none)
# is a matter of time.
NEVER = frozenset({"CANNOT", "LIMIT", "NONEXISTENT", "NOPERM", "OVERQUOTA", "TOOBIG", "TRYCREATE"})
GONE = "the mailbox is gone, or another one by now"
NOT_UNDERSTOOD = "the server does not understand it"
DELETED = frozenset({"\\Deleted"})


class Replay:
    """Of one account."""

    def __init__(
        self,
        journal: Journal,
        cache: Database,
        lock: Path,
        seen: Seen | None = None,
    ) -> None:
        self._journal = journal
        self._cache = cache
        self._lock = lock
        self._seen = seen

    async def run(self, remote: Remote) -> bool:
        """Whether anything was done. Offline, BadServer, LocalFault: the rest stays for later.

        What the server refuses for now stays, too, and does not stop what lies in other mailboxes.
        """
        if not await asyncio.to_thread(self._journal.anything_pending):
            return False
        async with self._alone():
            entries = await asyncio.to_thread(self._journal.pending)
            for place, some in _by_place(entries):
                try:
                    await self._at(remote, place, some)
                except Refused as fault:
                    log.warning("the server puts off what was changed: %s", fault.code)
        return bool(entries)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One program at a time: two would do older changes after newer ones."""
        clock = asyncio.get_running_loop().time
        until = clock() + OTHERS_SECONDS
        with FileLock(self._lock) as lock:
            while not lock.take():
                if clock() >= until:
                    raise Offline("Another program is sending its changes.")
                await asyncio.sleep(_LOOK_SECONDS)
            yield

    async def _at(self, remote: Remote, place: Place, entries: Sequence[Entry]) -> None:
        name = await self._name(remote, place)
        changes = [one for one in entries if one.kind is not Kind.APPEND]
        if changes:
            if name is not None and await self._selected(remote, name, place):
                await self._changes(remote, place, changes)
            else:
                await self._refuse(changes, GONE)
        appends = [one for one in entries if one.kind is Kind.APPEND]
        if name is None:
            await self._refuse(appends, GONE)
        else:
            await self._appends(remote, name, appends)

    async def _name(self, remote: Remote, place: Place) -> str | None:
        """What the mailbox is called by now (RFC 8474). None: it is gone."""
        if not place.object_id:
            return place.name
        try:
            if (await remote.status(place.name)).mailbox_id in ("", place.object_id):
                return place.name
        except Refused as fault:
            if fault.code not in NEVER:
                raise
        found = await remote.mailboxes()
        names = (one.name for one in found if one.state and one.state.mailbox_id == place.object_id)
        return next(names, None)

    async def _selected(self, remote: Remote, name: str, place: Place) -> bool:
        """False: its UIDs are not those that programs were shown."""
        try:
            state = await remote.select(name)
        except Refused as fault:
            if fault.code in NEVER:
                return False
            raise
        if state.uidvalidity != await asyncio.to_thread(self._expected, place):
            return False
        local = await asyncio.to_thread(self._local, place)
        if self._seen is None or not await asyncio.to_thread(
            self._seen.above, place.name, state.counters, local
        ):
            return await self._still_the_same(remote, local)
        # it went back in time, and its UIDs may name other mail; or this session's view is old
        said = await remote.status(name)
        return not await asyncio.to_thread(self._seen.above, place.name, said.counters, local)

    async def _still_the_same(self, remote: Remote, local: Mailbox | None) -> bool:
        """The last message that is known here is there the same mail: else the server went back in
        time, and grew beyond what was seen."""
        if local is None:
            return True
        last = await asyncio.to_thread(contents.last_uid, self._cache, local.id)
        if not last:
            return True
        known = await asyncio.to_thread(contents.email_ids, self._cache, local.id, [last])
        said = await remote.email_ids([last])
        return all(known.get(uid, email_id) == email_id for uid, email_id in said.items())

    def _expected(self, place: Place) -> int | None:
        """The server's UIDVALIDITY where programs are told the one of `place`."""
        for local in mailboxes.every(self._cache):
            if local.server_validity and place.names(local):
                return local.server_validity if local.uidvalidity == place.uidvalidity else None
        told = self._seen.told(place.name) if self._seen is not None else None
        if told is None:
            return place.uidvalidity
        shown, server_validity = told
        return server_validity if shown == place.uidvalidity else None

    async def _changes(self, remote: Remote, place: Place, entries: Sequence[Entry]) -> None:
        local = await asyncio.to_thread(self._local, place)
        doomed = {uid for uid, effect in together(entries).items() if effect.gone}

        async def flags(some: Sequence[Entry]) -> None:
            await self._flags(remote, local, some, doomed)

        async def delete(some: Sequence[Entry]) -> None:
            await self._delete(remote, local, some)

        for some in _cut([one for one in entries if one.kind is Kind.FLAGS]):
            if refused := await self._each(some, flags):
                await self._show_flags(remote, local, refused)
        for some in _cut([one for one in entries if one.kind is Kind.DELETE]):
            there = await remote.email_ids(sorted({uid for one in some for uid in one.uids}))
            others = [one for one in some if not one.fits(there)]
            await self._refuse(others, GONE)
            refused = await self._each([one for one in some if one.fits(there)], delete)
            if others or refused:
                await self._show_again(local)

    async def _each(
        self, entries: Sequence[Entry], act: Callable[[Sequence[Entry]], Awaitable[None]]
    ) -> list[Entry]:
        """All at once, or each by itself where the server refuses; those that can never be done."""
        try:
            await act(entries)
        except (Refused, NotUnderstood) as fault:
            reason = fault.code if isinstance(fault, Refused) else NOT_UNDERSTOOD
            if isinstance(fault, Refused) and reason not in NEVER:
                raise
            if len(entries) > 1:
                return [bad for one in entries for bad in await self._each([one], act)]
            await self._refuse(entries, reason)
            return list(entries)
        return []

    async def _flags(
        self, remote: Remote, local: Mailbox | None, entries: Sequence[Entry], doomed: set[int]
    ) -> None:
        said: list[tuple[int, frozenset[str], int]] = []
        for effect, uids in _alike(together(entries), doomed):
            if effect.added:
                said += await remote.store(uids, "+FLAGS", effect.added)
            if effect.removed:
                said += await remote.store(uids, "-FLAGS", effect.removed)
        await self._done(local, entries, said)

    async def _delete(
        self, remote: Remote, local: Mailbox | None, entries: Sequence[Entry]
    ) -> None:
        uids = sorted({uid for one in entries for uid in one.uids})
        if not uids:
            return
        await remote.store(uids, "+FLAGS", DELETED)
        await remote.expunge(uids)
        # another device may take \Deleted away in between
        left = await remote.flags_of(uids)
        if local is not None:
            await asyncio.to_thread(contents.remove, self._cache, local.id, uids)
        await self._done(local, entries, ())
        if left:
            await self._show_again(local)

    async def _show_again(self, local: Mailbox | None) -> None:
        """What was hidden comes back as a mailbox that is listed anew."""
        if local is not None:
            await asyncio.to_thread(names.unlist, self._cache, local)

    async def _appends(self, remote: Remote, name: str, entries: Sequence[Entry]) -> None:
        async def append(some: Sequence[Entry]) -> None:
            await self._append(remote, name, some[0])

        for one in entries:
            await self._each([one], append)

    async def _append(self, remote: Remote, name: str, entry: Entry) -> None:
        octets = await asyncio.to_thread(self._journal.octets, entry.id)
        if octets is not None:
            await remote.append(name, octets, entry.added, entry.when)
        await self._done(None, [entry], ())

    async def _done(
        self,
        local: Mailbox | None,
        entries: Sequence[Entry],
        said: Sequence[tuple[int, frozenset[str], int]],
    ) -> None:
        """The cache first, while the entries still lie over it."""

        def write() -> None:
            if local is not None and said:
                contents.tell(self._cache, local.id, said, (), self._journal)
            self._journal.done([one.id for one in entries])

        await asyncio.to_thread(write)

    async def _refuse(self, entries: Sequence[Entry], reason: str) -> None:
        if entries:
            log.warning("changes that can never be made on the server: %d", len(entries))
            await asyncio.to_thread(self._journal.refuse, entries, reason)

    async def _show_flags(
        self, remote: Remote, local: Mailbox | None, refused: Sequence[Entry]
    ) -> None:
        """As the server has them, for they were promised otherwise."""
        if local is not None:
            said = await remote.flags_of(sorted({uid for one in refused for uid in one.uids}))
            await asyncio.to_thread(contents.tell, self._cache, local.id, said, (), self._journal)

    def _local(self, place: Place) -> Mailbox | None:
        found = (one for one in mailboxes.every(self._cache) if place.names(one))
        return next((one for one in found if one.uidvalidity == place.uidvalidity), None)


def _by_place(entries: Iterable[Entry]) -> Iterator[tuple[Place, list[Entry]]]:
    """Mailbox by mailbox: nothing in one depends on another."""
    found: dict[Place, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.place, []).append(entry)
    return iter(found.items())


def _alike(effects: Mapping[int, Effect], doomed: set[int]) -> Iterator[tuple[Effect, list[int]]]:
    """Messages to which the same is done, ascending."""
    found: dict[Effect, list[int]] = {}
    for uid in sorted(effects.keys() - doomed):
        found.setdefault(effects[uid], []).append(uid)
    return iter(found.items())


def _cut(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[at : at + ENTRIES_AT_ONCE] for at in range(0, len(entries), ENTRIES_AT_ONCE))
