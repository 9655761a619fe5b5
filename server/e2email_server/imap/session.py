"""One connection to the sealed face: who it is, its mailboxes, and what its password may do."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from e2email_protocol.imap.commands.create import UseNotPossible
from e2email_protocol.imap.errors import AuthenticationFailed, NoPermission, Refused
from e2email_protocol.imap.extensions import NewMessage as ToAppend
from e2email_protocol.imap.reader import Budget
from e2email_protocol.imap.session import AppendResult, MailboxInfo, Status
from e2email_server.imap.access import Access
from e2email_server.imap.append import Appending
from e2email_server.imap.capabilities import OFFERED, append_limit
from e2email_server.imap.faults import translated
from e2email_server.imap.mailbox import BATCH, SealedMailbox, batches
from e2email_server.imap.naming import find_mailbox
from e2email_server.imap.shared import SharedMailboxes
from e2email_server.logins import LoginRefused, Logins, TryLater
from e2email_server.store.api import Store
from e2email_server.store.errors import AlreadyExists
from e2email_server.store.names import SEPARATOR, mailbox_name
from e2email_server.store.types import Flags, Mailbox, NewMessage

MAX_USER = 254  # characters of an address (RFC 5321 §4.5.3.1.3); the throttle remembers names


USES = frozenset({"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"})
"""\\All and \\Flagged would be views of all mail, which are not made here (RFC 6154 §2)."""


class TooManyFailures(Refused):
    """Not AUTHENTICATIONFAILED: nothing was looked at, and the password may be right."""

    code = b"UNAVAILABLE"
    text = b"too many failed logins, try again later"


@dataclass(frozen=True, slots=True)
class Backend:
    """What all sessions share."""

    store: Store
    logins: Logins
    mailboxes: SharedMailboxes
    appending: Appending
    budget: Budget | None = None  # for what is being appended, over all connections


class SealedSession:
    """See session.Session. Device tokens and app passwords log in, never what opens the vault."""

    def __init__(self, backend: Backend, peer: str) -> None:
        self._backend, self._peer = backend, peer
        self.capabilities = OFFERED | {append_limit(backend.appending.limit)}
        self._login: Access | None = None
        self._program = ""

    def __repr__(self) -> str:
        return "<SealedSession>"

    async def login(self, user: str, password: bytes) -> None:
        try:
            secret = password.decode("ascii")
        except UnicodeDecodeError:
            secret = ""  # counted like any other wrong one
        if len(user) > MAX_USER:
            raise AuthenticationFailed
        epoch = self._backend.store.epoch
        try:
            with translated():
                identity = await self._backend.logins.check_login(user, secret, self._peer)
        except LoginRefused as error:
            raise AuthenticationFailed from error
        except TryLater as error:
            raise TooManyFailures from error
        if "read" not in identity.scopes:
            raise NoPermission("read")
        self._login = Access(self._backend.store, self._backend.logins, identity, epoch)

    def identify(self, fields: Mapping[str, str]) -> None:
        self._program = fields.get("name", "")

    async def close(self) -> None:
        self._login = None

    # --- mailboxes ----------------------------------------------------------------------------

    async def list_mailboxes(self) -> Sequence[MailboxInfo]:
        await self._access.require("read")
        with translated():
            found = await self._backend.store.mailboxes(self._account_id)
        return [MailboxInfo(one.name, one.special_use, one.subscribed) for one in found]

    async def status(self, name: str) -> Status:
        await self._access.require("read")
        store = self._backend.store
        found = await find_mailbox(store, self._account_id, name)
        with translated():
            counts = await store.counts(found.mailbox_id)
        return Status(
            messages=counts.messages,
            unseen=counts.unseen,
            uidnext=found.uidnext,
            uidvalidity=found.uidvalidity,
            highestmodseq=found.highest_modseq,
            size=counts.size,
            deleted=counts.deleted,
            mailbox_id=found.object_id,
        )

    async def create(self, name: str, special_use: str | None = None) -> None:
        await self._access.require("write")
        if special_use is not None:
            await self._check_use(special_use)
        await self._make_parents(name)
        with translated():
            await self._backend.store.create(self._account_id, name, special_use)

    async def _check_use(self, use: str) -> None:
        """Two mailboxes for sent mail would part mail programs over which it is."""
        with translated():
            found = await self._backend.store.mailboxes(self._account_id)
        if use not in USES or any(one.special_use == use for one in found):
            raise UseNotPossible

    async def _make_parents(self, name: str) -> None:
        """RFC 9051 §6.3.4, §6.3.6: the levels above a new name exist, too."""
        with translated():
            levels = mailbox_name(name).split(SEPARATOR)
        for count in range(1, len(levels)):
            with translated(), suppress(AlreadyExists):
                await self._backend.store.create(self._account_id, SEPARATOR.join(levels[:count]))

    async def delete(self, name: str) -> None:
        await self._access.require("delete")
        store = self._backend.store
        found = await find_mailbox(store, self._account_id, name)
        with translated():
            entries = (await store.entries(found.mailbox_id)).entries
            for batch in batches([entry.uid for entry in entries[:-BATCH]]):
                await store.remove(found.mailbox_id, batch)
            await store.delete(found.mailbox_id)
        self._backend.mailboxes.touch([found.mailbox_id])

    async def rename(self, old: str, new: str) -> None:
        await self._access.require("write")
        found = await find_mailbox(self._backend.store, self._account_id, old)
        await self._make_parents(new)
        with translated():
            await self._backend.store.rename(found.mailbox_id, new)
        self._backend.mailboxes.touch([found.mailbox_id])

    async def subscribe(self, name: str, on: bool) -> None:
        await self._access.require("write")
        found = await find_mailbox(self._backend.store, self._account_id, name)
        with translated():
            await self._backend.store.subscribe(found.mailbox_id, on)

    async def select(self, name: str, readonly: bool) -> SealedMailbox:
        backend, access = self._backend, self._access
        await access.require("read")
        found = await find_mailbox(backend.store, access.account_id, name)
        shared = await backend.mailboxes.open(found.mailbox_id)
        return SealedMailbox(
            backend.store, backend.mailboxes, shared, access, readonly, self._prepare
        )

    async def append(
        self, name: str, octets: bytes, flags: frozenset[str], when: datetime | None
    ) -> AppendResult:
        return (await self.append_many(name, [ToAppend(octets, flags, when)]))[0]

    async def append_many(self, name: str, messages: Sequence[ToAppend]) -> list[AppendResult]:
        """Records take as much memory as what they are made of: see the engine's APPENDS."""
        await self._access.require("write")
        target = await find_mailbox(self._backend.store, self._account_id, name)
        made = [await self._prepare(target, one.octets, one.flags, one.when) for one in messages]
        with translated():
            placed = await self._backend.store.append(made)
        self._backend.mailboxes.touch([target.mailbox_id])
        return [AppendResult(one.uidvalidity, one.uid) for one in placed]

    async def _prepare(
        self, target: Mailbox, octets: bytes, flags: Flags, when: datetime | None
    ) -> NewMessage:
        return await self._backend.appending.prepare(
            self._access.address, target, octets, flags, when, self._program
        )

    @property
    def _access(self) -> Access:
        assert self._login is not None, "the engine's state table lets no command through"
        return self._login

    @property
    def _account_id(self) -> int:
        return self._access.account_id
