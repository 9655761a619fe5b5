"""The account key K, and the slots that wrap it. docs/specs/keys.md, "Slot".

Every slot of an account holds the same K, so a new passphrase rewrites one slot and no mail.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from . import _box, _sodium, _wire
from .errors import Damaged, OtherAccount, UnknownVersion
from .kdf import Params

VERSION = 1
KEY_SIZE = 32
SLOT_MAX = 4096  # octets; the longest names give 877
_KIND = b"S"


class SlotKind(IntEnum):
    """What the wrapping secret is. 2 and 4 are kept for recovery and pairing."""

    PASSPHRASE = 1  # Split.wrap, with its Params
    KEYRING = 3  # 32 random bytes in the keyring of the operating system


@dataclass(frozen=True, slots=True)
class AccountKey:
    """K: 32 random bytes that vault and state are encrypted under."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_SIZE:
            raise ValueError(f"an account key has {KEY_SIZE} bytes")

    @classmethod
    def generate(cls) -> "AccountKey":
        return cls(_sodium.random_bytes(KEY_SIZE))


@dataclass(frozen=True, slots=True)
class SlotHeader:
    """What one must know to derive a slot's secret. Not authentic before `unwrap` succeeds."""

    kind: SlotKind
    params: Params | None


def wrap(
    key: AccountKey,
    kind: SlotKind,
    secret: bytes,
    account: str,
    server_name: str,
    params: Params | None = None,
) -> bytes:
    """A slot. `secret` is 32 bytes; `params` are given for a passphrase and for nothing else."""
    if len(secret) != KEY_SIZE:
        raise ValueError(f"a wrapping secret has {KEY_SIZE} bytes")
    if (params is not None) != (kind is SlotKind.PASSPHRASE):
        raise ValueError("a passphrase slot carries parameters, another does not")
    header = (
        _wire.head(_KIND, VERSION)
        + bytes([kind])
        + _wire.pack(_wire.name(account), _wire.name(server_name))
        + _wire.pack(params.encode() if params else b"")
    )
    return _box.seal(secret, _label(kind), header, key.raw)


def inspect(slot: bytes, account: str, server_name: str) -> SlotHeader:
    """Kind and parameters, before a passphrase is asked for.

    Raises UnknownVersion, Damaged, OtherAccount, KdfRefused; takes no memory to speak of.
    """
    return _read(slot, account, server_name)[0]


def unwrap(slot: bytes, secret: bytes, account: str, server_name: str) -> AccountKey:
    """K. Raises what `inspect` raises, and WrongSecret."""
    header, reader = _read(slot, account, server_name)
    raw = _box.open_rest(secret, _label(header.kind), reader)
    if len(raw) != KEY_SIZE:
        raise Damaged("an account key of a wrong length")
    return AccountKey(raw)


def _label(kind: SlotKind) -> bytes:
    return b"e2email v1 slot " + kind.name.lower().encode()


def _read(slot: bytes, account: str, server_name: str) -> tuple[SlotHeader, _wire.Reader]:
    reader = _wire.open_head(slot, _KIND, VERSION, SLOT_MAX)
    number = reader.number(1)
    if (reader.field(), reader.field()) != (_wire.name(account), _wire.name(server_name)):
        raise OtherAccount("a slot of another account or server name")
    params = reader.field()
    if number not in set(SlotKind):
        raise UnknownVersion("a kind of slot that this program does not know")
    kind = SlotKind(number)
    if bool(params) != (kind is SlotKind.PASSPHRASE):
        raise Damaged("parameters do not fit the kind of slot")
    return SlotHeader(kind, Params.decode(params) if params else None), reader
