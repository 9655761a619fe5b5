"""The rules of accounts: registration by invite, boxes, key history, tokens. Knows no HTTP."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from e2email_crypto import token as tokens
from e2email_protocol import account as messages
from e2email_protocol.jsonform import FormInvalid
from e2email_server.clock import Clock
from e2email_server.keycheck import check
from e2email_server.logins import Logins, TryLater
from e2email_server.store.api import Store
from e2email_server.store.errors import NotFound
from e2email_server.store.types import Account, Box, Invite, Kdf, NewAccount, NewToken
from e2email_server.throttle import Throttle

log = logging.getLogger(__name__)

INVITE_PREFIX = "e2i_"
PREFIXES = {messages.DEVICE: "e2d_", messages.APP: "e2a_"}
INVITE_SECONDS = 7 * 86_400
# What our client asks for; an address without an account is answered the same (crypto/kdf.py).
USUAL_T, USUAL_M_KIB = 3, 256 * 1024

VAULT = "vault"
STATE = "state"
SLOT = "slot:"
# The one box that is no secret: a word that anybody may ask for who knows the address.
AUTOCONFIG = "autoconfig"


class InviteRefused(Exception):
    """No such invite, used, expired, or for another address: never said which."""


@dataclass(frozen=True, slots=True)
class Invited:
    """A valid invite: the address it is for, and the hash it is stored under."""

    address: str
    invite_hash: bytes = field(repr=False)


class Accounts:
    """What the account API may do to the store. Store errors pass through."""

    def __init__(self, store: Store, logins: Logins, throttle: Throttle, clock: Clock) -> None:
        self._store = store
        self._logins = logins
        self._throttle = throttle
        self._clock = clock

    async def invite(self, address: str) -> str:
        """A token that registers this address once within a week. Raises AlreadyExists."""
        invite, now = tokens.generate(INVITE_PREFIX), self._clock()
        kept = Invite(address.lower(), now, now + INVITE_SECONDS)
        await self._store.invite(kept, self._logins.token_hash(invite))
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
            return Invited((await self._store.find_invite(invite_hash)).address, invite_hash)
        except NotFound:
            self._throttle.failed("invite " + peer, peer)
            log.info("invite refused, peer %s", peer)
            raise InviteRefused("invite refused") from None

    async def register(self, wish: messages.Registration, invited: Invited) -> messages.AccountInfo:
        """Raises InviteRefused, KeysRefused, FormInvalid, TryLater, AlreadyExists."""
        address = wish.address.lower()
        if address != invited.address:
            raise InviteRefused("invite refused")
        published = await asyncio.to_thread(
            check, wish.statement, [wish.certificate], address, self._clock()
        )
        boxes = [Box(SLOT + one.kind, one.version, one.wrapped) for one in wish.slots]
        if len({box.name for box in boxes}) != len(boxes):
            raise FormInvalid("a kind of slot occurs twice")
        account = NewAccount(
            address=address,
            policy=published.policy,
            kdf=_kdf(wish.kdf),
            auth_hash=await self._logins.hash_auth(wish.auth),
            certificates=published.certificates,
            statement=published.statement,
            boxes=(*([Box(VAULT, 1, wish.vault)] if wish.vault else []), *boxes),
        )
        try:
            await self._store.register(account, invited.invite_hash)
        except NotFound:
            # somebody used the invite since we looked
            raise InviteRefused("invite refused") from None
        log.info("account %s registered", address)
        return messages.AccountInfo(address, 1, 1, 0, _versions(boxes), False)

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
            _versions(boxes),
            False,
        )

    async def box(self, account: Account, name: str) -> Box:
        """Raises NotFound."""
        return await self._store.box(account.account_id, name)

    async def put_box(self, account: Account, name: str, version: int, octets: bytes) -> None:
        """Raises Conflict."""
        await self._store.put_box(account.account_id, Box(name, version, octets))

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

    async def slots(self, account: Account) -> messages.Slots:
        boxes = await self._store.boxes(account.account_id)
        return messages.Slots(
            tuple(
                messages.Slot(box.name.removeprefix(SLOT), box.version, box.octets)
                for box in boxes
                if box.name.startswith(SLOT)
            )
        )

    async def put_slot(self, account: Account, wish: messages.NewSlot) -> None:
        """A passphrase slot changes together with the login. Raises Conflict, FormInvalid."""
        if wish.slot is None:
            raise FormInvalid("a slot is missing")
        box = Box(SLOT + wish.slot.kind, wish.slot.version, wish.slot.wrapped)
        if (wish.slot.kind == "passphrase") != (wish.login is not None):
            raise FormInvalid("a passphrase slot has a login, others have none")
        if wish.login is None:
            await self._store.put_box(account.account_id, box)
            return
        hashed = await self._logins.hash_auth(wish.login.auth)
        await self._store.set_auth(account.account_id, hashed, _kdf(wish.login.kdf), box)
        log.info("account %s changed its passphrase", account.address)

    async def statements(self, account: Account, first: int) -> messages.Statements:
        page = await self._store.statements(account.account_id, first, messages.STATEMENTS_PAGE)
        in_use = (await self._store.recipient(account.address)).certificates
        return messages.Statements(
            tuple(one.octets for one in page), tuple(one.octets for one in in_use)
        )

    async def publish(
        self, account: Account, entry: bytes, certificates: tuple[bytes, ...] | None
    ) -> None:
        """Append to the key history; with certificates None, the present ones stay.

        Raises KeysRefused, Conflict.
        """
        old = await self._store.recipient(account.address)
        if certificates is None:
            certificates = tuple(one.octets for one in old.certificates)
        published = await asyncio.to_thread(
            check,
            entry,
            certificates,
            account.address,
            self._clock(),
            old.statement,
            old.certificates,
        )
        await self._store.publish(
            account.account_id, published.certificates, published.statement, published.policy
        )
        log.info("account %s published statement %d", account.address, published.statement.sequence)

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
                )
                for one in found
            )
        )

    async def remove_token(self, account: Account, token_id: int) -> None:
        """Raises NotFound."""
        await self._store.remove_token(account.account_id, token_id)


def _versions(boxes: Iterable[Box]) -> tuple[messages.SlotVersion, ...]:
    return tuple(
        messages.SlotVersion(box.name.removeprefix(SLOT), box.version)
        for box in boxes
        if box.name.startswith(SLOT)
    )


def _kdf(message: messages.KdfParameters) -> Kdf:
    return Kdf(message.t, message.m_kib, message.salt)
