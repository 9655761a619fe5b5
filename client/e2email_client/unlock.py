"""From files and a secret to an open account. No network: what is needed lies on this machine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from e2email_client import config, staging
from e2email_client.api import Login, Server, read_url
from e2email_client.chain import verify_history
from e2email_client.config import Settings
from e2email_client.failure import Alarm, LocalFault, WrongSecret
from e2email_client.files import read_private, write_private
from e2email_client.judge import judged
from e2email_client.keyring_store import KeyringStore
from e2email_client.passphrase import Source
from e2email_client.paths import AccountPaths
from e2email_crypto import blob, errors, kdf, slot, vault
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import KdfRefused
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Statement
from e2email_crypto.vault import Vault
from e2email_protocol import account as messages

PASSPHRASE = "passphrase"  # noqa: S105  # a kind of slot
RECOVERY = "recovery"
KEYRING = "keyring"
_DEVICE_LABEL = b"e2email v1 device"


@dataclass(frozen=True, slots=True)
class ThisDevice:
    """What only this machine has: its login, and the key that signs what it makes."""

    token: str = field(repr=False)
    key: ArrivalKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Unlocked:
    """An account whose vault is open. Everything secret is kept out of its repr."""

    settings: Settings
    paths: AccountPaths
    key: AccountKey = field(repr=False)
    vault: Vault = field(repr=False)
    statement: Statement
    device_token: str = field(repr=False)
    device_key: ArrivalKey | None = field(default=None, repr=False)  # signs what is made here

    @property
    def server(self) -> Server:
        return known_server(self.paths, self.settings)

    @property
    def login(self) -> Login:
        return Login.device(self.device_token)


def unlock(paths: AccountPaths, source: Source, keyring: KeyringStore | None) -> Unlocked:
    """Open the account in `paths`. WrongSecret, Alarm (damaged, rolled back), LocalFault.

    A passphrase named on the command line is used; else the keyring's key; else a person is asked.
    """
    staging.finish(paths)
    settings = config.load(paths)
    key = None if source.given else by_keyring(paths, settings, keyring)
    if key is None or _is_former(paths, key, settings):
        key = by_passphrase(paths, settings, source.existing(settings.address))
    # the other way round than they are written: the vault that is read is never the older one
    entries = read_statements(paths)
    opened = open_vault(read_private(paths.vault), key, settings)
    newest, _ = verify_history(entries, opened, settings.address)
    if newest.sequence < settings.statement_sequence:
        raise Alarm("The key history on this machine is older than it was.")
    device = read_device(paths, key)
    return Unlocked(settings, paths, key, opened, newest, device.token, device.key)


def _is_former(paths: AccountPaths, key: AccountKey, settings: Settings) -> bool:
    """Whether the account key was replaced, without the keyring at hand. It gets the new one with
    the next change that is begun where it is; until then the passphrase opens."""
    try:
        vault.open_vault(read_private(paths.vault), key, settings.address, settings.server_name)
    except errors.WrongSecret:
        return True
    except errors.SecretError:
        pass  # opened again below, which says what it is
    return False


def derive(passphrase: str, params: kdf.Params, address: str, server_name: str) -> kdf.Split:
    """WrongSecret for what cannot be a passphrase, LocalFault when memory is short."""
    try:
        return kdf.split(passphrase, params, address, server_name)
    except KdfRefused as fault:
        # parameters that exist are within their limits: what is left is the allocation
        raise LocalFault(f"The passphrase was not tried: {fault}.") from fault
    except ValueError as fault:
        raise WrongSecret(f"That cannot be a passphrase: {fault}.") from None


def open_vault(box: bytes, key: AccountKey, settings: Settings) -> Vault:
    """The vault, if it is not older than what this device has seen."""
    try:
        with judged("The vault"):
            opened = vault.open_vault(
                box,
                key,
                settings.address,
                settings.server_name,
                at_least=settings.vault_version,
            )
    except WrongSecret:
        # the slot opened, so the passphrase was right: it is the vault that is another one
        raise Alarm("The vault was not made with this account's key.") from None
    return opened


def by_keyring(
    paths: AccountPaths, settings: Settings, keyring: KeyringStore | None
) -> AccountKey | None:
    """None: no keyring, no slot, or a keyring that holds another key; the passphrase opens it."""
    path = paths.slot(KEYRING)
    if keyring is None or not path.exists():
        return None
    secret = keyring.load(settings.address, settings.server_name)
    if secret is None or len(secret) != slot.KEY_SIZE:
        return None
    try:
        with judged("The keyring slot"):
            return slot.unwrap(read_private(path), secret, settings.address, settings.server_name)
    except WrongSecret:
        return None


def by_passphrase(paths: AccountPaths, settings: Settings, passphrase: str) -> AccountKey:
    """WrongSecret, Alarm. Where a change of the passphrase was cut off, either one does."""
    path = paths.slot(PASSPHRASE)
    octets = read_private(path)
    try:
        return open_slot(octets, passphrase, settings)
    except WrongSecret:
        newer = staging.staged(paths, path.name)
        if newer is None:
            raise
        return open_slot(newer, passphrase, settings)


def open_slot(octets: bytes, passphrase: str, settings: Settings) -> AccountKey:
    """A passphrase slot, if it is not older than what this device has seen."""
    address, server_name = settings.address, settings.server_name
    wrap = derive(passphrase, slot_params(octets, settings), address, server_name).wrap
    with judged("The passphrase slot"):
        return slot.unwrap(
            octets, wrap, address, server_name, at_least=settings.passphrase_generation
        )


def passphrase_params(paths: AccountPaths, settings: Settings) -> kdf.Params:
    """How the slot on this machine stretches the passphrase."""
    return slot_params(read_private(paths.slot(PASSPHRASE)), settings)


def slot_params(octets: bytes, settings: Settings) -> kdf.Params:
    """How a passphrase slot stretches the passphrase."""
    with judged("The passphrase slot"):
        params = slot.inspect(octets, settings.address, settings.server_name).params
    if params is None:
        raise Alarm("The passphrase slot is of another kind.")
    return params


def keyring_slot(key: AccountKey, settings: Settings, keyring: KeyringStore) -> bytes:
    """A slot for this machine, its secret put into the keyring first."""
    secret = AccountKey.generate().raw
    keyring.save(settings.address, settings.server_name, secret)
    account, server = settings.address, settings.server_name
    return slot.wrap(key, SlotKind.KEYRING, secret, account, server, generation=1)


def known_server(paths: AccountPaths, settings: Settings) -> Server:
    ca = read_private(paths.ca) if settings.own_ca else None
    return read_url(settings.server_url, settings.server_name, ca)


def write_statements(paths: AccountPaths, entries: Sequence[bytes]) -> None:
    write_private(paths.statements, json.dumps([one.decode("ascii") for one in entries]).encode())


def read_statements(paths: AccountPaths) -> list[bytes]:
    octets = read_private(paths.statements)
    try:
        return [one.encode("ascii") for one in json.loads(octets)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Alarm("The key history on this machine is damaged.") from None


def write_device(paths: AccountPaths, key: AccountKey, device: ThisDevice) -> None:
    write_private(paths.device, sealed_device(key, device))


def sealed_device(key: AccountKey, device: ThisDevice) -> bytes:
    content = device.token if device.key is None else f"{device.token}\n{device.key.seed.hex()}"
    return b"".join(blob.seal_chunks(_device_key(key), b"", [content.encode()]))


def read_device(paths: AccountPaths, key: AccountKey) -> ThisDevice:
    with judged("The device's token"):
        box = [read_private(paths.device)]
        content = b"".join(blob.open_chunks(_device_key(key), b"", box)).decode()
    token, _, seed = content.partition("\n")
    # a machine that was set up by an earlier version has no key of its own
    return ThisDevice(token, ArrivalKey(bytes.fromhex(seed)) if seed else None)


def _device_key(key: AccountKey) -> bytes:
    return kdf.hkdf(key.raw, _DEVICE_LABEL)


def parameters(message: messages.KdfParameters) -> kdf.Params:
    """Alarm for what is outside floor and ceiling: nobody honest asks for it."""
    with judged("What the server asks of the key derivation"):
        return kdf.Params(message.t, message.m_kib, message.salt)
