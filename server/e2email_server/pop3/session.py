"""One POP3 connection to the sealed face: who it is, and the inbox as it was at login."""

from dataclasses import dataclass, field

from e2email_protocol.pop3 import errors
from e2email_protocol.pop3.session import Listed
from e2email_server.imap.access import Access
from e2email_server.imap.session import MAX_USER
from e2email_server.logins import LoginRefused, Logins, TryLater
from e2email_server.pop3.faults import NotPermitted, told
from e2email_server.pop3.maildrop import SealedMaildrop
from e2email_server.store.api import Store


@dataclass(frozen=True, slots=True)
class Pop3Backend:
    """What all sessions share; `held`: accounts whose inbox a session has (RFC 1939 §4)."""

    store: Store
    logins: Logins
    held: set[int] = field(default_factory=set)


class SealedPop3Session:
    """See session.Session. Device tokens and app passwords log in, never what opens the vault."""

    def __init__(self, backend: Pop3Backend, peer: str) -> None:
        self._backend, self._peer = backend, peer

    def __repr__(self) -> str:
        return "<SealedPop3Session>"

    async def login(self, user: str, password: bytes) -> SealedMaildrop:
        access = await self._enter(user, password)
        if not access.has("read"):
            raise NotPermitted("read")
        if access.account_id in self._backend.held:
            raise errors.InUse
        self._backend.held.add(access.account_id)
        try:
            return await self._open(access)
        except BaseException:
            self._backend.held.discard(access.account_id)
            raise

    async def _enter(self, user: str, password: bytes) -> Access:
        try:
            secret = password.decode("ascii")
        except UnicodeDecodeError:
            secret = ""  # counted like any other wrong one
        if len(user) > MAX_USER:
            raise errors.AuthenticationFailed
        backend, epoch = self._backend, self._backend.store.epoch
        try:
            with told():
                identity = await backend.logins.check_login(user, secret, self._peer)
        except LoginRefused as error:
            raise errors.AuthenticationFailed from error
        except TryLater as error:
            raise errors.LoginDelay from error
        return Access(backend.store, backend.logins, identity, epoch)

    async def _open(self, access: Access) -> SealedMaildrop:
        with told():
            found = await self._backend.store.entries(access.inbox)
        messages = [Listed(entry.uid, entry.size) for entry in found.entries]
        return SealedMaildrop(
            self._backend.store, access, found.mailbox.uidvalidity, messages, self._backend.held
        )
