"""How an account that exists comes to a machine: a further one, or anew to one that has it.

Whatever the server gives is checked against the owner's secret, the vault and, on a machine that
has the account, against what it has seen before. The account then vouches for what this machine
signs.
"""

from __future__ import annotations

from dataclasses import replace

from e2email_client import config
from e2email_client.account import Done, Wish, device_token, first_settings
from e2email_client.account_files import Kept, establish
from e2email_client.api import AccountApi, Login
from e2email_client.changing import Change, append, begin, newest, publish
from e2email_client.device_key import own_key, with_device
from e2email_client.failure import LocalFault, Refused
from e2email_client.files import write_private
from e2email_client.judge import judged
from e2email_client.owner import (
    LOGIN_REFUSED,
    Fetched,
    Passphrase,
    fetch,
    open_by_passphrase,
)
from e2email_client.unlock import ThisDevice, verify_history, write_device
from e2email_crypto import slot
from e2email_protocol import account as messages


def join(wish: Wish, now: int) -> Done:
    """Fetch the account with its passphrase."""
    secret = Passphrase(wish.passphrase, wish.least_m_kib)
    paths = wish.home.account(wish.address)
    if paths.settings.exists():
        _same_server(wish, config.load(paths).server_name)
        with begin(paths, secret, wish.keyring, wish.server) as change:
            if wish.server.ca is not None:
                write_private(paths.ca, wish.server.ca)
            return _done(admit(change, wish.device, now))
    api = AccountApi(wish.server)
    info = api.info()
    base = first_settings(wish, info)
    opened = open_by_passphrase(api, base, secret, None)
    return settle(wish, api, fetch(api, info, opened, base, None), now)


def _same_server(wish: Wish, name: str) -> None:
    if name != wish.server.name:
        raise LocalFault(f"{wish.address} is set up on this machine with {name}.")


def settle(wish: Wish, api: AccountApi, fetched: Fetched, now: int) -> Done:
    """Make this machine one of the account's, and write down what was fetched and verified."""
    login, address = fetched.opened.login, wish.address
    device_key = own_key(None, fetched.entries)
    device = ThisDevice(device_token(api, login, wish.device), device_key)
    edit = with_device(device_key.public)
    entries = append(api, login, fetched.vault, fetched.entries, address, edit, now)
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
    return Done(settings, last.certificates[0].fingerprint, last.policy)


def admit(change: Change, name: str, now: int) -> Change:
    """See to it that this machine has a login and a key that the account vouches for."""
    token = change.device.token if change.device else None
    if token is None or not _logs_in(change.api, token):
        token = device_token(change.api, change.login, name)
    device_key = own_key(change.device.key if change.device else None, change.entries)
    device = ThisDevice(token, device_key)
    if device != change.device:
        # before anybody hears of it, so that it is not lost
        write_device(change.paths, change.key, device)
    return publish(replace(change, device=device), None, with_device(device_key.public), now)


def _logs_in(api: AccountApi, token: str) -> bool:
    """Not any more, where this machine was given up on another."""
    try:
        api.call("GET", "/v1/account", messages.AccountInfo, login=Login.device(token))
    except Refused as refused:
        if refused.code != LOGIN_REFUSED:
            raise
        return False
    return True


def _done(change: Change) -> Done:
    last = newest(change.entries)
    return Done(change.settings, last.certificates[0].fingerprint, last.policy)
