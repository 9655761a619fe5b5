"""How an account that exists comes to a machine: a further one, or anew to one that has it.

Whatever the server gives is checked against the owner's secret, the vault and, on a machine that
has the account, against what it has seen before. The account then vouches for what this machine
signs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from e2email_client import config, staging
from e2email_client.account import Done, Wish, device_token, first_settings, free_name
from e2email_client.account_files import Kept, establish
from e2email_client.account_key import passphrase_slot
from e2email_client.api import AccountApi, Login
from e2email_client.chain import check_follows, verify_history
from e2email_client.changing import Change, begin, publish, take
from e2email_client.config import Settings
from e2email_client.device_key import own_key, with_device
from e2email_client.failure import Alarm, LocalFault, Refused
from e2email_client.files import write_private
from e2email_client.history import fetch_statements
from e2email_client.judge import judged
from e2email_client.lock import held
from e2email_client.mending import newest_state, put_back
from e2email_client.next_entry import append
from e2email_client.owner import (
    LOGIN_REFUSED,
    Fetched,
    Known,
    Opened,
    Passphrase,
    Saved,
    check_arrival,
    check_seen,
    fetch,
    open_by_passphrase,
    open_by_recovery,
)
from e2email_client.pairing import fetch_gift
from e2email_client.paths import AccountPaths
from e2email_client.unlock import PASSPHRASE, ThisDevice, open_vault, write_device
from e2email_crypto import kdf, slot
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.vault import Custody
from e2email_protocol import account as messages


def join(wish: Wish, now: int) -> Done:
    """Fetch the account with its passphrase."""
    secret = Passphrase(wish.passphrase, wish.least_m_kib)
    paths = wish.home.account(wish.address)
    if paths.settings.exists():
        _same_server(wish, config.load(paths).server_name)
        with begin(paths, secret, wish.keyring, wish.server) as change:
            _keep_authority(paths, wish.server.ca)
            return admit(change, wish.device, now)
    api = AccountApi(wish.server)
    info = api.info()
    base = first_settings(wish, info)
    opened = open_by_passphrase(api, base, secret, None)
    return settle(wish, api, fetch(api, info, opened, base, None), now)


def recover(wish: Wish, secret: bytes, now: int, params: kdf.Params | None = None) -> Done:
    """With the recovery secret in place of the passphrase; `wish.passphrase` is the new one.

    Raises WrongSecret (the server does not know this secret), Refused (paranoid custody: the
    server has nothing to open), and what `join` raises. Cut off, it can be said again.
    """
    return _come_back(wish, secret, None, now, params)


def restore_account(
    wish: Wish, saved: Saved, secret: bytes, now: int, params: kdf.Params | None = None
) -> Done:
    """From a backup file or sheet that carries the vault, and the recovery secret.

    What the server has is preferred, where it has something: it may be newer, and must not be
    older; what it lost is put back. `wish.passphrase` is the new one. Raises as `recover`, and
    Outdated: the keys were changed since the backup was made (continuing.carry_on).
    """
    return _come_back(wish, secret, saved, now, params)


def _come_back(
    wish: Wish, secret: bytes, saved: Saved | None, now: int, params: kdf.Params | None
) -> Done:
    paths = wish.home.account(wish.address)
    api = AccountApi(wish.server)
    info = api.info()
    if not paths.settings.exists():
        base = first_settings(wish, info)
        opened = open_by_recovery(api, base, secret, saved)
        fetched = fetch(api, info, opened, base, None, saved, mend=saved is not None)
        fetched = _in_force(api, base, wish, fetched, secret, saved, params)
        return settle(wish, api, fetched, now)
    base = config.load(paths)
    _same_server(wish, base.server_name)
    with held(paths.change_lock):
        staging.finish(paths)
        known = Known(paths, base)
        opened = open_by_recovery(api, base, secret, saved)
        fetched = fetch(api, info, opened, base, known, saved, mend=saved is not None)
        fetched = _in_force(api, base, wish, fetched, secret, saved, params)
        change = take(known, api, fetched, Passphrase(wish.passphrase), wish.keyring)
        _keep_authority(paths, wish.server.ca)
        return admit(change, wish.device, now)


def _in_force(
    api: AccountApi,
    base: Settings,
    wish: Wish,
    fetched: Fetched,
    secret: bytes,
    saved: Saved | None,
    params: kdf.Params | None,
) -> Fetched:
    if fetched.stored_key is None or saved is None:
        return _under(api, base, wish, fetched, params)
    keys = fetched.opened.key, fetched.stored_key
    state = newest_state(api, fetched.opened.login, keys, base, saved.state)
    return put_back(api, base, wish, fetched, secret, state, params)


def _under(
    api: AccountApi, base: Settings, wish: Wish, fetched: Fetched, params: kdf.Params | None
) -> Fetched:
    """With the new passphrase in force at the server."""
    wrapped, login = passphrase_slot(
        fetched.opened.key,
        wish.passphrase,
        base,
        params or kdf.Params.generate(),
        fetched.opened.generation + 1,
    )
    stored = fetched.opened.slot_version
    keeps = fetched.vault.custody is Custody.CAUTIOUS
    made = messages.Slot(PASSPHRASE, stored + 1, wrapped) if keeps else None
    wish_ = messages.NewSlot(made, login, None)
    api.call("PUT", "/v1/slots", messages.Nothing, wish_, fetched.opened.login)
    opened = replace(
        fetched.opened,
        login=Login.afresh(wish.address, login.auth),
        slot=wrapped,
        slot_version=stored + 1 if keeps else 0,
    )
    return replace(fetched, opened=opened)


def accept(wish: Wish, code: bytes, now: int) -> Done:
    """What another machine of the account made for this one: `e2email device pair` there.

    On a machine that has the account it brings what changed, without a passphrase. Raises
    WrongSecret (no such pairing, or it was used), Alarm, Refused, Offline, LocalFault.
    """
    api = AccountApi(wish.server)
    info = api.info()
    paths = wish.home.account(wish.address)
    if not paths.settings.exists():
        fetched, device = _given(api, info, first_settings(wish, info), None, code, now)
        return settle(wish, api, fetched, now, device)
    base = config.load(paths)
    _same_server(wish, base.server_name)
    with held(paths.change_lock):
        staging.finish(paths)
        fetched, device = _given(api, info, base, bytes.fromhex(base.arrival_key), code, now)
        change = take(Known(paths, base), api, fetched, Passphrase(""), wish.keyring)
        write_device(paths, change.key, device)
        _keep_authority(paths, wish.server.ca)
        change, last = replace(change, device=device), change.statement
    return Done(
        change.settings, last.certificates[0].fingerprint, last.policy, change.unlocked, None
    )


def _given(
    api: AccountApi,
    info: messages.ServerInfo,
    base: Settings,
    pinned: bytes | None,
    code: bytes,
    now: int,
) -> tuple[Fetched, ThisDevice]:
    """What lies under the code, checked against the history that the server gives."""
    gift = fetch_gift(api, base.address, code, now)
    login = Login.device(gift.device_token)
    vault = open_vault(gift.vault, gift.account_key, base)
    with judged("The passphrase slot"):
        header = slot.inspect(gift.slots[0], base.address, base.server_name)
    if header.generation < base.passphrase_generation:
        raise Alarm("The passphrase slot is older than what this device has seen.")
    entries = fetch_statements(api, login)
    check_follows(entries, gift.sequence, gift.head)
    check_seen(base, entries)
    verify_history(entries, vault, base.address)
    check_arrival(pinned or vault.arrival_key, info)
    opened = Opened(login, gift.account_key, gift.slots[0], 0, header.generation)
    device = ThisDevice(gift.device_token, ArrivalKey(gift.device_seed))
    return Fetched(info, opened, vault, gift.vault, 0, entries), device


def accept_override(wish: Wish, digest: bytes, now: int) -> tuple[Done, Path]:
    """After the owner had an administrator replace the account and set it up anew elsewhere: take
    the new one here, too. (…, where the files of the old one lie now: its keys may open old mail.)

    Alarm where the new account's owner did not accept the entry `digest`: then it was not he.
    """
    paths = wish.home.account(wish.address)
    seen = config.load(paths)
    _same_server(wish, seen.server_name)
    api = AccountApi(wish.server)
    info = api.info()
    base = first_settings(wish, info)  # the counters begin anew with the keys
    opened = open_by_passphrase(api, base, Passphrase(wish.passphrase, wish.least_m_kib), None)
    fetched = fetch(api, info, opened, base, None)
    check_seen(seen, fetched.entries)
    check_arrival(bytes.fromhex(seen.arrival_key), info)
    if digest not in fetched.vault.accepted:
        raise Alarm(
            "The keys that the server has now were not made by someone who knew of this entry: "
            "do not accept it, and ask the server's administrator."
        )
    old = paths.folder.with_name(f".replaced-{paths.folder.name}-{seen.statement_sequence}")
    try:
        paths.folder.rename(old)
    except OSError as fault:
        raise LocalFault(f"{old} cannot be made: {fault.strerror}.") from fault
    try:
        return settle(wish, api, fetched, now), old
    except BaseException:  # whatever stopped it: the old one is where it was
        if not paths.folder.exists():
            old.rename(paths.folder)
        raise


def _keep_authority(paths: AccountPaths, authority: bytes | None) -> None:
    """The server may have got another one since the account was set up here, or its first."""
    if authority is None:
        return
    write_private(paths.ca, authority)
    with held(paths.history_lock):
        config.save(paths, replace(config.load(paths), own_ca=True))


def _same_server(wish: Wish, name: str) -> None:
    if name != wish.server.name:
        raise LocalFault(f"{wish.address} is set up on this machine with {name}.")


def settle(
    wish: Wish,
    api: AccountApi,
    fetched: Fetched,
    now: int,
    given: ThisDevice | None = None,
) -> Done:
    """Make this machine one of the account's, and write down what was fetched and verified.

    `given`: what another machine made for this one, which the history names already.
    """
    login, address = fetched.opened.login, wish.address
    entries = fetched.entries
    device, token_id, called = given, None, ""
    if device is None:
        device_key = own_key(None, entries)
        called = free_name(api, login, wish.device)
        made = device_token(api, login, called)
        device, token_id = ThisDevice(made.token, device_key), made.id
        edit = with_device(device_key.public)
        entries = append(api, login, fetched.vault, entries, address, edit, now)
    last, digest = verify_history(entries, fetched.vault, address)
    with judged("The passphrase slot"):
        header = slot.inspect(fetched.opened.slot, address, wish.server.name)
    settings = replace(
        first_settings(wish, fetched.info),
        vault_version=fetched.vault.counter,
        statement_sequence=last.sequence,
        statement_digest=digest.hex(),
        passphrase_generation=header.generation,
    )
    kept = Kept(
        settings,
        fetched.opened.key,
        fetched.box,
        fetched.opened.slot,
        entries,
        device,
        wish.server.ca,
    )
    establish(wish.home, kept, wish.keyring)
    unlocked = kept.unlocked(wish.home, fetched.vault, last)
    fingerprint = last.certificates[0].fingerprint
    return Done(settings, fingerprint, last.policy, unlocked, token_id, called)


def admit(change: Change, name: str | None, now: int) -> Done:
    """See to it that this machine has a login and a key that the account vouches for."""
    token, made, called = change.device.token if change.device else None, None, ""
    if token is None or not _logs_in(change.api, token):
        called = free_name(change.api, change.login, name)
        made = device_token(change.api, change.login, called)
        token = made.token
    device_key = own_key(change.device.key if change.device else None, change.entries)
    device = ThisDevice(token, device_key)
    if device != change.device:
        # before anybody hears of it, so that it is not lost
        write_device(change.paths, change.key, device)
    change = replace(change, device=device)
    change = publish(change, None, with_device(device_key.public), now)
    last = change.statement
    fingerprint, token_id = last.certificates[0].fingerprint, made.id if made else None
    return Done(change.settings, fingerprint, last.policy, change.unlocked, token_id, called)


def _logs_in(api: AccountApi, token: str) -> bool:
    """Not any more, where this machine was given up on another."""
    try:
        api.call("GET", "/v1/account", messages.AccountInfo, login=Login.device(token))
    except Refused as refused:
        if refused.code != LOGIN_REFUSED:
            raise
        return False
    return True
