"""The rules of accounts: registration by invite, boxes, key history, tokens. Knows no HTTP."""

import logging
from dataclasses import dataclass, field

from e2email_crypto import token as tokens
from e2email_protocol import account as messages
from e2email_protocol.jsonform import FormInvalid
from e2email_server.account_boxes import (
    RECOVERY,
    SLOT,
    SLOTS,
    STATE,
    VAULT,
    AccountBoxes,
    slot_boxes,
    stored_kdf,
)
from e2email_server.account_keys import AccountKeys
from e2email_server.logins import TryLater
from e2email_server.store.errors import NotFound
from e2email_server.store.types import (
    Account,
    Box,
    Invite,
    NewAccount,
    NewToken,
    Recipient,
)

log = logging.getLogger(__name__)

INVITE_PREFIX = "e2i_"
PREFIXES = {messages.DEVICE: "e2d_", messages.APP: "e2a_"}
INVITE_SECONDS = 7 * 86_400
# What our client asks for; an address without an account is answered the same (crypto/kdf.py).
USUAL_T, USUAL_M_KIB = 3, 256 * 1024

# The one box that is no secret: a word that anybody may ask for who knows the address.
AUTOCONFIG = "autoconfig"


class InviteRefused(Exception):
    """No such invite, used, expired, or for another address: never said which."""


@dataclass(frozen=True, slots=True)
class Invited:
    """A valid invite: the address it is for, the account whose keys end, its stored hash."""

    address: str
    invite_hash: bytes = field(repr=False)
    replaces: int | None = None


class Accounts(AccountKeys, AccountBoxes):
    """What the account API may do to the store. Store errors pass through."""

    async def invite(self, address: str, *, replace: bool = False) -> str:
        """A token that registers this address once within a week.

        With `replace` the account is there, and whoever has the token gives it new keys and
        logins. Raises AlreadyExists, with `replace` NotFound.
        """
        invite, now = tokens.generate(INVITE_PREFIX), self._clock()
        address = address.lower()
        replaces = (await self._store.account(address)).account_id if replace else None
        kept = Invite(address, now, now + INVITE_SECONDS, replaces)
        await self._store.invite(kept, self._logins.token_hash(invite))
        if replace:
            log.warning("account %s may be begun anew by an invite", address)
        return invite

    async def invited(self, invite: str, peer: str) -> Invited:
        """What an invite allows. Looked at before anything else: strangers get no work out of us.

        Raises InviteRefused, TryLater.
        """
        wait = self._throttle.wait("invite " + peer, peer)
        if wait > 0.0:
            raise TryLater(wait)
        invite_hash = self._logins.token_hash(invite)
        try:
            found = await self._store.find_invite(invite_hash)
        except NotFound:
            self._throttle.failed("invite " + peer, peer)
            log.info("invite refused, peer %s", peer)
            raise InviteRefused("invite refused") from None
        return Invited(found.address, invite_hash, found.replaces)

    async def invited_history(self, invited: Invited, first: int) -> messages.Statements:
        """What the registration continues: nothing unless the invite replaces an account."""
        if invited.replaces is None:
            return messages.Statements((), ())
        return await self.statements(await self._store.account_by_id(invited.replaces), first)

    async def register(self, wish: messages.Registration, invited: Invited) -> messages.AccountInfo:
        """Raises InviteRefused, KeysRefused, FormInvalid, TryLater, AlreadyExists, Conflict."""
        address = wish.address.lower()
        if address != invited.address:
            raise InviteRefused("invite refused")
        boxes = _boxes(wish)
        auth_hash = await self._logins.hash_auth(wish.auth)
        async with self._changing:
            old = await self._replaced(invited)
            published = await self._judged(
                address, wish.statement, [wish.certificate], old, forced=old is not None
            )
            account = NewAccount(
                address=address,
                policy=published.policy,
                kdf=stored_kdf(wish.kdf),
                auth_hash=auth_hash,
                certificates=published.certificates,
                statement=published.statement,
                boxes=boxes,
                recovery_hash=wish.recovery and self._logins.recovery_hash(wish.recovery),
            )
            try:
                made = await self._store.register(account, invited.invite_hash)
            except NotFound:
                # somebody used the invite since we looked
                raise InviteRefused("invite refused") from None
        if old is None:
            log.info("account %s registered", address)
        else:
            log.warning("account %s begun anew by an invite", address)
        return await self.info(made)

    async def _replaced(self, invited: Invited) -> Recipient | None:
        return None if invited.replaces is None else await self._store.recipient(invited.address)

    async def login_parameters(self, address: str) -> messages.KdfParameters:
        """The account's, or made-up ones that stay the same for an address without an account."""
        address = address.lower()
        # prefixed, so that it is never the hash of a token; made in both cases
        salt = self._logins.token_hash("login parameters " + address)[: messages.SALT_LENGTH]
        try:
            kdf = (await self._store.account(address)).kdf
        except NotFound:
            kdf = None
        if kdf is None:
            return messages.KdfParameters(USUAL_T, USUAL_M_KIB, salt)
        return messages.KdfParameters(kdf.t, kdf.m_kib, kdf.salt)

    async def info(self, account: Account) -> messages.AccountInfo:
        newest = (await self._store.recipient(account.address)).statement
        boxes = await self._store.boxes(account.account_id)
        versions = {box.name: box.version for box in boxes}
        return messages.AccountInfo(
            account.address,
            newest.sequence if newest else 0,
            versions.get(VAULT, 0),
            versions.get(STATE, 0),
            tuple(
                messages.SlotVersion(name.removeprefix(SLOT), versions[name])
                for name in sorted(SLOTS.intersection(versions))
            ),
            await self._store.has_recovery(account.account_id),
        )

    async def autoconfig(self, address: str) -> str:
        """One of messages.AUTOCONFIG; for an address without an account the usual one."""
        try:
            account = await self._store.account(address.lower())
            box = await self._store.box(account.account_id, AUTOCONFIG)
        except NotFound:
            return messages.AUTOCONFIG[0]
        return box.octets.decode("ascii")

    async def set_autoconfig(self, account: Account, choice: str) -> None:
        """Raises Conflict."""
        boxes = {box.name: box.version for box in await self._store.boxes(account.account_id)}
        version = boxes.get(AUTOCONFIG, 0) + 1
        await self.put_box(account, AUTOCONFIG, version, choice.encode("ascii"))

    async def new_token(self, account: Account, wish: messages.TokenRequest) -> messages.NewToken:
        """Raises LimitReached. The token is in this answer and nowhere else."""
        token = tokens.generate(PREFIXES[wish.kind])
        made = await self._store.add_token(
            NewToken(
                account.account_id,
                wish.kind,
                wish.name,
                frozenset(wish.scopes),
                self._logins.token_hash(token),
            )
        )
        return messages.NewToken(str(made.token_id), token)

    async def tokens(self, account: Account) -> messages.Tokens:
        found = await self._store.tokens(account.account_id)
        return messages.Tokens(
            tuple(
                messages.TokenInfo(
                    str(one.token_id),
                    one.kind,
                    one.name,
                    tuple(sorted(one.scopes)),
                    one.created,
                    one.last_used_day,
                )
                for one in found
            )
        )

    async def remove_token(self, account: Account, token_id: int) -> None:
        """Raises NotFound."""
        await self._store.remove_token(account.account_id, token_id)


def _boxes(wish: messages.Registration) -> tuple[Box, ...]:
    """Vault and slots, all or, in paranoid custody, none. Raises FormInvalid."""
    slots = slot_boxes(wish.slots)
    if wish.vault is None:
        if slots:
            raise FormInvalid("slots are there, and no vault for them")
        return ()
    if not slots:
        raise FormInvalid("a vault is there, and no slot for it")
    recovers = SLOT + RECOVERY in {box.name for box in slots}
    if recovers != (wish.recovery is not None):
        raise FormInvalid("a recovery slot has recovery")
    return (Box(VAULT, 1, wish.vault), *slots)
