"""The account key K, and the slots that wrap it. docs/specs/keys.md, "Slot".

Every slot of an account holds the same K, so a new passphrase rewrites one slot and no mail.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from . import _box, _sodium, _wire
from .errors import Damaged, OtherAccount, RolledBack, UnknownVersion
from .kdf import Params

VERSION = 2  # 1 had no generation
KEY_SIZE = 32
SLOT_MAX = 4096  # octets; the longest names give 885
GENERATION_MAX = 2**63 - 1  # what SQLite keeps as an integer
# Who sends a slot that is not opened could say the greatest number, and none would be left.
_BELIEVED_MAX = 2**62
_KIND = b"S"


class SlotKind(IntEnum):
    """What the wrapping secret is. 4 is kept free: pairing needs no slot (see pairing)."""

    PASSPHRASE = 1  # kdf.Split.wrap, with its Params
    RECOVERY = 2  # recovery.Keys.wrap: 128 random bits behind it, nothing to stretch
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
    generation: int
    params: Params | None


def wrap(
    key: AccountKey,
    kind: SlotKind,
    secret: bytes,
    account: str,
    server_name: str,
    params: Params | None = None,
    *,
    generation: int,
) -> bytes:
    """A slot. `secret` is 32 bytes; `params` are given for a passphrase and for nothing else.

    `generation` is 1 for the first slot of its kind and one more with each that replaces it.
    """
    if len(secret) != KEY_SIZE:
        raise ValueError(f"a wrapping secret has {KEY_SIZE} bytes")
    if (params is not None) != (kind is SlotKind.PASSPHRASE):
        raise ValueError("a passphrase slot carries parameters, another does not")
    if not 0 < generation <= GENERATION_MAX:
        raise ValueError("a generation starts at 1")
    header = (
        _wire.head(_KIND, VERSION)
        + bytes([kind])
        + generation.to_bytes(8)
        + _wire.pack(_wire.name(account), _wire.name(server_name))
        + _wire.pack(params.encode() if params else b"")
    )
    return _box.seal(secret, _label(kind), header, key.raw)


def inspect(slot: bytes, account: str, server_name: str) -> SlotHeader:
    """Kind, generation and parameters, before a passphrase is asked for.

    Raises UnknownVersion, Damaged, OtherAccount, KdfRefused; takes no memory to speak of.
    """
    return _read(slot, account, server_name)[0]


def unwrap(
    slot: bytes, secret: bytes, account: str, server_name: str, *, at_least: int = 0
) -> AccountKey:
    """K. Raises what `inspect` raises, WrongSecret, and RolledBack.

    `at_least` is the highest generation of this kind that the device has seen.
    """
    header, reader = _read(slot, account, server_name)
    raw = _box.open_rest(secret, _label(header.kind), reader)
    if len(raw) != KEY_SIZE:
        raise Damaged("an account key of a wrong length")
    if header.generation < at_least:
        raise RolledBack(header.generation, at_least)
    return AccountKey(raw)


def generation_after(told: int) -> int:
    """The generation of a slot that replaces one which says `told` and was not opened."""
    return min(told, _BELIEVED_MAX) + 1


def _label(kind: SlotKind) -> bytes:
    return b"e2email v1 slot " + kind.name.lower().encode()


def _read(slot: bytes, account: str, server_name: str) -> tuple[SlotHeader, _wire.Reader]:
    reader = _wire.open_head(slot, _KIND, VERSION, SLOT_MAX)
    number, generation = reader.number(1), reader.number(8)
    if (reader.field(), reader.field()) != (_wire.name(account), _wire.name(server_name)):
        raise OtherAccount("a slot of another account or server name")
    params = reader.field()
    if number not in set(SlotKind):
        raise UnknownVersion("a kind of slot that this program does not know")
    kind = SlotKind(number)
    if bool(params) != (kind is SlotKind.PASSPHRASE):
        raise Damaged("parameters do not fit the kind of slot")
    if not 0 < generation <= GENERATION_MAX:
        raise Damaged("a generation outside its limits")
    return SlotHeader(kind, generation, Params.decode(params) if params else None), reader
