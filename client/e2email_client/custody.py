"""Custody: whether the server stores the vault and its slots, or nobody but the owner has them."""

from __future__ import annotations

from dataclasses import replace

from e2email_client import staging
from e2email_client.account_key import new_key, seen, store_at_server
from e2email_client.changing import Change
from e2email_crypto import kdf, vault
from e2email_crypto.vault import Custody
from e2email_protocol import account as messages

WHAT_IT_MEANS = {
    Custody.CAUTIOUS: (
        "Your server stores your keys, sealed under your passphrase. The passphrase and the "
        "address set up a new machine, and so do the recovery words."
    ),
    Custody.PARANOID: (
        "Your server stores no keys. A new machine needs one that is set up (pairing), or the "
        "backup file or sheet together with the recovery words. Whoever loses all machines and "
        "has no backup has lost all mail, whatever the passphrase. (Old copies in the server's own "
        "backups last as long as those: e2email key rotate makes them useless for new mail.)"
    ),
}

# What backups.py and mending.py make of a file from before; care.py reminds of a new one.
AFTER_PARANOID = (
    "The account's key is a new one: make a new backup now (e2email-backup create FILE), and a new "
    "sheet if there is one. Those from before still open your mail, without the contacts and "
    "settings that changed since. Your other machines need the new key by pairing: e2email device "
    "pair here, e2email setup --pair there."
)


def move(change: Change, custody: Custody, text: str, params: kdf.Params | None = None) -> Change:
    """`text` is the passphrase. Raises Refused, Offline, LocalFault."""
    if custody is Custody.CAUTIOUS:
        return store_at_server(change, text, params)
    # the server, and who has its backups, may have kept what it was told to forget: what that
    # opens is not what the state is sealed under from now on
    return new_key(_take_from_server(change), text, params)


def _take_from_server(change: Change) -> Change:
    """The vault first: slots without it open nothing.

    Where the server says no, what was staged stays: of the two it may have done one. The next
    `begin` looks what it has.
    """
    account, server = change.settings.address, change.settings.server_name
    counter = change.vault.counter + 1
    edited = replace(change.vault, custody=Custody.PARANOID, counter=counter)
    box = vault.seal_vault(edited, change.key, account, server)
    staging.stage(change.paths, {change.paths.vault.name: box})
    change.api.call("DELETE", "/v1/vault", messages.Nothing, login=change.login)
    change.api.call("DELETE", "/v1/slots", messages.Nothing, login=change.login)
    staging.commit(change.paths)
    opened = replace(change.opened, slot_version=0)
    return seen(replace(change, vault=edited, box_version=0, opened=opened))
