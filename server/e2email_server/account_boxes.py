"""The rules of what only the client can open: vault, state, slots, pairings, and their logins."""

import logging
import re
from collections.abc import Iterable
from typing import Final

from e2email_protocol import account as messages
from e2email_protocol.jsonform import FormInvalid
from e2email_server.account_base import AccountBase
from e2email_server.logins import TryLater
from e2email_server.store.errors import NotFound
from e2email_server.store.types import Account, Box, Kdf, Login, Pairing, Rewrap

log = logging.getLogger(__name__)

VAULT: Final = "vault"
STATE: Final = "state"
SLOT: Final = "slot:"
PASSPHRASE, RECOVERY = messages.SERVED_SLOTS
SLOTS: Final = frozenset(SLOT + kind for kind in messages.SERVED_SLOTS)
# All that the account key opens or that opens it.
UNDER_ACCOUNT_KEY: Final = SLOTS | {VAULT, STATE}
_PAIRING_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


class AccountBoxes(AccountBase):
    """Boxes, slots, pairings. Store errors pass through."""

    async def box(self, account: Account, name: str) -> Box:
        """Raises NotFound."""
        return await self._store.box(account.account_id, name)

    async def put_box(self, account: Account, name: str, version: int, octets: bytes) -> None:
        """Raises Conflict."""
        await self._store.put_box(account.account_id, Box(name, version, octets))

    async def remove_vault(self, account: Account) -> None:
        await self._store.remove_boxes(account.account_id, {VAULT})
        log.info("account %s keeps no vault here", account.address)

    async def slots(self, account: Account) -> messages.Slots:
        boxes = await self._store.boxes(account.account_id)
        return messages.Slots(
            tuple(
                messages.Slot(box.name.removeprefix(SLOT), box.version, box.octets)
                for box in boxes
                if box.name in SLOTS
            )
        )

    async def remove_slots(self, account: Account) -> None:
        """The logins stay."""
        await self._store.remove_boxes(account.account_id, SLOTS)
        log.info("account %s keeps no slots here", account.address)

    async def put_slot(self, account: Account, wish: messages.NewSlot) -> None:
        """A slot changes together with its login. Raises Conflict, FormInvalid."""
        changes = {SLOT + PASSPHRASE: wish.login, SLOT + RECOVERY: wish.recovery}
        named = {name for name, login in changes.items() if login is not None}
        boxes = slot_boxes([wish.slot] if wish.slot else [])
        if not named or (boxes and {box.name for box in boxes} != named):
            raise FormInvalid("a passphrase slot has a login, a recovery slot has recovery")
        absent = frozenset() if boxes else frozenset(named)
        await self._rewrap(account, boxes, absent, wish.login, wish.recovery)

    async def replace_account_key(self, account: Account, wish: messages.NewAccountKey) -> None:
        """All or nothing of what hangs on the account key. Raises Conflict, FormInvalid."""
        boxes = slot_boxes(wish.slots)
        if wish.vault is not None:
            boxes += (Box(VAULT, wish.vault.version, wish.vault.vault),)
        if wish.state is not None:
            boxes += (Box(STATE, wish.state.version, wish.state.state),)
        absent = UNDER_ACCOUNT_KEY - {box.name for box in boxes}
        await self._rewrap(account, boxes, absent, wish.login, wish.recovery)
        log.info("account %s replaced its account key", account.address)

    async def _rewrap(
        self,
        account: Account,
        boxes: tuple[Box, ...],
        absent: frozenset[str],
        login: messages.NewLogin | None,
        recovery: bytes | None,
    ) -> None:
        hashed = None
        if login is not None:
            hashed = Login(await self._logins.hash_auth(login.auth), stored_kdf(login.kdf))
        change = Rewrap(boxes, absent, hashed, recovery and self._logins.recovery_hash(recovery))
        await self._store.rewrap(account.account_id, change)
        if login is not None:
            log.info("account %s changed its passphrase", account.address)
        if recovery is not None:
            log.info("account %s changed its recovery secret", account.address)

    async def put_pairing(
        self, account: Account, pairing_id: str, wish: messages.NewPairing
    ) -> None:
        """Keep a message for a new device. Raises FormInvalid, LimitReached, Conflict."""
        now = self._clock()
        if not now < wish.expires <= now + messages.PAIRING_SECONDS:
            raise FormInvalid("expires is past or too far away; is the clock right?")
        await self._store.add_pairing(
            Pairing(account.account_id, wish.expires, self._pairing_hash(pairing_id), wish.message)
        )

    async def take_pairing(self, pairing_id: str, peer: str) -> messages.PairingMessage:
        """The message, once, to whoever knows the id. Raises NotFound, FormInvalid, TryLater."""
        wait = self._throttle.wait("pairing " + peer, peer)
        if wait > 0.0:
            raise TryLater(wait)
        try:
            pairing = await self._store.take_pairing(self._pairing_hash(pairing_id))
        except NotFound:
            self._throttle.failed("pairing " + peer, peer)
            log.info("no such pairing, peer %s", peer)
            raise
        log.info("a pairing of account %d was fetched, peer %s", pairing.account_id, peer)
        return messages.PairingMessage(pairing.message)

    def _pairing_hash(self, pairing_id: str) -> bytes:
        if _PAIRING_ID.fullmatch(pairing_id) is None:
            raise FormInvalid("the id of a pairing is hexadecimal")
        return self._logins.token_hash("pairing " + pairing_id)


def slot_boxes(slots: Iterable[messages.Slot]) -> tuple[Box, ...]:
    """As they are stored. Raises FormInvalid where a kind occurs twice."""
    boxes = tuple(Box(SLOT + one.kind, one.version, one.wrapped) for one in slots)
    if len({box.name for box in boxes}) != len(boxes):
        raise FormInvalid("a kind of slot occurs twice")
    return boxes


def stored_kdf(message: messages.KdfParameters) -> Kdf:
    return Kdf(message.t, message.m_kib, message.salt)
