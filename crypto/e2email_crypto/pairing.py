"""What a new device gets from one that has the account, sealed under a code of twelve words.

docs/specs/pairing.md. The server keeps the message for minutes and gives it out once; the code goes
from screen to screen and is key material of 128 bits itself, so there is nothing to guess.
"""

from dataclasses import dataclass, field
from typing import Any

from . import _box, _canonical, _fields, _sodium, _wire, slot, words
from .errors import Damaged, Expired, OtherAccount, SecretError
from .kdf import hkdf
from .slot import KEY_SIZE, SLOT_MAX, AccountKey
from .vault import VAULT_MAX

VERSION = 1
CODE_SIZE = words.SECRET_SIZE
LIFETIME = 600  # seconds: to walk to the other machine and type twelve words
# The vault in base64 and room for the rest; what the server takes.
MESSAGE_MAX = 1408 * 1024
NAME_MAX = 200  # octets of a device's name
TOKEN_MAX = 200  # octets; a device token has 36
URL_MAX = 2048
CA_MAX = 32 * 1024  # a few certificates in PEM
SEED_SIZE = 32
_KIND = b"P"
_LABEL = b"e2email v1 pairing"
_TIME_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Pair:
    """Whose pairing it is, between which devices, and until when (seconds since 1970).

    All of it is bound into the key: a message is for nobody else and no other time.
    """

    account: str
    server_name: str
    old_device: str
    new_device: str
    expires: int


@dataclass(frozen=True, slots=True)
class Gift:
    """What the new device needs. `head` is the digest of the newest entry of the key history.

    The new device fetches the history itself and refuses one in which entry `sequence` is another.
    `slots` are the account's, so that the same passphrase opens it there.
    """

    account_key: AccountKey
    vault: bytes = field(repr=False)
    slots: tuple[bytes, ...] = field(repr=False)
    sequence: int
    head: bytes
    device_token: str = field(repr=False)
    device_seed: bytes = field(repr=False)
    server_url: str
    ca: bytes | None = field(repr=False)


def new_code() -> bytes:
    return _sodium.random_bytes(CODE_SIZE)


def to_words(code: bytes) -> tuple[str, ...]:
    """The twelve words that are shown."""
    return words.encode(code, words.PAIRING_COUNT, words.PAIRING)


def from_words(text: str) -> bytes:
    """The code, of words as a person types them. Raises WordsInvalid."""
    return words.decode(text, words.PAIRING_COUNT, words.PAIRING)


def message_id(code: bytes) -> bytes:
    """32 bytes that the message is kept under; they say nothing about the key."""
    return hkdf(_checked(code), b"e2email v1 pairing id")


def seal(code: bytes, pair: Pair, gift: Gift) -> bytes:
    """The message. Raises ValueError where `open` would not give the same back."""
    payload = _encode(gift)
    try:
        _check_slots(_decode(payload), pair.account, pair.server_name)
    except SecretError as fault:
        raise ValueError(f"a slot that the new device would refuse: {fault}") from fault
    names = (pair.account, pair.server_name, pair.old_device, pair.new_device)
    header = (
        _wire.head(_KIND, VERSION)
        + pair.expires.to_bytes(8)
        + _wire.pack(*map(_name, names[:2]), *map(_device, names[2:]))
    )
    message = _box.seal(_key(code, pair), _LABEL, header, payload)
    if len(message) > MESSAGE_MAX:
        raise ValueError("too much for one message")
    return message


def open(
    message: bytes, code: bytes, account: str, server_name: str, now: int
) -> tuple[Pair, Gift]:
    """What the message holds. `now` is the time by this device's clock.

    Raises UnknownVersion, Damaged, OtherAccount, WrongSecret, Expired, and of a slot KdfRefused.
    """
    reader = _wire.open_head(message, _KIND, VERSION, MESSAGE_MAX)
    expires = reader.number(8)
    if (reader.field(), reader.field()) != (_wire.name(account), _wire.name(server_name)):
        raise OtherAccount("a pairing of another account or server name")
    pair = Pair(account, server_name, _text(reader.field()), _text(reader.field()), expires)
    payload = _box.open_rest(_key(code, pair), _LABEL, reader)
    if now >= expires:
        raise Expired("the pairing has expired")
    try:
        gift = _decode(payload)
    except ValueError:
        # the cause could quote a secret
        raise Damaged("the message's content is malformed") from None
    _check_slots(gift, account, server_name)
    return pair, gift


def _check_slots(gift: Gift, account: str, server_name: str) -> None:
    for one in gift.slots:
        slot.inspect(one, account, server_name)


def _key(code: bytes, pair: Pair) -> bytes:
    return hkdf(
        _checked(code),
        b"e2email v1 pairing key",
        _wire.name(pair.account),
        _wire.name(pair.server_name),
        pair.old_device.encode(),
        pair.new_device.encode(),
        pair.expires.to_bytes(8),
    )


def _checked(code: bytes) -> bytes:
    if len(code) != CODE_SIZE:
        raise ValueError(f"a pairing code has {CODE_SIZE} bytes")
    return code


def _name(text: str) -> bytes:
    return _wire.name(text)


def _device(text: str) -> bytes:
    octets = text.encode()
    if not 0 < len(octets) <= NAME_MAX or not text.isprintable():
        raise ValueError("a device's name is printable and short")
    return octets


def _text(octets: bytes) -> str:
    try:
        text = octets.decode()
        _device(text)
    except ValueError:
        raise Damaged("a device's name is malformed") from None
    return text


def _encode(gift: Gift) -> bytes:
    return _canonical.encode(
        {
            "account_key": _fields.base64_text(gift.account_key.raw),
            "ca": None if gift.ca is None else _fields.base64_text(gift.ca),
            "device_seed": _fields.base64_text(gift.device_seed),
            "device_token": gift.device_token,
            "head": gift.head.hex(),
            "sequence": gift.sequence,
            "server_url": gift.server_url,
            "slots": [_fields.base64_text(one) for one in gift.slots],
            "vault": _fields.base64_text(gift.vault),
        }
    )


def _decode(payload: bytes) -> Gift:
    key, ca, seed, token, head, sequence, url, slots, vault = _fields.record(
        _canonical.decode(payload),
        "account_key ca device_seed device_token head sequence server_url slots vault",
    )
    return Gift(
        account_key=AccountKey(_fields.base64_octets(key, KEY_SIZE)),
        vault=_fields.base64_octets(vault, VAULT_MAX),
        slots=_fields.items(slots, lambda value: _fields.base64_octets(value, SLOT_MAX), 0, 2),
        sequence=_fields.integer(sequence, 1, _TIME_MAX),
        head=_fields.hex32(head),
        device_token=_short(token, TOKEN_MAX),
        device_seed=_seed(seed),
        server_url=_short(url, URL_MAX),
        ca=_fields.optional(ca, lambda value: _fields.base64_octets(value, CA_MAX)),
    )


def _short(value: Any, most: int) -> str:
    text = _fields.text(value)
    if not 0 < len(text) <= most or not text.isprintable():
        raise ValueError("a text is empty, too long or not printable")
    return text


def _seed(value: Any) -> bytes:
    octets = _fields.base64_octets(value, SEED_SIZE)
    if len(octets) != SEED_SIZE:
        raise ValueError("a seed has a wrong length")
    return octets
