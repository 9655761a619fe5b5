"""The vault (secret keys and secrets of an account) and the state, boxed under the account key K.

docs/specs/keys.md, "Vault and state". A server that stores the boxes may offer an old one: the
version counter in the associated data is what a device compares with the highest it has seen.
"""

from dataclasses import asdict, dataclass, field
from enum import Enum, StrEnum
from typing import Any

from . import _box, _canonical, _fields, _wire
from .errors import Damaged, OtherAccount, RolledBack
from .slot import AccountKey
from .statement import CERTIFICATES_MAX, ENTRIES_MAX, Policy

VERSION = 2  # of box and content together: a new field is a new version
STATE_VERSION = 1
VAULT_MAX = 1024 * 1024  # octets; an identity takes some 6 KiB, and old ones are kept
STATE_MAX = 8 * 1024 * 1024  # some two hundred contacts a MiB, with their certificates
COUNTER_MAX = 2**63 - 1  # what SQLite keeps as an integer
IDENTITIES_MAX = 100
KEY_FILE_MAX = 256 * 1024  # a secret key with many subkeys, far above any real one
STORE_KEY_SIZE = 32
RECOVERY_SIZE = 16  # recovery.SECRET_SIZE
DIGEST_SIZE = 32


class Purpose(Enum):
    """What a box is for: its type octet, version and greatest size; its name is in the label."""

    VAULT = b"V", VERSION, VAULT_MAX
    STATE = b"T", STATE_VERSION, STATE_MAX


class Custody(StrEnum):
    """Where the vault is kept besides the devices."""

    CAUTIOUS = "cautious"  # at the server, sealed
    PARANOID = "paranoid"  # nowhere but in the owner's backup and on paper


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
    """All that an account's devices share in secret. `counter` rises with every change.

    `recovery` is the secret behind the words and shares, kept so that paper can be made again.
    `recipients` are certificates that mail is sealed to and whose secret key is not in here:
    another device's own. `accepted` are digests of `forced` entries that the owner has looked at.
    """

    counter: int
    identities: tuple[Identity, ...]
    store_keys: StoreKeys
    arrival_key: bytes  # the server's, pinned; Ed25519 public
    policy: Policy
    custody: Custody = Custody.CAUTIOUS
    recovery: bytes | None = field(default=None, repr=False)
    recipients: tuple[bytes, ...] = field(default=(), repr=False)
    accepted: tuple[bytes, ...] = ()


def seal_vault(vault: Vault, key: AccountKey, account: str, server_name: str) -> bytes:
    """Raises ValueError where `open_vault` would not give the same vault back."""
    payload = _encode(vault)
    _decode(payload, vault.counter)
    return _seal(Purpose.VAULT, payload, vault.counter, key, account, server_name)


def open_vault(
    data: bytes, key: AccountKey, account: str, server_name: str, *, at_least: int = 0
) -> Vault:
    """Raises UnknownVersion, Damaged, OtherAccount, WrongSecret, RolledBack.

    `at_least` is the highest counter of a vault that the device has seen.
    """
    payload, counter = _open(Purpose.VAULT, data, key, account, server_name, at_least)
    try:
        return _decode(payload, counter)
    except ValueError:
        # the cause could quote a secret
        raise Damaged("the vault's content is malformed") from None


def seal_state(
    payload: bytes, counter: int, key: AccountKey, account: str, server_name: str
) -> bytes:
    """Contacts, pins, heads and settings as the client encodes them."""
    return _seal(Purpose.STATE, payload, counter, key, account, server_name)


def open_state(
    data: bytes, key: AccountKey, account: str, server_name: str, *, at_least: int = 0
) -> tuple[bytes, int]:
    """(payload, counter). Raises what `open_vault` raises; `at_least` as there, of states."""
    return _open(Purpose.STATE, data, key, account, server_name, at_least)


def _label(purpose: Purpose) -> bytes:
    return b"e2email v1 " + purpose.name.lower().encode()


def _seal(
    purpose: Purpose,
    payload: bytes,
    counter: int,
    key: AccountKey,
    account: str,
    server_name: str,
) -> bytes:
    kind, version, most = purpose.value
    if not 0 < counter <= COUNTER_MAX:
        raise ValueError("a counter starts at 1")
    header = (
        _wire.head(kind, version)
        + counter.to_bytes(8)
        + _wire.pack(_wire.name(account), _wire.name(server_name))
    )
    data = _box.seal(key.raw, _label(purpose), header, payload)
    if len(data) > most:
        raise ValueError("too much for one box")
    return data


def _open(
    purpose: Purpose, data: bytes, key: AccountKey, account: str, server_name: str, at_least: int
) -> tuple[bytes, int]:
    reader = _wire.open_head(data, *purpose.value)
    counter = reader.number(8)
    if (reader.field(), reader.field()) != (_wire.name(account), _wire.name(server_name)):
        raise OtherAccount("a box of another account or server name")
    if not 0 < counter <= COUNTER_MAX:
        raise Damaged("a counter outside its limits")
    payload = _box.open_rest(key.raw, _label(purpose), reader)
    if counter < at_least:
        raise RolledBack(counter, at_least)
    return payload, counter


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
    accepted, arrival, custody, identities, policy, recipients, recovery, store_keys = (
        _fields.record(
            _canonical.decode(payload),
            "accepted arrival_key custody identities policy recipients recovery store_keys",
        )
    )
    return Vault(
        counter=counter,
        identities=_fields.items(identities, _identity, 1, IDENTITIES_MAX),
        store_keys=_store_keys(store_keys),
        arrival_key=_octets(arrival, STORE_KEY_SIZE),
        policy=Policy(policy),
        custody=Custody(custody),
        recovery=_fields.optional(recovery, lambda value: _octets(value, RECOVERY_SIZE)),
        recipients=_fields.items(recipients, _file, 0, CERTIFICATES_MAX),
        accepted=_fields.items(accepted, lambda value: _octets(value, DIGEST_SIZE), 0, ENTRIES_MAX),
    )


def _identity(value: Any) -> Identity:
    certificate, fingerprint, revocation, tsk = _fields.record(
        value, "certificate fingerprint revocation tsk"
    )
    return Identity(
        _fields.fingerprint(fingerprint), _file(tsk), _file(certificate), _file(revocation)
    )


def _store_keys(value: Any) -> StoreKeys:
    names = _fields.record(value, "state_db cache_db chunks")
    return StoreKeys(*(_octets(name, STORE_KEY_SIZE) for name in names))


def _file(value: Any) -> bytes:
    return _fields.base64_octets(value, KEY_FILE_MAX)


def _octets(value: Any, size: int) -> bytes:
    octets = _fields.base64_octets(value, size)
    if len(octets) != size:
        raise ValueError("a value has a wrong length")
    return octets
