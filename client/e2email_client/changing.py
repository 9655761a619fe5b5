"""Changes to an account: its keys, addresses, devices and policy. All of them go through here.

`begin` brings this machine up to date and gives the newest of everything, verified. `publish`
makes the change known, in an order in which every step may be the last one:

1. the new vault is written beside the old one;
2. the server stores it (in cautious custody);
3. the key history gets its next entry, with the certificates in use;
4. the new vault takes the place of the old one, and the history is kept.

Cut off before 2, nothing happened. Cut off later, the new keys are in the server's vault (or, in
paranoid custody, beside the old one) and the next `begin` takes them; what the history does not
name yet is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from e2email_client import config, staging
from e2email_client.api import AccountApi, Login, Server
from e2email_client.chain import verify_history
from e2email_client.config import Settings
from e2email_client.failure import Alarm, LocalFault, Refused, WrongSecret
from e2email_client.files import read_private
from e2email_client.history import keep
from e2email_client.judge import judged
from e2email_client.keyring_store import KeyringStore
from e2email_client.lock import held
from e2email_client.next_entry import CONFLICT, Edit, append, newest
from e2email_client.owner import Fetched, Known, Opened, Passphrase, fetch, open_by_passphrase
from e2email_client.paths import AccountPaths
from e2email_client.unlock import (
    KEYRING,
    PASSPHRASE,
    ThisDevice,
    Unlocked,
    by_keyring,
    by_passphrase,
    keyring_slot,
    known_server,
    read_device,
    sealed_device,
)
from e2email_crypto import slot, vault
from e2email_crypto.slot import AccountKey
from e2email_crypto.statement import Statement
from e2email_crypto.vault import Custody, Vault
from e2email_protocol import account as messages


@dataclass(frozen=True, slots=True)
class Change:
    """An account as its owner has it before him: the newest of everything, verified."""

    paths: AccountPaths
    settings: Settings
    api: AccountApi
    opened: Opened
    vault: Vault = field(repr=False)
    box_version: int  # the server's count of vaults; 0: it stores none
    entries: tuple[bytes, ...] = field(repr=False)
    device: ThisDevice | None
    keyring: KeyringStore | None = field(default=None, repr=False)

    @property
    def login(self) -> Login:
        """Good for everything at the server."""
        return self.opened.login

    @property
    def key(self) -> AccountKey:
        return self.opened.key

    @property
    def statement(self) -> Statement:
        return newest(self.entries)

    @property
    def unlocked(self) -> Unlocked:
        """As every command has it. LocalFault where this machine's own login was lost."""
        if self.device is None:
            raise LocalFault("This machine's own login cannot be opened: run e2email setup again.")
        return Unlocked(
            self.settings,
            self.paths,
            self.key,
            self.vault,
            self.statement,
            self.device.token,
            self.device.key,
        )


@contextmanager
def begin(
    paths: AccountPaths,
    secret: Passphrase,
    keyring: KeyringStore | None = None,
    server: Server | None = None,
) -> Iterator[Change]:
    """Bring this machine up to date, and hold the account's change lock while inside.

    Raises WrongSecret, Alarm, Refused, Offline, BadServer, LocalFault; then nothing has changed.
    """
    with held(paths.change_lock):
        staging.finish(paths)
        settings = config.load(paths)
        api = AccountApi(server or known_server(paths, settings))
        info = api.info()
        known = Known(paths, settings)
        opened = open_by_passphrase(api, settings, secret, known)
        fetched = fetch(api, info, opened, settings, known)
        yield take(known, api, fetched, secret, keyring)


def take(
    known: Known,
    api: AccountApi,
    fetched: Fetched,
    secret: Passphrase,
    keyring: KeyringStore | None,
) -> Change:
    """Keep what was fetched on this machine. The caller holds the change lock."""
    paths, opened = known.paths, fetched.opened
    device = _device(known, opened, secret, keyring)
    if _is_staged(paths, fetched):
        staging.commit(paths)
    files = _outdated(known, fetched, device, keyring)
    if files:
        staging.stage(paths, files)
        staging.commit(paths)
    else:
        staging.drop(paths)
    settings = keep_settings(known, fetched, api.server)
    return Change(
        paths,
        settings,
        api,
        opened,
        fetched.vault,
        fetched.box_version,
        tuple(fetched.entries),
        device,
        keyring,
    )


def _is_staged(paths: AccountPaths, fetched: Fetched) -> bool:
    """Whether a change that was cut off here came to pass."""
    wrapped = staging.staged(paths, paths.slot(PASSPHRASE).name)
    if wrapped is not None:
        return wrapped == fetched.opened.slot
    return staging.staged(paths, paths.vault.name) == fetched.box


def _outdated(
    known: Known, fetched: Fetched, device: ThisDevice | None, keyring: KeyringStore | None
) -> dict[str, bytes]:
    """The files of this machine that are not as they should be, by name."""
    paths, key = known.paths, fetched.opened.key
    wanted = {
        paths.slot(PASSPHRASE): fetched.opened.slot,
        paths.vault: fetched.box,
    }
    files = {
        path.name: octets
        for path, octets in wanted.items()
        if not path.exists() or read_private(path) != octets
    }
    if device is not None and not _opens_device(paths, key):
        files[paths.device.name] = sealed_device(key, device)
    if keyring is not None and by_keyring(paths, known.settings, keyring) != key:
        files[paths.slot(KEYRING).name] = keyring_slot(key, known.settings, keyring)
    return files


def _opens_device(paths: AccountPaths, key: AccountKey) -> bool:
    try:
        read_device(paths, key)
    except (Alarm, LocalFault):
        return False
    return True


def _device(
    known: Known, opened: Opened, secret: Passphrase, keyring: KeyringStore | None
) -> ThisDevice | None:
    """What only this machine has, under the newest key or an older one; None: no key opens it."""
    paths = known.paths
    if read_private(paths.slot(PASSPHRASE)) == opened.slot:
        return read_device(paths, opened.key)
    for key in _keys(known, opened, secret, keyring):
        try:
            return read_device(paths, key)
        except Alarm:
            continue
    return None


def _keys(
    known: Known, opened: Opened, secret: Passphrase, keyring: KeyringStore | None
) -> Iterator[AccountKey]:
    """Account keys that this machine's files may be under: rekeyed elsewhere, they are under an
    older one."""
    yield opened.key
    older = by_keyring(known.paths, known.settings, keyring)
    if older is not None:
        yield older
    try:
        yield by_passphrase(known.paths, known.settings, secret.text)
    except WrongSecret:
        return


def keep_settings(known: Known, fetched: Fetched, server: Server) -> Settings:
    """Write down the history, and the counters of what was seen."""
    newest_one, digest = verify_history(fetched.entries, fetched.vault, known.settings.address)
    keep(known.paths, fetched.entries, newest_one, digest)
    with judged("The passphrase slot"):
        wrapped = fetched.opened.slot
        header = slot.inspect(wrapped, known.settings.address, known.settings.server_name)
    ports = fetched.info.ports
    with held(known.paths.history_lock):
        seen = replace(
            config.load(known.paths),
            server_url=server.url,
            imaps_port=ports.imaps or 0,
            imap_port=ports.imap or 0,
            smtps_port=ports.submissions or 0,
            smtp_port=ports.submission or 0,
            arrival_key=fetched.info.arrival.hex(),
            vault_version=fetched.vault.counter,
            passphrase_generation=header.generation,
        )
        config.save(known.paths, seen)
    return seen


# --- publishing -------------------------------------------------------------------------------


def publish(
    change: Change,
    edited: Vault | None,
    edit: Edit | None,
    now: int,
    *,
    certificates: bool = False,
) -> Change:
    """Make a change: `edited` is the new vault (its counter is set here), None leaves it.

    `edit` makes the next statement from the newest one (sequence, previous and time are set here);
    it is called again where another machine was faster, and may return what it got: then no entry
    is made. With `certificates` the server gets those of the statement anew, from the vault; also
    where the statement stays the same otherwise.

    Raises Refused (conflict: another machine changed the vault meanwhile; the server's own
    reasons), Alarm, Offline, LocalFault.
    """
    if edited is not None:
        change = _put_vault(change, edited)
    entries = list(change.entries)
    try:
        if edit is not None:
            entries = append(
                change.api,
                change.login,
                change.vault,
                entries,
                change.settings.address,
                edit,
                now,
                certificates=certificates,
            )
    except Refused:
        # the vault is the server's already, and what it has more than before does no harm
        _keep_vault(change)
        raise
    return _keep_history(_keep_vault(change), entries)


def _put_vault(change: Change, edited: Vault) -> Change:
    """Steps 1 and 2."""
    address, server_name = change.settings.address, change.settings.server_name
    edited = replace(edited, counter=change.vault.counter + 1)
    try:
        box = vault.seal_vault(edited, change.key, address, server_name)
    except ValueError as fault:
        raise LocalFault(f"The vault does not hold this: {fault}.") from None
    staging.stage(change.paths, {change.paths.vault.name: box})
    if change.vault.custody is Custody.PARANOID:
        return replace(change, vault=edited)
    version = change.box_version + 1
    wish = messages.VaultBox(version, box)
    try:
        change.api.call("PUT", "/v1/vault", messages.Nothing, wish, change.login)
    except Refused as refused:
        staging.drop(change.paths)
        if refused.code != CONFLICT:
            raise
        raise Refused(
            CONFLICT, "Another machine changed the account at the same moment; try again."
        ) from None
    return replace(change, vault=edited, box_version=version)


def _keep_vault(change: Change) -> Change:
    """Step 4, first half: the vault before the history, which names keys that are in it."""
    if not change.paths.pending.exists():
        return change
    staging.commit(change.paths)
    with held(change.paths.history_lock):
        seen = replace(config.load(change.paths), vault_version=change.vault.counter)
        config.save(change.paths, seen)
    return replace(change, settings=seen)


def _keep_history(change: Change, entries: list[bytes]) -> Change:
    last, digest = verify_history(entries, change.vault, change.settings.address)
    keep(change.paths, entries, last, digest)
    return replace(change, entries=tuple(entries), settings=config.load(change.paths))
