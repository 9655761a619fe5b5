"""What all connections to one account share: its stores, its live sync, one view a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from e2email_client.device_seal import MAX_MAIL
from e2email_client.failure import ClientError, Offline, Refused
from e2email_client.live import Live
from e2email_client.local import contents, mailboxes, mails
from e2email_client.local.cipher import Database
from e2email_client.local.keywords import without_reserved
from e2email_client.local.mailboxes import Mailbox
from e2email_client.local.mails import State
from e2email_protocol.imap import errors
from e2email_protocol.imap.commands.create import UseNotPossible
from e2email_protocol.imap.session import AppendResult, Entry, Snapshot

# How long a mailbox that is not listed yet is waited for: programs give up after half a minute.
LISTED_SECONDS = 10.0

# What the server's refusals are to a mail program.
_REFUSALS: dict[str, type[errors.Refused]] = {
    "ALREADYEXISTS": errors.AlreadyExists,
    "CANNOT": errors.Cannot,
    "HASCHILDREN": errors.HasChildren,
    "LIMIT": errors.LimitReached,
    "NONEXISTENT": errors.NoSuchMailbox,
    "NOPERM": errors.NoPermission,
    "OVERQUOTA": errors.OverQuota,
    "TOOBIG": errors.TooBig,
    "TRYCREATE": errors.NoSuchMailbox,
    "USEATTR": UseNotPossible,
}


class Passwords(Protocol):
    """Of proxy/passwords.py what logins need; the methods block."""

    def fitting(self, password: bytes) -> int | None:
        """The number of the password that this is."""
        ...

    def note(self, number: int, now: int, program: str) -> None: ...

    def ids(self) -> frozenset[int]: ...

    def version(self) -> int:
        """Another number after another program wrote to where they are kept."""
        ...


@dataclass(slots=True)
class ProxyAccount:
    """`passwords`: those that programs on this machine log in with."""

    address: str
    passwords: Passwords
    cache: Database
    live: Live
    maildrop_held: bool = False  # by a POP3 session: there is one at a time
    _views: dict[int, tuple[int, Snapshot]] = field(default_factory=dict)
    _storing: dict[int, asyncio.Lock] = field(default_factory=dict)

    async def mailboxes(self) -> list[Mailbox]:
        """All there are, or Unavailable: a program takes what is left out for deleted."""
        found = await self._listed(bool)
        if not found:
            raise errors.Unavailable("nothing was fetched yet")
        return found

    async def mailbox(self, name: str) -> Mailbox:
        """One that can be selected. NoSuchMailbox; Unavailable while it is not listed yet."""
        local = await asyncio.to_thread(mailboxes.named, self.cache, name)
        if local is not None and local.complete:
            return local

        def ready(found: Sequence[Mailbox]) -> bool:
            return bool(found) and all(one.complete for one in found if one.name == name)

        found = await self._listed(ready)
        local = next((one for one in found if one.name == name), None)
        if local is None and found:
            raise errors.NoSuchMailbox("it is not listed")  # logged: without its name
        if local is None or not local.complete:
            raise errors.Unavailable("the mailbox is being listed for the first time")
        return local

    async def _listed(self, ready: Callable[[Sequence[Mailbox]], bool]) -> list[Mailbox]:
        """All mailboxes, once they are `ready`; or as they are, where that does not come soon."""
        clock = asyncio.get_running_loop().time
        until = clock() + LISTED_SECONDS
        while True:
            generation = self.live.generation
            found = await asyncio.to_thread(mailboxes.every, self.cache)
            if ready(found) or clock() >= until:
                return found
            await self.live.settled()
            if self.live.generation == generation and not self.live.listing:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self.live.wait(generation)

    async def snapshot(self, mailbox_id: int) -> Snapshot:
        """The mailbox as it is; all its sessions share one until it changes."""
        generation = self.live.generation
        known = self._views.get(mailbox_id)
        if known is not None and known[0] == generation:
            return known[1]
        view = await asyncio.to_thread(self._renewed, mailbox_id, known[1] if known else None)
        if view is None:
            self._views.pop(mailbox_id, None)
            raise errors.NoSuchMailbox("it was deleted")
        self._views[mailbox_id] = generation, view
        return view

    def storing(self, mailbox_id: int) -> asyncio.Lock:
        """Held from looking at a mailbox's flags until they are changed (RFC 7162 §3.1.3)."""
        return self._storing.setdefault(mailbox_id, asyncio.Lock())

    async def ensure(
        self, local: Mailbox, uids: Sequence[int], state: State
    ) -> errors.Refused | None:
        """Fetch what is known less well than that; why it failed, if it did."""
        if state is State.UNKNOWN:
            return None
        lacking = await asyncio.to_thread(mails.lacking, self.cache, local.id, uids, state)
        if lacking:
            try:
                async with upstream():
                    await self.live.ensure(local, [uid for uid, _ in lacking], state)
            except errors.Refused as trouble:
                return trouble
        return None

    async def append(
        self, name: str, octets: bytes, flags: frozenset[str], when: datetime | None
    ) -> AppendResult:
        """Session.append."""
        if len(octets) > MAX_MAIL:
            raise errors.TooBig("above the limit")
        target = await self.mailbox(name)
        async with upstream(away=True):
            placed = await self.live.appending.append(
                target, octets, without_reserved(flags), when or datetime.now(UTC)
            )
        return AppendResult(*placed)

    def _renewed(self, mailbox_id: int, old: Snapshot | None) -> Snapshot | None:
        """The old one where nothing changed; only what changed is read. None: it is gone."""
        now = mailboxes.by_id(self.cache, mailbox_id)
        if now is None or (old is not None and old.modseq == now.modseq):
            return old if now is not None else None
        since = old.modseq if old else 0
        fresh = [Entry(*one) for one in contents.entries(self.cache, mailbox_id, since)]
        if old is not None:
            # read after the entries: one removed in between is in neither
            gone = set(contents.vanished(self.cache, mailbox_id, since))
            fresh = merged(old.entries, fresh, gone)
        # what was announced since `now` was read may be among them
        uidnext = max(now.announced, fresh[-1].uid + 1) if fresh else now.announced
        # a tuple: the sessions keep it as it is
        return Snapshot(tuple(fresh), uidnext, now.modseq)


def merged(old: Sequence[Entry], fresh: Sequence[Entry], gone: Collection[int]) -> list[Entry]:
    """Entries by UID: `fresh` replace or follow `old` ones, `gone` are left out of both."""
    changed = {one.uid: one for one in fresh}
    last = old[-1].uid if old else 0
    kept = [changed.get(one.uid, one) for one in old] if changed else list(old)
    kept += [one for one in fresh if one.uid > last]
    return [one for one in kept if one.uid not in gone] if gone else kept


class ServerAway(errors.Unavailable):
    """Programs show it to people."""

    text = b"the mail server cannot be reached now, try again later"


@contextmanager
def _told(away: bool) -> Iterator[None]:
    try:
        yield
    except Refused as fault:
        raise _REFUSALS.get(fault.code, errors.Unavailable)(fault.code) from fault
    except Offline as fault:
        raise (errors.Away if away else ServerAway)(str(fault)) from fault
    except ClientError as fault:
        raise errors.Unavailable(str(fault)) from fault


@asynccontextmanager
async def upstream(*, away: bool = False) -> AsyncIterator[None]:
    """Around what the server is asked for: its failures as the IMAP engine's errors.

    `away`: without a server the connection ends, see errors.Away.
    """
    with _told(away):
        yield
