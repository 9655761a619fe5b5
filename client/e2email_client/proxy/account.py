"""What all connections to one account share: its stores, its live sync, one view a mailbox."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterator, Sequence
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
    _views: dict[int, Snapshot] = field(default_factory=dict)

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
        now = await asyncio.to_thread(mailboxes.by_id, self.cache, mailbox_id)
        if now is None:
            self._views.pop(mailbox_id, None)
            raise errors.NoSuchMailbox("it was deleted")
        view = self._views.get(mailbox_id)
        if view is None or view.modseq != now.modseq:
            found = await asyncio.to_thread(mailboxes.entries, self.cache, mailbox_id)
            entries = [Entry(one.uid, one.flags, one.modseq) for one in found]
            uidnext = max(now.uidnext, entries[-1].uid + 1 if entries else 1)
            view = self._views[mailbox_id] = Snapshot(entries, uidnext, now.modseq)
        return view


def logged_in(accounts: Sequence[ProxyAccount], user: str, password: bytes) -> ProxyAccount | None:
    """Programs log in with the full address and the proxy's password, never the passphrase."""
    name = user.strip().lower()
    account = next((one for one in accounts if one.address == name), None)
    expected = account.password if account else ""
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
