"""One connection to the sealed face: who it is, its mailboxes, and what its password may do."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from e2email_protocol.imap.errors import AuthenticationFailed, NoPermission, Refused
from e2email_protocol.imap.session import AppendResult, MailboxInfo, Status
from e2email_server.imap.access import Access
from e2email_server.imap.append import Appending
from e2email_server.imap.faults import translated
from e2email_server.imap.mailbox import SealedMailbox
from e2email_server.imap.naming import find_mailbox
from e2email_server.imap.shared import SharedMailboxes
from e2email_server.logins import LoginRefused, Logins, TryLater
from e2email_server.store.api import Store
from e2email_server.store.errors import AlreadyExists
from e2email_server.store.names import SEPARATOR, mailbox_name

MAX_USER = 254  # characters of an address (RFC 5321 §4.5.3.1.3); the throttle remembers names


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


class SealedSession:
    """See session.Session. Device tokens and app passwords log in, never what opens the vault."""

    capabilities = frozenset({b"STATUS=SIZE"})

    def __init__(self, backend: Backend, peer: str) -> None:
        self._backend, self._peer = backend, peer
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
        )

    async def create(self, name: str, special_use: str | None = None) -> None:
        await self._access.require("write")
        await self._make_parents(name)
        with translated():
            await self._backend.store.create(self._account_id, name, special_use)

    async def _make_parents(self, name: str) -> None:
        """RFC 9051 §6.3.4, §6.3.6: the levels above a new name exist, too."""
        with translated():
            levels = mailbox_name(name).split(SEPARATOR)
        for count in range(1, len(levels)):
            with translated(), suppress(AlreadyExists):
                await self._backend.store.create(self._account_id, SEPARATOR.join(levels[:count]))

    async def delete(self, name: str) -> None:
        await self._access.require("delete")
        found = await find_mailbox(self._backend.store, self._account_id, name)
        with translated():
            await self._backend.store.delete(found.mailbox_id)
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
        return SealedMailbox(backend.store, backend.mailboxes, shared, access, readonly)

    async def append(
        self, name: str, octets: bytes, flags: frozenset[str], when: datetime | None
    ) -> AppendResult:
        await self._access.require("write")
        target = await find_mailbox(self._backend.store, self._account_id, name)
        placed = await self._backend.appending.append(
            self._access.address, target, octets, flags, when, self._program
        )
        self._backend.mailboxes.touch([target.mailbox_id])
        return AppendResult(placed.uidvalidity, placed.uid)

    @property
    def _access(self) -> Access:
        assert self._login is not None, "the engine's state table lets no command through"
        return self._login

    @property
    def _account_id(self) -> int:
        return self._access.account_id
