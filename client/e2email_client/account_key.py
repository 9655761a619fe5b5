"""The account key's slots made anew: another passphrase, other recovery words, another key.

Each is written beside what it replaces before the server hears of it, so a machine that stops in
between has the old and the new; which of them counts, the server says at the next `begin`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from e2email_client import config, staging
from e2email_client.api import Login
from e2email_client.changing import Change, publish
from e2email_client.config import Settings
from e2email_client.failure import LocalFault, Refused
from e2email_client.judge import judged
from e2email_client.lock import held
from e2email_client.next_entry import CONFLICT
from e2email_client.owner import NOT_FOUND, fetch_slots
from e2email_client.unlock import (
    KEYRING,
    PASSPHRASE,
    RECOVERY,
    derive,
    sealed_device,
    slot_params,
)
from e2email_crypto import kdf, recovery, slot, vault
from e2email_crypto.errors import SecretError
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Statement
from e2email_crypto.vault import Custody, Vault
from e2email_protocol import account as messages

# A device that syncs may be faster with the state; none is so twice in the same second.
TRIES = 4


def new_passphrase(change: Change, text: str, params: kdf.Params | None = None) -> Change:
    """Rewrite the passphrase slot and the login. WrongSecret, Refused, Offline, LocalFault.

    Where the answer is lost on the way, both passphrases open this machine until the next `begin`.
    """
    wrapped, login = _next_slot(change, change.key, text, params)
    stored = change.opened.slot_version
    made = messages.Slot(PASSPHRASE, stored + 1, wrapped) if stored else None
    staging.stage(change.paths, {change.paths.slot(PASSPHRASE).name: wrapped})
    _told(change, "/v1/slots", messages.NewSlot(made, login, None))
    staging.commit(change.paths)
    return _in_force(change, change.key, wrapped, login, made.version if made else 0)


def _in_force(
    change: Change, key: AccountKey, wrapped: bytes, login: messages.NewLogin, version: int
) -> Change:
    """With the new slot, and the login that is good from now on."""
    opened = replace(
        change.opened,
        login=Login.afresh(change.settings.address, login.auth),
        key=key,
        slot=wrapped,
        slot_version=version,
    )
    return seen(replace(change, opened=opened))


def _next_slot(
    change: Change, key: AccountKey, text: str, params: kdf.Params | None
) -> tuple[bytes, messages.NewLogin]:
    """With a salt of its own, which tells whether the server took it; never cheaper than before."""
    before = slot_params(change.opened.slot, change.settings)
    params = params or kdf.Params.generate(
        max(before.t, kdf.T_DEFAULT), max(before.m_kib, kdf.M_KIB_DEFAULT)
    )
    generation = change.settings.passphrase_generation + 1
    return passphrase_slot(key, text, change.settings, params, generation)


def passphrase_slot(
    key: AccountKey, text: str, settings: Settings, params: kdf.Params, generation: int
) -> tuple[bytes, messages.NewLogin]:
    """A slot, and the login that goes with it."""
    account, server = settings.address, settings.server_name
    split = derive(text, params, account, server)
    kind = SlotKind.PASSPHRASE
    wrapped = slot.wrap(key, kind, split.wrap, account, server, params, generation=generation)
    stated = messages.KdfParameters(params.t, params.m_kib, params.salt)
    return wrapped, messages.NewLogin(split.auth, stated)


def _told(change: Change, path: str, wish: messages.NewSlot | messages.NewAccountKey) -> None:
    """What was staged is dropped where the server says no, and kept where it says nothing."""
    try:
        change.api.call("PUT", path, messages.Nothing, wish, change.login)
    except Refused as refused:
        if _holds(change, wish.login):
            return
        staging.drop(change.paths)
        if refused.code != CONFLICT:
            raise
        raise Refused(
            CONFLICT, "Another machine changed the account at the same moment; try again."
        ) from None


def _holds(change: Change, login: messages.NewLogin | None) -> bool:
    """Whether this login is in force all the same: what stands between us and the server may have
    sent the request twice, and the second one is refused."""
    if login is None:
        return False
    question = messages.LoginQuestion(change.settings.address)
    asked = change.api.call("POST", "/v1/login-parameters", messages.KdfParameters, question)
    return asked.salt == login.kdf.salt


def seen(change: Change) -> Change:
    """The counters of what is in place now."""
    with judged("The passphrase slot"):
        account, server = change.settings.address, change.settings.server_name
        generation = slot.inspect(change.opened.slot, account, server).generation
    with held(change.paths.history_lock):
        seen = replace(
            config.load(change.paths),
            vault_version=change.vault.counter,
            passphrase_generation=generation,
        )
        config.save(change.paths, seen)
    return replace(change, settings=seen)


# --- recovery ---------------------------------------------------------------------------------


def new_recovery(change: Change, secret: bytes, now: int) -> Change:
    """Put another recovery secret in force. The old one holds until the last step, the slot."""
    keys = recovery.split(secret, change.settings.address, change.settings.server_name)

    def edit(before: Statement) -> Statement:
        return replace(before, recovery_key=keys.public)

    change = publish(change, replace(change.vault, recovery=secret), edit, now)
    made = _recovery_slot(change, change.key, secret)
    if change.vault.custody is Custody.PARANOID:
        made = None
    wish = messages.NewSlot(made, None, keys.auth)
    change.api.call("PUT", "/v1/slots", messages.Nothing, wish, change.login)
    return change


def recovery_in_force(change: Change) -> bytes | None:
    """The secret whose words open the account; None: there is none.

    LocalFault where a change of it was cut off: then neither is told to be the one.
    """
    secret = change.vault.recovery
    if secret is None:
        return None
    keys = recovery.split(secret, change.settings.address, change.settings.server_name)
    if change.statement.recovery_key != keys.public or not _opens(change, keys):
        raise LocalFault(
            "New recovery words were being made when it was cut off, and the old ones may still "
            "hold: run e2email account recovery new."
        )
    return secret


def _opens(change: Change, keys: recovery.Keys) -> bool:
    """Whether the slot at the server is of this secret; in paranoid custody there is none."""
    found = _stored(change, RECOVERY)
    if found is None:
        return change.vault.custody is Custody.PARANOID
    account, server = change.settings.address, change.settings.server_name
    try:
        return slot.unwrap(found.wrapped, keys.wrap, account, server) == change.key
    except SecretError:
        return False


def _stored(change: Change, kind: str) -> messages.Slot | None:
    slots = fetch_slots(change.api, change.login)
    return next((one for one in slots if one.kind == kind), None)


def _recovery_slot(change: Change, key: AccountKey, secret: bytes) -> messages.Slot | None:
    account, server = change.settings.address, change.settings.server_name
    found = _stored(change, RECOVERY)
    generation = 1
    if found is not None:
        with judged("The recovery slot"):
            told = slot.inspect(found.wrapped, account, server).generation
        generation = slot.generation_after(told)
    wrap = recovery.split(secret, account, server).wrap
    made = slot.wrap(key, SlotKind.RECOVERY, wrap, account, server, generation=generation)
    return messages.Slot(RECOVERY, found.version + 1 if found else 1, made)


# --- the key itself ---------------------------------------------------------------------------


def new_key(change: Change, text: str, params: kdf.Params | None = None) -> Change:
    """Replace the account key, under the same passphrase and words: who kept the old one (a lost
    machine, an old copy) opens nothing that is written from now on."""
    return _rewrap(change, AccountKey.generate(), change.vault, text, params)


def store_at_server(change: Change, text: str, params: kdf.Params | None = None) -> Change:
    """From paranoid to cautious custody: vault and slots go to the server, under a new key."""
    cautious = replace(change.vault, custody=Custody.CAUTIOUS)
    return _rewrap(change, AccountKey.generate(), cautious, text, params)


def _rewrap(
    change: Change, key: AccountKey, edited: Vault, text: str, params: kdf.Params | None
) -> Change:
    account, server = change.settings.address, change.settings.server_name
    edited = replace(edited, counter=change.vault.counter + 1)
    box = vault.seal_vault(edited, key, account, server)
    wrapped, login = _next_slot(change, key, text, params)
    paths = change.paths
    files = {paths.slot(PASSPHRASE).name: wrapped, paths.vault.name: box}
    if change.device is not None:
        files[paths.device.name] = sealed_device(key, change.device)
    if (secret := _keyring_secret(change)) is not None:
        kind = SlotKind.KEYRING
        files[paths.slot(KEYRING).name] = slot.wrap(
            key, kind, secret, account, server, generation=1
        )
    staging.stage(paths, files)
    version = change.box_version + 1 if edited.custody is Custody.CAUTIOUS else 0
    slots: tuple[messages.Slot, ...] = ()
    if version:
        slots = (messages.Slot(PASSPHRASE, change.opened.slot_version + 1, wrapped),)
        if edited.recovery is not None:
            spare = _recovery_slot(change, key, edited.recovery)
            slots = (*slots, spare) if spare else slots
    stored = messages.VaultBox(version, box) if version else None
    _put_key(change, lambda state: messages.NewAccountKey(stored, state, slots, login, None), key)
    staging.commit(paths)
    change = replace(change, vault=edited, box_version=version)
    return _in_force(change, key, wrapped, login, slots[0].version if slots else 0)


def _keyring_secret(change: Change) -> bytes | None:
    """That of the slot on this machine, which goes on being its secret."""
    if change.keyring is None or not change.paths.slot(KEYRING).exists():
        return None
    found = change.keyring.load(change.settings.address, change.settings.server_name)
    return found if found is not None and len(found) == slot.KEY_SIZE else None


def _put_key(
    change: Change,
    wish: Callable[[messages.StateBox | None], messages.NewAccountKey],
    key: AccountKey,
) -> None:
    """With the state under the new key; another device may push one at the same time."""
    versions: set[int | None] = set()
    while True:
        state = _state(change, key)
        version = state.version if state else None
        wanted = wish(state)
        try:
            change.api.call("PUT", "/v1/account-key", messages.Nothing, wanted, change.login)
            return
        except Refused as refused:
            if _holds(change, wanted.login):
                return
            if refused.code != CONFLICT or version in versions or len(versions) == TRIES:
                staging.drop(change.paths)
                raise
        versions.add(version)


def _state(change: Change, key: AccountKey) -> messages.StateBox | None:
    account, server = change.settings.address, change.settings.server_name
    try:
        found = change.api.call("GET", "/v1/state", messages.StateBox, login=change.login)
    except Refused as refused:
        if refused.code != NOT_FOUND:
            raise
        return None
    with judged("The account's state at the server"):
        payload, counter = vault.open_state(found.state, change.key, account, server)
    sealed = vault.seal_state(payload, counter + 1, key, account, server)
    return messages.StateBox(found.version + 1, sealed)
