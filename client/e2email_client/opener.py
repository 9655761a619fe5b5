"""One account's Opener for protocol/…/sealed: its keys, its workers, whose word counts.

Which keys are the account's, who may vouch for an envelope, and which message alone ends a worker.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from e2email_client.failure import Offline
from e2email_client.unreadable import KeyElsewhere, KeyGone, Later, TooMuch
from e2email_crypto.armor import dearmor
from e2email_crypto.arrival import key_id, verify_arrival
from e2email_crypto.errors import BadArmor, BadMessage, OpenFailed, TooLarge
from e2email_crypto.open import MAX_MESSAGE, Opened, OpenPool
from e2email_crypto.packets import message_key_ids
from e2email_protocol.sealed.arrival import DEVICE, Arrival
from e2email_protocol.sealed.sealer import Decrypted, Signature

_ARMOR = b"-----BEGIN PGP MESSAGE-----"
_BLANK_OCTETS = 1024  # white space in front of an armored message, and its first line
# Signatures found good that are not verified again: some 3 MiB, of a large mailbox.
MAX_SIGNED_KNOWN = 20_000
# One worker may be killed by a machine that is short of memory just then.
FRESH_DEATHS = 2


@dataclass(frozen=True, slots=True)
class Device:
    """A key that an account's statements name, for what its devices make."""

    public: bytes  # Ed25519
    until: int | None = None  # time of the statement that no longer names it


def _no_device(_signer: str) -> Device | None:
    return None


def _no_news(_named: frozenset[str]) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Keys:
    """Public facts of the account that opening is judged by."""

    account: str
    stated_key_ids: Sequence[frozenset[str]]  # encryption subkeys of each statement, oldest first
    signers: tuple[bytes, ...]  # Ed25519: the server's arrival keys
    certificates: tuple[bytes, ...] = ()  # whose signatures inside encrypted mail are judged
    # key id → the device; may ask the server, and raises Offline where that does not answer
    device: Callable[[str], Device | None] = _no_device
    held_key_ids: frozenset[str] | None = None  # what the workers can open; None: all that is ours
    # told of key ids that are those of no statement; the same of asking and Offline
    unstated: Callable[[frozenset[str]], None] = _no_news

    @property
    def known_key_ids(self) -> frozenset[str]:
        return frozenset[str]().union(*self.stated_key_ids)


class AccountOpener:
    """The Opener that protocol/…/sealed is handed."""

    def __init__(self, keys: Keys, pool: OpenPool) -> None:
        self._keys = keys
        self._pool = pool
        self._lock = threading.Lock()
        self._signed: OrderedDict[bytes, None] = OrderedDict()
        self._signers = {key_id(public): public for public in keys.signers}

    def judge_by(self, keys: Keys) -> None:
        """From now on; the server's arrival keys stay those of the beginning."""
        self._keys = keys

    @property
    def known_key_ids(self) -> frozenset[str]:
        return self._keys.known_key_ids

    @property
    def stated_key_ids(self) -> Sequence[frozenset[str]]:
        return self._keys.stated_key_ids

    def open(self, message: bytes, max_plaintext: int) -> Decrypted:
        """Raises KeyElsewhere where it takes keys that this machine does not have yet, KeyGone
        where they are older than those that it has."""
        held = self._keys.held_key_ids  # before: others may be held when it failed
        try:
            opened = self._opened(_binary(message), max_plaintext)
        except OpenFailed as error:
            missing = self._missing(_named(message), held) if error.final else None
            raise (missing or error) from error
        return Decrypted(
            opened.plaintext,
            tuple(Signature(one.state.value, one.fingerprint) for one in opened.signatures),
        )

    def _opened(self, message: bytes, max_plaintext: int) -> Opened:
        """OpenFailed that is not final says nothing about the message; TooMuch does.

        A worker may die of something else, or not start. It is this message if it takes, alone, a
        fresh worker with it, and then another.
        """
        deaths, fresh = 0, False
        while True:
            try:
                return self._pool.open(message, max_plaintext, self._keys.certificates, fresh=fresh)
            except OpenFailed as error:
                if error.final or (fresh and not error.alone):
                    raise
                deaths += error.alone
                if deaths == FRESH_DEATHS:
                    raise TooMuch("takes too much memory or time") from None
            fresh = True

    def open_again(self, message: bytes, max_plaintext: int) -> bytes:
        """A stored message that did not open: perhaps the account has other keys by now."""
        self.message_key_ids(message)
        return self.open(message, max_plaintext).plaintext

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        """Of a stored message. Those of no known statement are looked up before they are judged:
        another machine may have changed the keys. Raises Later where the server is not reached."""
        named = _named(message)
        if named and named not in self.stated_key_ids:
            try:
                self._keys.unstated(named)
            except Offline:
                raise Later from None
        return named

    def _missing(self, named: frozenset[str], held: frozenset[str] | None) -> Later | None:
        """Where the message is sealed to keys of the account that the workers did not hold."""
        stated = self._last_stated(named)
        if held is None or stated is None or not named.isdisjoint(held):
            return None
        here = self._last_stated(held)
        return KeyElsewhere() if here is None or stated > here else KeyGone()

    def _last_stated(self, key_ids: frozenset[str]) -> int | None:
        """The newest statement that names one of them."""
        each = enumerate(self._keys.stated_key_ids)
        return max((at for at, one in each if not one.isdisjoint(key_ids)), default=None)

    def proves_origin(
        self, arrival: Arrival, signer: str, envelope: bytes, signature: bytes
    ) -> bool:
        """Raises Later where it takes the server to know, and that is not reached."""
        if arrival.origin == DEVICE:
            public = self._device(signer, arrival.time)
        else:
            public = self._signers.get(signer)
        return public is not None and self._is_signed(public, envelope, signature)

    def _is_signed(self, public: bytes, envelope: bytes, signature: bytes) -> bool:
        """Each envelope is met twice, when it is listed and with its body."""
        made = blake2b(public + signature + envelope, digest_size=16).digest()
        with self._lock:
            if made in self._signed:
                return True
        if not verify_arrival(public, envelope, signature):
            return False
        with self._lock:
            self._signed[made] = None
            if len(self._signed) > MAX_SIGNED_KNOWN:
                self._signed.popitem(last=False)
        return True

    def _device(self, signer: str, time: int) -> bytes | None:
        try:
            device = self._keys.device(signer)
        except Offline:
            raise Later from None
        if device is None or (device.until is not None and time > device.until):
            return None
        return device.public


def _named(message: bytes) -> frozenset[str]:
    try:
        return message_key_ids(_binary(message))
    except (BadArmor, BadMessage, TooLarge):
        return frozenset()


def _binary(message: bytes) -> bytes:
    # no mail program puts more in front, and nothing large is copied
    if message[:_BLANK_OCTETS].lstrip().startswith(_ARMOR):
        return dearmor(message, b"MESSAGE", MAX_MESSAGE)
    return message
