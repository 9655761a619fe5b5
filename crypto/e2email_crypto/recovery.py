"""The recovery secret: 128 random bits that stand in for the passphrase when it is lost.

docs/specs/recovery.md. Shown as words, split into shares, kept in the vault; never at the server.
"""

from dataclasses import dataclass, field

from . import _sodium, _wire, words
from .kdf import hkdf
from .statement import Authority, Entry, Statement, signed_octets

SECRET_SIZE = words.SECRET_SIZE  # nobody guesses 128 bits, so nothing is stretched


@dataclass(frozen=True, slots=True)
class Keys:
    """What a recovery secret gives at one server. `auth` is shown to it, `wrap` opens the slot.

    `public` stands in the account's statements as `recovery_key`. 32 bytes each.
    """

    auth: bytes = field(repr=False)
    wrap: bytes = field(repr=False)
    seed: bytes = field(repr=False)  # of the Ed25519 recovery key
    public: bytes


def generate() -> bytes:
    return _sodium.random_bytes(SECRET_SIZE)


def split(secret: bytes, account: str, server_name: str) -> Keys:
    """Three keys that tell nothing of each other, of no use at another server."""
    if len(secret) != SECRET_SIZE:
        raise ValueError(f"a recovery secret has {SECRET_SIZE} bytes")
    names = _wire.name(account), _wire.name(server_name)
    seed = hkdf(secret, b"e2email v1 recovery sign", *names)
    return Keys(
        auth=hkdf(secret, b"e2email v1 recovery auth", *names),
        wrap=hkdf(secret, b"e2email v1 recovery wrap", *names),
        seed=seed,
        public=_sodium.sign_keypair(seed)[0],
    )


def sign_entry_by_recovery(statement: Statement, keys: Keys) -> Entry:
    """An entry of the key history, for whoever has lost the OpenPGP key of the one before."""
    octets = statement.encode()
    _, secret = _sodium.sign_keypair(keys.seed)
    return Entry(octets, Authority.RECOVERY, signature=_sodium.sign(signed_octets(octets), secret))


def to_words(secret: bytes) -> tuple[str, ...]:
    """The 14 words that are shown and printed."""
    return words.encode(secret, words.RECOVERY_COUNT, words.RECOVERY)


def from_words(text: str) -> bytes:
    """The secret, of words as a person types them. Raises WordsInvalid."""
    return words.decode(text, words.RECOVERY_COUNT, words.RECOVERY)
