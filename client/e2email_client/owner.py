"""What the server has of an account, fetched with its owner's secret and checked.

Nothing is written here, and nothing is believed because a server says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from e2email_client import staging
from e2email_client.api import AccountApi, Login
from e2email_client.chain import check_follows, verify_history
from e2email_client.config import Settings
from e2email_client.failure import Alarm, Behind, Refused, WrongSecret
from e2email_client.files import read_private
from e2email_client.history import fetch_statements
from e2email_client.judge import judged
from e2email_client.paths import AccountPaths
from e2email_client.unlock import (
    PASSPHRASE,
    RECOVERY,
    derive,
    open_vault,
    parameters,
    passphrase_params,
    slot_params,
)
from e2email_crypto import arrival, kdf, recovery, slot
from e2email_crypto.slot import AccountKey
from e2email_crypto.statement import Entry
from e2email_crypto.vault import Custody, Vault
from e2email_protocol import account as messages

LOGIN_REFUSED = "login-refused"
NOT_FOUND = "not-found"
PARANOID = (
    "this account is in paranoid custody: use pairing, the backup file or the sheet "
    "(its server stores no keys, so the passphrase alone sets nothing up)"
)


@dataclass(frozen=True, slots=True)
class Passphrase:
    """`least_m_kib`: memory for it that the owner agrees to, where it may be less than usual."""

    text: str = field(repr=False)
    least_m_kib: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What this machine has of the account already."""

    paths: AccountPaths
    settings: Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """An account key with how it was come by: login, passphrase slot and its version."""

    login: Login
    key: AccountKey = field(repr=False)
    slot: bytes = field(repr=False)
    slot_version: int  # the server's count; 0: it stores none
    generation: int  # of the passphrase slot that is in force, or more than it


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup holds of an account. `box` is the vault under `key`; `entries` its history."""

    key: AccountKey = field(repr=False)
    box: bytes = field(repr=False)
    entries: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The newest of everything, verified. `box_version` is the server's count; 0: none stored."""

    info: messages.ServerInfo
    opened: Opened
    vault: Vault = field(repr=False)
    box: bytes = field(repr=False)
    box_version: int
    entries: list[bytes] = field(repr=False)


def open_by_passphrase(
    api: AccountApi, base: Settings, secret: Passphrase, known: Known | None
) -> Opened:
    """Log in and open the passphrase slot. WrongSecret, Alarm, Refused (paranoid), Offline."""
    question = messages.LoginQuestion(base.address)
    asked = api.call("POST", "/v1/login-parameters", messages.KdfParameters, question)
    params = parameters(asked)
    here = passphrase_params(known.paths, known.settings) if known else None
    _not_cheaper(params, here, secret.least_m_kib)
    split = derive(secret.text, params, base.address, base.server_name)
    login = Login.afresh(base.address, split.auth)
    slots = fetch_slots(api, login)
    found = next((one for one in slots if one.kind == PASSPHRASE), None)
    if found is None and _stores_no_vault(api, login):
        return _open_here(login, split.wrap, params, base, known)
    if found is None:
        raise Alarm("The server gave no passphrase slot for this account.")
    key = _unwrap(found.wrapped, split.wrap, params, base)
    return Opened(login, key, found.wrapped, found.version, _generation(found.wrapped, base))


def open_by_recovery(api: AccountApi, base: Settings, secret: bytes, saved: Saved | None) -> Opened:
    """Log in with the recovery secret, and open its slot; the passphrase slot is not opened.

    Where the server stores none (paranoid custody), the key is that of the backup.
    """
    keys = recovery.split(secret, base.address, base.server_name)
    login = Login.recovery(keys.auth)
    slots = {one.kind: one for one in _slots(api, login, "with these recovery words")}
    old = slots.get(PASSPHRASE)
    version = old.version if old else 0
    generation = base.passphrase_generation
    if old is not None:  # the server's word: it must neither use up the numbers nor turn them back
        told = slot.generation_after(_generation(old.wrapped, base)) - 1
        generation = max(generation, told)
    spare = slots.get(RECOVERY)
    if spare is not None:
        try:
            with judged("The recovery slot"):
                names = base.address, base.server_name
                key = slot.unwrap(spare.wrapped, keys.wrap, *names)
        except WrongSecret:
            raise Alarm("The recovery slot was not made with these recovery words.") from None
        return Opened(login, key, old.wrapped if old else b"", version, generation)
    if saved is None:
        raise Refused("paranoid", f"No keys at the server: {PARANOID}.")
    return Opened(login, saved.key, b"", version, generation)


def _generation(octets: bytes, base: Settings) -> int:
    with judged("The passphrase slot"):
        return slot.inspect(octets, base.address, base.server_name).generation


def fetch_slots(api: AccountApi, login: Login) -> tuple[messages.Slot, ...]:
    """WrongSecret where the server does not know this login."""
    return _slots(api, login, "with this passphrase")


def _slots(api: AccountApi, login: Login, what: str) -> tuple[messages.Slot, ...]:
    try:
        return api.call("GET", "/v1/slots", messages.Slots, login=login).slots
    except Refused as refused:
        if refused.code != LOGIN_REFUSED:
            raise
        # the server says the same for an unknown account; so do we
        raise WrongSecret(
            f"The server does not know this address {what} (or server name)."
        ) from None


def _stores_no_vault(api: AccountApi, login: Login) -> bool:
    found = api.call("GET", "/v1/account", messages.AccountInfo, login=login)
    return found.vault_version == 0


def _open_here(
    login: Login, wrap: bytes, params: kdf.Params, base: Settings, known: Known | None
) -> Opened:
    """In paranoid custody the only slots are those on this machine."""
    if known is None:
        raise Refused("paranoid", f"No keys at the server: {PARANOID}.")
    path = known.paths.slot(PASSPHRASE)
    # a change that was cut off: the server took it if it asks for its salt
    for octets in (staging.staged(known.paths, path.name), read_private(path)):
        if octets is not None and slot_params(octets, known.settings) == params:
            key = _unwrap(octets, wrap, params, base)
            return Opened(login, key, octets, 0, _generation(octets, base))
    raise WrongSecret(
        "The passphrase was changed on another machine, and the server keeps no slot "
        "(paranoid custody): bring it here by pairing, e2email setup --pair."
    )


def _unwrap(octets: bytes, wrap: bytes, params: kdf.Params, base: Settings) -> AccountKey:
    with judged("The passphrase slot"):
        header = slot.inspect(octets, base.address, base.server_name)
    if header.params != params:
        raise Alarm("The server changed how the passphrase is stretched.")
    try:
        with judged("The passphrase slot"):
            return slot.unwrap(
                octets,
                wrap,
                base.address,
                base.server_name,
                at_least=base.passphrase_generation,
            )
    except WrongSecret:
        # the server accepted the same passphrase: the slot is an old or a foreign one
        raise Alarm("The passphrase slot was not made with this passphrase.") from None


def _not_cheaper(params: kdf.Params, seen: kdf.Params | None, agreed: int | None) -> None:
    """Refuse what makes `auth`, which the server is about to get, cheaper to guess than it was.

    A server can lower these before the slot, which tells the true ones, is in our hands. So they
    must reach those of the slot on this machine, or where there is none what new accounts get.
    """
    t, m_kib = (seen.t, seen.m_kib) if seen else (kdf.T_DEFAULT, kdf.M_KIB_DEFAULT)
    if agreed is not None:
        t, m_kib = kdf.T_MIN, agreed
    if params.t < t or params.m_kib < m_kib:
        raise Alarm(
            f"The server asks for the passphrase to be stretched with {params.m_kib // 1024} MiB "
            f"and {params.t} passes; {m_kib // 1024} MiB and {t} passes are expected. Less makes "
            "it cheaper for the server to guess. If you know that the account was made so, "
            f"say --least-memory {params.m_kib // 1024}."
        )


def fetch(
    api: AccountApi,
    info: messages.ServerInfo,
    opened: Opened,
    base: Settings,
    known: Known | None,
    saved: Saved | None = None,
) -> Fetched:
    """Vault and key history under an account key. Raises Alarm for whatever does not fit.

    `base` holds the counters this machine has seen (0: none). What a backup holds was seen, too.
    """
    found = fetch_box(api, opened.login)
    if found is not None:
        box, version = found.vault, found.version
        vault = open_vault(box, opened.key, base)
    elif saved is not None:
        box, version = saved.box, 0
        vault = open_vault(box, saved.key, base)
    elif known is not None:
        version = 0
        box, vault = _vault_here(known, opened.key)
    else:
        raise Refused("paranoid", f"No vault at the server: {PARANOID}.")
    entries = fetch_statements(api, opened.login)
    try:
        verify_history(entries, vault, base.address)
    except Behind as behind:
        if version == 0 and saved is not None:
            raise Refused(
                "outdated",
                "This backup is older than the account's keys: new mail is sealed to "
                f"{behind.fingerprint}, which it does not hold. Use a newer backup or another "
                "machine; e2email-backup extract gives what this one can open.",
            ) from None
        # this is the newest vault there is
        raise Alarm(
            f"Someone else can read new mail: the server seals to the key {behind.fingerprint}, "
            "which is not of this account."
        ) from None
    check_seen(base, entries)
    if saved is not None and saved.entries:
        check_follows(entries, len(saved.entries), Entry.decode(saved.entries[-1]).digest)
    pinned = bytes.fromhex(base.arrival_key) if known else vault.arrival_key
    check_arrival(pinned, info)
    return Fetched(info, opened, vault, box, version, entries)


def _vault_here(known: Known, key: AccountKey) -> tuple[bytes, Vault]:
    """Where the server stores none: of a change that was cut off, or the one in its place."""
    staged = staging.staged(known.paths, known.paths.vault.name)
    if staged is not None:
        try:
            vault = open_vault(staged, key, known.settings)
        except Alarm:
            pass  # of an account key that the server did not take
        else:
            if vault.custody is Custody.PARANOID:
                return staged, vault
    box = read_private(known.paths.vault)
    vault = open_vault(box, key, known.settings)
    if vault.custody is Custody.CAUTIOUS:
        raise Alarm(
            "The server does not have the vault of this account any more. If you moved the "
            "account to paranoid custody on another machine, bring it here by pairing "
            "(e2email setup --pair); else the server lost it."
        )
    return box, vault


def fetch_box(api: AccountApi, login: Login) -> messages.VaultBox | None:
    """None: the server stores no vault."""
    try:
        return api.call("GET", "/v1/vault", messages.VaultBox, login=login)
    except Refused as refused:
        if refused.code != NOT_FOUND:
            raise
        return None


def check_seen(seen: Settings, entries: Sequence[bytes]) -> None:
    """The history this device has seen must be the beginning of what the server gives now."""
    if seen.statement_sequence > 0:
        check_follows(entries, seen.statement_sequence, bytes.fromhex(seen.statement_digest))


def check_arrival(pinned: bytes, info: messages.ServerInfo) -> None:
    """From the newest key this device has seen: an older one may have been given up."""
    with judged("The server's arrival key"):
        if arrival.follow(pinned, info.successors) != info.arrival:
            raise Alarm("The server's arrival key is not the one that this account pinned.")
