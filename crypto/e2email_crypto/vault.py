"""The vault (secret keys and secrets of an account) and the state, boxed under the account key K.

docs/specs/keys.md, "Vault and state". A server that stores the boxes may offer an old one: the
version counter in the associated data is what a device compares with the highest it has seen.
"""

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from . import _box, _canonical, _fields, _wire
from .errors import Damaged, OtherAccount
from .slot import AccountKey
from .statement import Policy

VERSION = 1  # of box and content together: a new field is a new version
VAULT_MAX = 1024 * 1024  # octets; an identity takes some 6 KiB, and old ones are kept
STATE_MAX = 8 * 1024 * 1024  # some two hundred contacts a MiB, with their certificates
COUNTER_MAX = 2**63 - 1  # what SQLite keeps as an integer
IDENTITIES_MAX = 100
KEY_FILE_MAX = 256 * 1024  # a secret key with many subkeys, far above any real one
STORE_KEY_SIZE = 32


class Purpose(Enum):
    """What a box is for: its type octet, and part of the key's label."""

    VAULT = b"V"
    STATE = b"T"


@dataclass(frozen=True, slots=True)
class Identity:
    """One OpenPGP identity: secret key, certificate and revocation certificate, binary."""

    fingerprint: str
    tsk: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    revocation: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """Keys of the client's local files, 32 random bytes each."""

    state_db: bytes = field(repr=False)
    cache_db: bytes = field(repr=False)
    chunks: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Vault:
    """All that an account's devices share in secret. `counter` rises with every change."""

    counter: int
    identities: tuple[Identity, ...]
    store_keys: StoreKeys
    arrival_key: bytes  # the server's, pinned; Ed25519 public
    policy: Policy

    def newer_than(self, seen: int) -> bool:
        """False for what a device that has seen counter `seen` must refuse as rolled back."""
        return self.counter > seen


def seal_vault(vault: Vault, key: AccountKey, account: str, server_name: str) -> bytes:
    """Raises ValueError where `open_vault` would not give the same vault back."""
    payload = _encode(vault)
    _decode(payload, vault.counter)
    return _seal(Purpose.VAULT, payload, vault.counter, key, account, server_name, VAULT_MAX)


def open_vault(data: bytes, key: AccountKey, account: str, server_name: str) -> Vault:
    """Raises UnknownVersion, Damaged, OtherAccount, WrongSecret."""
    payload, counter = _open(Purpose.VAULT, data, key, account, server_name, VAULT_MAX)
    try:
        return _decode(payload, counter)
    except ValueError:
        # the cause could quote a secret
        raise Damaged("the vault's content is malformed") from None


def seal_state(
    payload: bytes, counter: int, key: AccountKey, account: str, server_name: str
) -> bytes:
    """Contacts, pins, heads and settings as the client encodes them."""
    return _seal(Purpose.STATE, payload, counter, key, account, server_name, STATE_MAX)


def open_state(data: bytes, key: AccountKey, account: str, server_name: str) -> tuple[bytes, int]:
    """(payload, counter). Raises UnknownVersion, Damaged, OtherAccount, WrongSecret."""
    return _open(Purpose.STATE, data, key, account, server_name, STATE_MAX)


def _label(purpose: Purpose) -> bytes:
    return b"e2email v1 " + purpose.name.lower().encode()


def _seal(
    purpose: Purpose,
    payload: bytes,
    counter: int,
    key: AccountKey,
    account: str,
    server_name: str,
    most: int,
) -> bytes:
    if not 0 < counter <= COUNTER_MAX:
        raise ValueError("a counter starts at 1")
    header = (
        _wire.head(purpose.value, VERSION)
        + counter.to_bytes(8)
        + _wire.pack(_wire.name(account), _wire.name(server_name))
    )
    data = _box.seal(key.raw, _label(purpose), header, payload)
    if len(data) > most:
        raise ValueError("too much for one box")
    return data


def _open(
    purpose: Purpose, data: bytes, key: AccountKey, account: str, server_name: str, most: int
) -> tuple[bytes, int]:
    reader = _wire.open_head(data, purpose.value, VERSION, most)
    counter = reader.number(8)
    if (reader.field(), reader.field()) != (_wire.name(account), _wire.name(server_name)):
        raise OtherAccount("a box of another account or server name")
    return _box.open_rest(key.raw, _label(purpose), reader), counter


def _encode(vault: Vault) -> bytes:
    """Canonical JSON; every bytes value is base64."""
    fields = asdict(vault)
    del fields["counter"]  # it stands in the header, which is authentic too
    return _canonical.encode(_texts(fields))


def _texts(value: Any) -> Any:
    if isinstance(value, bytes):
        return _fields.base64_text(value)
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_texts(item) for item in value]
    return value


def _decode(payload: bytes, counter: int) -> Vault:
    arrival, identities, policy, store_keys = _fields.record(
        _canonical.decode(payload), "arrival_key identities policy store_keys"
    )
    return Vault(
        counter=counter,
        identities=_fields.items(identities, _identity, 1, IDENTITIES_MAX),
        store_keys=_store_keys(store_keys),
        arrival_key=_key(arrival),
        policy=Policy(policy),
    )


def _identity(value: Any) -> Identity:
    certificate, fingerprint, revocation, tsk = _fields.record(
        value, "certificate fingerprint revocation tsk"
    )
    return Identity(
        _fields.fingerprint(fingerprint), _file(tsk), _file(certificate), _file(revocation)
    )


def _store_keys(value: Any) -> StoreKeys:
    return StoreKeys(*map(_key, _fields.record(value, "state_db cache_db chunks")))


def _file(value: Any) -> bytes:
    return _fields.base64_octets(value, KEY_FILE_MAX)


def _key(value: Any) -> bytes:
    octets = _fields.base64_octets(value, STORE_KEY_SIZE)
    if len(octets) != STORE_KEY_SIZE:
        raise ValueError("a key has a wrong length")
    return octets
