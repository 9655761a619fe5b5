"""The Ed25519 key that signs envelopes on arrival, and the certificates of its successors.

A device's key is the same construction. docs/specs/keys.md, "Arrival key".
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import _sodium, _wire
from .errors import SignatureInvalid

LABEL = b"e2email arrival signature v1\0"
SUCCESSOR_LABEL = b"e2email arrival successor v1\0"
VERSION = 1
SEED_SIZE = 32
SUCCESSORS_MAX = 1000  # a key a day for three years; each costs one verification
_FILE, _SUCCESSOR = b"A", b"N"
# as these are also the greatest sizes, nothing can stand behind the last field
_FILE_SIZE = 10 + SEED_SIZE + _wire.CHECKSUM_SIZE
_SUCCESSOR_SIZE = 10 + 2 * _sodium.PUBLIC_SIZE + _sodium.SIGNATURE_SIZE + _wire.CHECKSUM_SIZE


@dataclass(frozen=True, slots=True)
class ArrivalKey:
    """The secret half; `public` is what clients pin."""

    seed: bytes = field(repr=False)
    public: bytes = field(init=False)
    _secret: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_SIZE:
            raise ValueError(f"a seed has {SEED_SIZE} bytes")
        public, secret = _sodium.sign_keypair(self.seed)
        object.__setattr__(self, "public", public)
        object.__setattr__(self, "_secret", secret)

    @classmethod
    def generate(cls) -> "ArrivalKey":
        return cls(_sodium.random_bytes(SEED_SIZE))

    @classmethod
    def load(cls, data: bytes) -> "ArrivalKey":
        """From what `encode` gave. Raises Damaged, UnknownVersion."""
        reader = _wire.open_head(data, _FILE, VERSION, _FILE_SIZE)
        return cls(reader.take(SEED_SIZE))

    def encode(self) -> bytes:
        """The key file: head, seed, checksum. Keep it outside the database, mode 0600."""
        return _wire.finish(_wire.head(_FILE, VERSION) + self.seed)

    @property
    def key_id(self) -> str:
        return key_id(self.public)

    def sign(self, envelope: bytes) -> bytes:
        """64 bytes over the label and the exact envelope bytes."""
        return _sodium.sign(LABEL + envelope, self._secret)

    def certify(self, successor: bytes) -> bytes:
        """This key's word that `successor` (a public key) takes its place."""
        if len(successor) != _sodium.PUBLIC_SIZE:
            raise ValueError(f"a public key has {_sodium.PUBLIC_SIZE} bytes")
        pair = self.public + successor
        signature = _sodium.sign(SUCCESSOR_LABEL + pair, self._secret)
        return _wire.finish(_wire.head(_SUCCESSOR, VERSION) + pair + signature)


def key_id(public: bytes) -> str:
    """16 lower-case hex digits: a name to find the key by, never a reason to trust it."""
    return hashlib.sha256(public).hexdigest()[:16]


def verify_arrival(public: bytes, envelope: bytes, signature: bytes) -> bool:
    """False also for a key or signature of a wrong length."""
    return _sodium.verify(LABEL + envelope, signature, public)


def follow(pinned: bytes, successors: Iterable[bytes]) -> bytes:
    """The newest public key, reached from the pinned one over all certificates in their order.

    Raises SignatureInvalid (also for a chain that leaves the pinned key out), Damaged,
    UnknownVersion.
    """
    chain: list[bytes] = []
    for certificate in successors:
        if len(chain) > SUCCESSORS_MAX:
            raise SignatureInvalid("too many successors of the arrival key")
        old, new = _read_successor(certificate)
        if chain and chain[-1] != old:
            raise SignatureInvalid("a gap between successors of the arrival key")
        chain += [new] if chain else [old, new]
    if chain and pinned not in chain:
        raise SignatureInvalid("the pinned arrival key is not among its successors' ancestors")
    return chain[-1] if chain else pinned


def _read_successor(certificate: bytes) -> tuple[bytes, bytes]:
    reader = _wire.open_head(certificate, _SUCCESSOR, VERSION, _SUCCESSOR_SIZE)
    pair = reader.take(2 * _sodium.PUBLIC_SIZE)
    signature = reader.take(_sodium.SIGNATURE_SIZE)
    old, new = pair[: _sodium.PUBLIC_SIZE], pair[_sodium.PUBLIC_SIZE :]
    if not _sodium.verify(SUCCESSOR_LABEL + pair, signature, old):
        raise SignatureInvalid("a successor of the arrival key is not signed by the key before it")
    return old, new
