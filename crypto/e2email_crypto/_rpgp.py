"""The only door to rpgp-py (module `openpgp`): plain values in and out, one error, no library text.

rpgp decrypts and judges bindings by arithmetic alone; it has no policy (it accepts SHA-1, expired
and revoked keys), so nothing here is a decision about trust.
"""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

os.environ.pop("RUST_BACKTRACE", None)

from openpgp import composed

T = TypeVar("T")


class LibraryRefused(Exception):
    """rpgp failed. Carries nothing of the cause on purpose."""


def _call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    try:
        return function(*args, **kwargs)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:  # noqa: BLE001  # a Rust panic derives from BaseException only
        raise LibraryRefused from None


@dataclass(frozen=True, slots=True)
class Binding:
    """A signature of the primary key over a subkey that is arithmetically right."""

    revokes: bool
    hash_name: str
    created: int | None
    lifetime: int | None  # seconds after the key's creation
    expires: int | None  # the signature itself, seconds after its creation
    encrypts: bool


@dataclass(frozen=True, slots=True)
class Subkey:
    """A subkey, those of its signatures that are the primary key's, and the hashes of all."""

    fingerprint: str
    bindings: tuple[Binding, ...]
    hashes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Bindings:
    """What arithmetic says of a certificate."""

    subkeys: tuple[Subkey, ...]
    all_valid: bool
    self_hashes: frozenset[str]


def bindings(cert: bytes) -> Bindings:
    """The arithmetic of a certificate whose size and packet count were checked before."""
    parsed = _call(composed.SignedPublicKey.from_bytes, cert)
    return _call(_bindings, parsed)


def _bindings(parsed: Any) -> Bindings:
    subkeys = tuple(_subkey(parsed.primary_key, sub) for sub in parsed.public_subkeys)
    details = parsed.details
    hashes = {s.hash_alg() for user in details.users for s in user.signatures}
    hashes |= {s.hash_alg() for s in details.direct_signatures}
    try:
        _call(parsed.verify_bindings)
        valid = True
    except LibraryRefused:
        valid = False
    return Bindings(subkeys, valid, frozenset(str(h) for h in hashes))


# Merging asks several times about each signature, and one by Ed448 takes 8 ms: a certificate full
# of them that came with a mail took five seconds. Two such certificates fit.
@lru_cache(maxsize=128)
def self_signed(octets: bytes) -> bool:
    """Whether the one signature at the end of a primary key and a part is the primary key's own.

    Arithmetic alone. A key binding with signing rights needs its back signature to be right, too.
    """
    try:
        parsed = _call(composed.SignedPublicKey.from_bytes, octets)
        return _call(_signatures, parsed) == 1 and _call(parsed.verify_bindings) is None
    except LibraryRefused:
        return False


def _signatures(parsed: Any) -> int:
    details = parsed.details
    found = len(details.revocation_signatures) + len(details.direct_signatures)
    signed = (*details.users, *details.user_attributes, *parsed.public_subkeys)
    return found + sum(len(part.signatures) for part in signed)


def _subkey(primary: Any, sub: Any) -> Subkey:
    good = []
    for signature in sub.signatures:
        try:
            _call(signature.verify_subkey_binding, primary, sub.key)
        except LibraryRefused:
            continue
        good.append(_binding(signature))
    hashes = frozenset(str(s.hash_alg()) for s in sub.signatures)
    return Subkey(sub.key.fingerprint.upper(), tuple(good), hashes)


def _binding(signature: Any) -> Binding:
    flags = signature.key_flags()
    return Binding(
        revokes="revoc" in str(signature.typ()),
        hash_name=str(signature.hash_alg()),
        created=signature.created(),
        lifetime=signature.key_expiration_time() or None,
        expires=signature.signature_expiration_time() or None,
        encrypts=bool(flags.encrypt_communications or flags.encrypt_storage),
    )


class SecretKey:
    """An unprotected secret key, parsed. Its repr tells nothing."""

    __slots__ = ("_key", "key_ids")

    def __init__(self, tsk: bytes) -> None:
        """Raises LibraryRefused if `tsk` is no transferable secret key."""
        self._key = _call(composed.SignedSecretKey.from_bytes, tsk)
        self.key_ids: frozenset[str] = _call(self._ids)

    def __repr__(self) -> str:
        return "SecretKey(…)"

    def _ids(self) -> frozenset[str]:
        subkeys = (sub.key.key_id.upper() for sub in self._key.secret_subkeys)
        return frozenset((self._key.key_id.upper(), *subkeys))

    def decrypt(self, message: bytes) -> tuple[bytes, list[bytes]]:
        """(plaintext, signature packets) of a message that passed the outer grammar.

        A bomb aborts this process when a memory limit stops it (measured: SIGABRT), so this is
        called in the worker child only.
        """
        return _call(self._decrypt, message)

    def _decrypt(self, message: bytes) -> tuple[bytes, list[bytes]]:
        opened = composed.Message.from_bytes(message).decrypt(None, self._key)
        plaintext = opened.as_data_vec()
        return plaintext, [_packet(s.to_bytes()) for s in opened.signatures()]

    def sign(self, data: bytes) -> bytes:
        """A detached binary signature by the primary key."""
        random_source = random.SystemRandom()
        made = _call(
            composed.DetachedSignature.sign_binary_data,
            random_source, self._key, None, "sha512", data,
        )  # fmt: skip
        return bytes(_call(made.to_bytes))


def encrypt_v1(plaintext: bytes, reduced: Sequence[bytes]) -> bytes:
    """A binary SEIPD version 1 message to every subkey of every given reduced certificate.

    Never compressed, never signed. Encrypts to whatever subkey it is given: reduced ones only.
    """
    return _call(_encrypt_v1, plaintext, reduced)


def _encrypt_v1(plaintext: bytes, reduced: Sequence[bytes]) -> bytes:
    message = composed.MessageBuilder.from_bytes("", plaintext).seipd_v1("aes256")
    for cert in reduced:
        for subkey in composed.SignedPublicKey.from_bytes(cert).public_subkeys:
            message = message.encrypt_to_key(subkey)
    return bytes(message.to_vec())


def new_v6(user_id: str, created: int) -> bytes:
    """A secret key of version 6: Ed25519 certifies and signs, X25519 encrypts."""
    return _call(_new_v6, user_id, created)


def _new_v6(user_id: str, created: int) -> bytes:
    subkey = composed.SubkeyParamsBuilder().version(6).key_type(composed.KeyType.x25519())
    subkey = subkey.can_encrypt(composed.EncryptionCaps.all()).created_at(created)
    key = composed.SecretKeyParamsBuilder().version(6).key_type(composed.KeyType.ed25519())
    key = key.can_certify(True).can_sign(True).created_at(created)
    key = key.feature_seipd_v1(True).feature_seipd_v2(True)
    key = key.preferred_symmetric_algorithms(["aes256", "aes128"])
    key = key.preferred_hash_algorithms(["sha512", "sha256"])
    key = key.preferred_aead_algorithms([("aes256", "ocb"), ("aes128", "ocb")])
    key = key.preferred_compression_algorithms(["uncompressed"])
    made = key.primary_user_id(user_id).subkey(subkey.build()).generate()
    return bytes(made.to_bytes())


def _packet(body: bytes) -> bytes:
    """A signature body under a packet header, which rpgp's to_bytes leaves out."""
    return b"\xc2\xff" + len(body).to_bytes(4) + body


def signature_fits(data: bytes, signature: bytes, keys: Sequence[bytes]) -> bool:
    """True if arithmetic says that one of `keys` signed `data`. Never a reason to trust it.

    `keys` are bodies of public key or subkey packets.
    """
    try:
        parsed = _call(composed.DetachedSignature.from_bytes, signature)
    except LibraryRefused:
        return False
    return any(_fits(parsed, data, key) for key in keys)


def _fits(parsed: Any, data: bytes, key: bytes) -> bool:
    bare = b"\xc6\xff" + len(key).to_bytes(4) + key  # as a primary key, whatever it was
    try:
        _call(parsed.verify, _call(composed.SignedPublicKey.from_bytes, bare), data)
    except LibraryRefused:
        return False
    return True
