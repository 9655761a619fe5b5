"""What a server lost is put back from a backup: vault, slots, state, login, all in one exchange."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from e2email_client import state_document
from e2email_client.account import Wish
from e2email_client.account_key import passphrase_slot
from e2email_client.api import AccountApi, Login
from e2email_client.config import Settings
from e2email_client.failure import Refused, WrongSecret
from e2email_client.judge import judged
from e2email_client.owner import NOT_FOUND, Fetched, fetch_slots
from e2email_client.unlock import PASSPHRASE, RECOVERY
from e2email_crypto import kdf, recovery, slot, vault
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.vault import Custody
from e2email_protocol import account as messages

# How often an account was changed since its backup, at the most: a device that saw those changes
# takes nothing whose counter is below what it saw.
UNSEEN_MAX = 1000


@dataclass(frozen=True, slots=True)
class State:
    """The shared state that is to follow what the server has; `version` is the server's count."""

    payload: bytes = field(repr=False)
    counter: int
    version: int

    def box(self, key: AccountKey, base: Settings) -> messages.StateBox:
        names = base.address, base.server_name
        sealed = vault.seal_state(self.payload, self.counter, key, *names)
        return messages.StateBox(self.version, sealed)


def put_back(
    api: AccountApi,
    base: Settings,
    wish: Wish,
    fetched: Fetched,
    secret: bytes,
    state: State | None,
    params: kdf.Params | None,
) -> Fetched:
    """The backup's vault in force, under the backup's key and the new passphrase.

    The server stores keys only where it does so already and the backup is of that custody, too:
    else its owner may have wished that it does not. Refused (conflict), Offline.
    """
    key, login = fetched.opened.key, fetched.opened.login
    stored = {one.kind: one for one in fetch_slots(api, login)}
    stores = bool(stored or fetched.box_version)
    cautious = stores and fetched.vault.custody is Custody.CAUTIOUS
    fetched = _raised(fetched, base, Custody.CAUTIOUS if cautious else Custody.PARANOID)
    skipped = 1 if PASSPHRASE in stored else UNSEEN_MAX
    wrapped, new = passphrase_slot(
        key,
        wish.passphrase,
        base,
        params or kdf.Params.generate(),
        fetched.opened.generation + skipped,
    )
    boxed, slots = None, tuple[messages.Slot, ...]()
    version = fetched.box_version + 1 if cautious else 0
    if cautious:
        boxed = messages.VaultBox(version, fetched.box)
        spare = _recovery_slot(key, secret, base, stored.get(RECOVERY))
        before = stored.get(PASSPHRASE)
        slots = (messages.Slot(PASSPHRASE, before.version + 1 if before else 1, wrapped), spare)
    if stores and not cautious:
        for path in ("/v1/vault", "/v1/slots"):
            api.call("DELETE", path, messages.Nothing, login=login)
    state_box = state.box(key, base) if state else None
    made = messages.NewAccountKey(boxed, state_box, slots, new, None)
    api.call("PUT", "/v1/account-key", messages.Nothing, made, login)
    opened = replace(
        fetched.opened,
        login=Login.afresh(base.address, new.auth),
        slot=wrapped,
        slot_version=slots[0].version if slots else 0,
    )
    return replace(fetched, opened=opened, box_version=version)


def _raised(fetched: Fetched, base: Settings, custody: Custody) -> Fetched:
    """The vault as it is to be stored. That of paranoid custody stays as the backup has it: so the
    same backup restores it again."""
    if custody is fetched.vault.custody is Custody.PARANOID:
        return fetched
    counter = max(fetched.vault.counter, fetched.box_version) + UNSEEN_MAX
    edited = replace(fetched.vault, custody=custody, counter=counter)
    box = vault.seal_vault(edited, fetched.opened.key, base.address, base.server_name)
    return replace(fetched, vault=edited, box=box)


def _recovery_slot(
    key: AccountKey, secret: bytes, base: Settings, before: messages.Slot | None
) -> messages.Slot:
    names = base.address, base.server_name
    generation = UNSEEN_MAX
    if before is not None:
        with judged("The recovery slot"):
            generation = slot.generation_after(slot.inspect(before.wrapped, *names).generation)
    wrap = recovery.split(secret, *names).wrap
    made = slot.wrap(key, SlotKind.RECOVERY, wrap, *names, generation=generation)
    return messages.Slot(RECOVERY, before.version + 1 if before else 1, made)


def newest_state(
    api: AccountApi,
    login: Login,
    keys: tuple[AccountKey, ...],
    base: Settings,
    saved: bytes | None,
) -> State | None:
    """The server's, where one of `keys` opens it, else what was `saved`. None: it has none.

    Alarm where it is damaged: nothing is put in its place unasked.
    """
    try:
        found = api.call("GET", "/v1/state", messages.StateBox, login=login)
    except Refused as refused:
        if refused.code != NOT_FOUND:
            raise
        return None
    for one in keys:
        try:
            with judged("The account's state at the server"):
                payload, counter = vault.open_state(
                    found.state, one, base.address, base.server_name
                )
        except WrongSecret:
            continue
        return State(payload, counter + 1, found.version + 1)
    payload = saved if saved is not None else state_document.encode({})
    # how often it was changed under the lost key, the server's count says
    return State(payload, found.version + 1, found.version + 1)
