"""What a login may do, for as long as its credential is there."""

from e2email_protocol.imap.errors import NoPermission, Refused
from e2email_server.imap.faults import translated
from e2email_server.logins import Identity, Logins
from e2email_server.store.api import AccountStore


class Revoked(Refused):
    """The password was revoked, or the account disabled, while the session was open."""

    code = b"EXPIRED"
    text = b"this password is not valid any more"


class Access:
    """`epoch` is the store's from before the login; while it stays, so does the answer."""

    def __init__(self, store: AccountStore, logins: Logins, identity: Identity, epoch: int) -> None:
        self._store, self._logins, self._identity = store, logins, identity
        self._epoch = epoch

    def __repr__(self) -> str:
        return f"<Access {self.account_id} {sorted(self._identity.scopes)}>"

    @property
    def account_id(self) -> int:
        return self._identity.account.account_id

    @property
    def inbox(self) -> int:
        return self._identity.account.inbox

    @property
    def address(self) -> str:
        return self._identity.account.address

    def has(self, scope: str) -> bool:
        return scope in self._identity.scopes

    async def require(self, scope: str) -> None:
        """Raises NoPermission, Revoked, Unavailable."""
        await self.still()
        if not self.has(scope):
            raise NoPermission(scope)

    async def still(self) -> None:
        """Costs nothing until rows of some account change. Raises Revoked, Unavailable."""
        epoch = self._store.epoch
        if epoch == self._epoch:
            return
        with translated():
            if not await self._logins.still_valid(self._identity):
                raise Revoked
        self._epoch = epoch
