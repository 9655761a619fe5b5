"""What the server has of an account, fetched with its owner's secret and checked.

Nothing is written here, and nothing is believed because a server says it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from e2email_client import staging
from e2email_client.api import AccountApi, Login
from e2email_client.chain import check_follows, verify_history
from e2email_client.config import Settings
from e2email_client.failure import Alarm, Behind, Refused, WrongSecret
from e2email_client.files import read_private
from e2email_client.history import fetch_statements, is_behind
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
from e2email_crypto import arrival, kdf, recovery, slot, statement
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
    """What a backup holds of an account. `box` is the vault under `key`; `entries` its history,
    `state` the shared state."""

    key: AccountKey = field(repr=False)
    box: bytes = field(repr=False)
    entries: tuple[bytes, ...] = field(repr=False)
    state: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """The newest vault there is. `box_version` is the server's count; 0: none stored.

    `stored_key`: set where the vault had to come from a backup, and `opened` has the backup's key;
    it is the one that the server's slots hold, if it stores any.
    """

    opened: Opened
    vault: Vault = field(repr=False)
    box: bytes = field(repr=False)
    box_version: int
    stored_key: AccountKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The newest of everything, verified. The others as in Held."""

    info: messages.ServerInfo
    opened: Opened
    vault: Vault = field(repr=False)
    box: bytes = field(repr=False)
    box_version: int
    entries: list[bytes] = field(repr=False)
    stored_key: AccountKey | None = field(default=None, repr=False)


class Outdated(Refused):
    """A backup that is older than a change of the account's keys, which happened at `since`."""

    def __init__(self, since: int) -> None:
        day = dt.datetime.fromtimestamp(since, dt.UTC)
        super().__init__(
            "outdated",
            f"This backup is older than the account's keys: they were changed on {day:%Y-%m-%d} "
            f"at {day:%H:%M} UTC, and mail that came since cannot be opened with what it holds.",
        )
        self.since = since


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
    *,
    mend: bool = False,
) -> Fetched:
    """Vault and key history under an account key. Raises Alarm for whatever does not fit.

    `base` holds the counters this machine has seen (0: none). What a backup holds was seen, too;
    to `mend`, its vault is taken also where the server's is older, or cannot be opened.
    Outdated: the backup is older than the account's keys.
    """
    held = newest_vault(api, opened, base, known, saved, mend=mend)
    vault = held.vault
    entries = fetch_statements(api, opened.login)
    try:
        newest, _ = verify_history(entries, vault, base.address)
        if saved is not None and is_behind(newest, vault):
            raise Behind(min(newest.fingerprints))
    except Behind as behind:
        if saved is not None:
            check_seen(base, entries)
            raise Outdated(_since(entries, vault)) from None
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
    return Fetched(info, held.opened, vault, held.box, held.box_version, entries, held.stored_key)


def newest_vault(
    api: AccountApi,
    opened: Opened,
    base: Settings,
    known: Known | None,
    saved: Saved | None,
    *,
    mend: bool,
) -> Held:
    """The server's, else the backup's, else this machine's. `mend` as in `fetch`."""
    found = fetch_box(api, opened.login)
    version, vault = found.version if found else 0, None
    if found is not None:
        try:
            vault = open_vault(found.vault, opened.key, base)
        except Alarm:
            if saved is None or not mend:
                raise
    if saved is not None and (mend or found is None):
        backup = open_vault(saved.box, saved.key, base)
        if vault is None or vault.counter < backup.counter:
            mine = replace(opened, key=saved.key)
            return Held(mine, backup, saved.box, version, opened.key)
    if found is not None and vault is not None:
        return Held(opened, vault, found.vault, version)
    if known is None:
        raise Refused("paranoid", f"No vault at the server: {PARANOID}.")
    box, vault = _vault_here(known, opened.key)
    return Held(opened, vault, box, 0)


def _since(entries: Sequence[bytes], vault: Vault) -> int:
    """When mail began to be sealed to keys that are not in this vault, by its maker's clock."""
    with judged("The key history"):
        statements = [statement.decode(Entry.decode(one).statement) for one in entries]
    last = max((at for at, one in enumerate(statements) if not is_behind(one, vault)), default=-1)
    return statements[min(last + 1, len(statements) - 1)].time


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
