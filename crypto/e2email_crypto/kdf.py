"""From a passphrase to keys: Argon2id within limits, then HKDF with labels.

docs/specs/keys.md, "Passphrase". The server gets `auth` and cannot derive `wrap` from it.
"""

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass, field

from . import _sodium, _wire
from .errors import Damaged, KdfRefused, UnknownVersion

ARGON2ID = 1  # Argon2id version 1.3, one lane: the only KDF id so far
SALT_SIZE = 16
PARAMS_SIZE = 1 + 4 + 4 + SALT_SIZE

# Below the floor a stolen slot is guessed too cheaply; a server may send parameters, so what it
# sends must neither weaken the slot nor take the machine's memory.
T_MIN, T_DEFAULT, T_MAX = 3, 3, 10
M_KIB_MIN, M_KIB_DEFAULT, M_KIB_MAX = 64 * 1024, 256 * 1024, 1024 * 1024

PASSPHRASE_MAX = 1024  # octets; far above any phrase, far below what would cost time to hash


@dataclass(frozen=True, slots=True)
class Params:
    """Argon2id cost and salt. One that exists is within floor and ceiling (else KdfRefused)."""

    t: int
    m_kib: int
    salt: bytes

    def __post_init__(self) -> None:
        if not T_MIN <= self.t <= T_MAX:
            raise KdfRefused(f"Argon2id time cost is outside {T_MIN} to {T_MAX}")
        if not M_KIB_MIN <= self.m_kib <= M_KIB_MAX:
            raise KdfRefused(f"Argon2id memory is outside {M_KIB_MIN} to {M_KIB_MAX} KiB")
        if len(self.salt) != SALT_SIZE:
            raise KdfRefused(f"an Argon2id salt has {SALT_SIZE} bytes")

    @classmethod
    def generate(cls, t: int = T_DEFAULT, m_kib: int = M_KIB_DEFAULT) -> "Params":
        return cls(t, m_kib, _sodium.random_bytes(SALT_SIZE))

    def encode(self) -> bytes:
        """KDF id (1 byte), t (4), m in KiB (4), salt (16)."""
        return bytes([ARGON2ID]) + self.t.to_bytes(4) + self.m_kib.to_bytes(4) + self.salt

    @classmethod
    def decode(cls, data: bytes) -> "Params":
        """Raises UnknownVersion (KDF id), Damaged (length), KdfRefused (limits)."""
        if data[:1] and data[0] != ARGON2ID:
            raise UnknownVersion("unknown key derivation")
        if len(data) != PARAMS_SIZE:
            raise Damaged("key derivation parameters have a wrong length")
        return cls(int.from_bytes(data[1:5]), int.from_bytes(data[5:9]), data[9:])


@dataclass(frozen=True, slots=True)
class Split:
    """What a passphrase gives: `auth` goes to the server, `wrap` opens the slot. 32 bytes each."""

    auth: bytes = field(repr=False)
    wrap: bytes = field(repr=False)


def hkdf(key: bytes, *info: bytes) -> bytes:
    """32 bytes of HKDF-SHA-256 (RFC 5869): empty salt, info is the length-prefixed fields."""
    pseudo_random = hmac.digest(bytes(32), key, hashlib.sha256)
    return hmac.digest(pseudo_random, _wire.pack(*info) + b"\x01", hashlib.sha256)


def normalise(passphrase: str) -> bytes:
    """The octets that are hashed: RFC 8265 OpaqueString without its table of unassigned points.

    Every space character becomes U+0020 (a Mac types U+00A0 with Option), then NFC, then UTF-8.
    Raises ValueError when empty, above PASSPHRASE_MAX octets, or holding control characters.
    """
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in passphrase)
    text = unicodedata.normalize("NFC", spaced)
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise ValueError("a passphrase holds no control characters")
    octets = text.encode()
    if not 0 < len(octets) <= PASSPHRASE_MAX:
        raise ValueError(f"a passphrase has 1 to {PASSPHRASE_MAX} octets")
    return octets


def split(passphrase: str, params: Params, account: str, server_name: str) -> Split:
    """One Argon2id, two keys that tell nothing of each other, of no use at another server."""
    names = _wire.name(account), _wire.name(server_name)
    root = _sodium.argon2id(normalise(passphrase), params.salt, params.t, params.m_kib)
    return Split(
        auth=hkdf(root, b"e2email v1 passphrase auth", *names),
        wrap=hkdf(root, b"e2email v1 passphrase wrap", *names),
    )
