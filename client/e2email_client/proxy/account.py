"""What all connections to one account share: its stores, its live sync, one view a mailbox."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from e2email_client.failure import BadServer, LocalFault, Offline, Refused
from e2email_client.live import Live
from e2email_client.local import mailboxes
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_protocol.imap import errors
from e2email_protocol.imap.session import Entry, Snapshot

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
}


@dataclass(slots=True)
class ProxyAccount:
    """`password`: the one that programs on this machine log in with."""

    address: str
    password: str = field(repr=False)
    cache: Database
    live: Live
    maildrop_held: bool = False  # by a POP3 session: there is one at a time
    _views: dict[int, tuple[int, Snapshot]] = field(default_factory=dict)

    async def mailboxes(self) -> list[Mailbox]:
        """Those whose skeleton is complete: the others are not selectable yet."""
        found = await asyncio.to_thread(mailboxes.every, self.cache)
        return [one for one in found if one.complete]

    async def mailbox(self, name: str) -> Mailbox:
        """NoSuchMailbox; Unavailable while its skeleton is not here yet."""
        found = await asyncio.to_thread(mailboxes.named, self.cache, name)
        if found is None:
            if not await asyncio.to_thread(mailboxes.every, self.cache):
                raise errors.Unavailable("nothing was fetched yet")
            raise errors.NoSuchMailbox(name)
        if not found.complete:
            raise errors.Unavailable("the mailbox is being listed for the first time")
        return found

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

    def _renewed(self, mailbox_id: int, old: Snapshot | None) -> Snapshot | None:
        """The old one where nothing changed; only what changed is read. None: it is gone."""
        now = mailboxes.by_id(self.cache, mailbox_id)
        if now is None or (old is not None and old.modseq == now.modseq):
            return old if now is not None else None
        since = old.modseq if old else 0
        fresh = [Entry(*one) for one in mailboxes.entries(self.cache, mailbox_id, since)]
        if old is not None:
            # read after the entries: one removed in between is in neither
            gone = set(mailboxes.vanished(self.cache, mailbox_id, since))
            fresh = merged(old.entries, fresh, gone)
        return Snapshot(fresh, now.announced, now.modseq)


def merged(old: Sequence[Entry], fresh: Sequence[Entry], gone: Collection[int]) -> list[Entry]:
    """Entries by UID: `fresh` replace or follow `old` ones, `gone` are left out of both."""
    changed = {one.uid: one for one in fresh}
    last = old[-1].uid if old else 0
    kept = [changed.get(one.uid, one) for one in old] if changed else list(old)
    kept += [one for one in fresh if one.uid > last]
    return [one for one in kept if one.uid not in gone] if gone else kept


# Compared with where there is no such account: as long as a real one, so that it takes as long.
_NOBODYS = secrets.token_hex(13)


def logged_in(accounts: Sequence[ProxyAccount], user: str, password: bytes) -> ProxyAccount | None:
    """Programs log in with the full address and the proxy's password, never the passphrase."""
    name = user.strip().lower()
    account = next((one for one in accounts if one.address == name), None)
    expected = account.password if account else _NOBODYS
    fits = hmac.compare_digest(expected.encode(), password)
    return account if fits else None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Refused as fault:
        raise _REFUSALS.get(fault.code, errors.Unavailable)(fault.code) from fault
    except (Offline, BadServer, LocalFault) as fault:
        raise errors.Unavailable(str(fault)) from fault


@asynccontextmanager
async def upstream() -> AsyncIterator[None]:
    """Around what the server is asked for: its failures as the IMAP engine's errors."""
    with _told():
        yield
