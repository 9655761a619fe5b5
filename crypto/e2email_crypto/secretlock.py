"""The passphrase of a secret key in a file: taken off on import, put on for export.

RFC 9580, 3.7 and 5.5.3. Here a key is never kept so: the vault protects it. Read is what gpg 1 and
2, Thunderbird, sq and RFC 9580 programs write; written what the oldest of them reads.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass

from . import _openssl
from .errors import BadKey, KdfRefused, PassphraseNeeded, SecretMissing, WrongSecret
from .secretpacket import AEAD, CFB, CFB_CHECKSUM, UNPROTECTED, SecretPacket, unprotected

_SIMPLE, _SALTED, _ITERATED, _ARGON2, _GNU = 0, 1, 3, 4, 101
_HASHES = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
_DUMMY, _CARD = 1, 2  # of GnuPG's own: the secret is not here, or on a smartcard

# RFC 9106 recommends 2 GiB to those who have it, and programs follow. Above is an attack.
MAX_ARGON2_EXPONENT = 21  # of 2, in KiB
MAX_ARGON2_PASSES = 10
MAX_ARGON2_LANES = 16
# KiB times passes of all packets of a key, each of which has a derivation of its own: thirty at the
# limits above would take many minutes.
MAX_ARGON2_WORK = MAX_ARGON2_PASSES << MAX_ARGON2_EXPONENT

_AES256, _OCB, _SHA256 = 9, 2, 8
_MOST = 0xFF  # 65 MB through the hash, the most that can be written
_ARGON2_PASSES, _ARGON2_LANES, _ARGON2_EXPONENT = 3, 4, 16  # RFC 9106, the second choice: 64 MiB


@dataclass(frozen=True, slots=True)
class _Locked:
    """The fields of a protected packet."""

    usage: int
    cipher: int
    aead: int
    specifier: bytes
    iv: bytes
    data: bytes


def unlock(packet: SecretPacket, passphrase: bytes | None) -> SecretPacket:
    """The packet without its passphrase; itself if it has none.

    Raises PassphraseNeeded, WrongSecret (which damage looks like, too), SecretMissing, KdfRefused,
    BadKey for a protection that is not known here.
    """
    if packet.usage == UNPROTECTED:
        return packet
    try:
        locked = _parse(packet)
    except IndexError:
        raise BadKey("a protected secret key that is cut short") from None
    if locked.specifier[0] == _GNU:
        raise _missing(locked.specifier)
    if passphrase is None:
        raise PassphraseNeeded("the secret key is protected by a passphrase")
    if locked.cipher not in _openssl.CIPHER_SIZES:
        raise BadKey("a secret key protected by an unknown cipher")
    key = _derive(locked.specifier, passphrase, _openssl.CIPHER_SIZES[locked.cipher][0])
    try:
        return unprotected(packet, _decrypt(packet, locked, key))
    except _openssl.LibraryRefused:
        raise WrongSecret("not the passphrase of this key") from None


def work(packet: SecretPacket) -> int:
    """KiB times passes of Argon2 that unlocking the packet takes; 0 if malformed, too."""
    if packet.usage == UNPROTECTED:
        return 0
    try:
        specifier = _parse(packet).specifier
    except (IndexError, BadKey):
        return 0  # `unlock` says so
    return specifier[17] << min(specifier[19], 64) if specifier[0] == _ARGON2 else 0


def _parse(packet: SecretPacket) -> _Locked:
    """IndexError if cut short; BadKey for an unknown usage."""
    usage, rest = packet.rest[0], packet.rest[1:]
    if usage not in (AEAD, CFB, CFB_CHECKSUM):
        raise BadKey("a secret key protected in a way that nobody should use any more")
    lengths = packet.version == 6
    rest = rest[1:] if lengths else rest  # counts of octets, which the fields tell as well
    cipher, rest = rest[0], rest[1:]
    aead, rest = (rest[0], rest[1:]) if usage == AEAD else (0, rest)
    rest = rest[1:] if lengths else rest
    size = _specifier_size(rest)
    if rest[0] == _GNU:
        return _Locked(usage, cipher, aead, rest[:size], b"", b"")
    iv = _openssl.AEAD_NONCES.get(aead, _openssl.CIPHER_SIZES.get(cipher, (0, 0))[1])
    if len(rest) <= size + iv:
        raise IndexError
    return _Locked(usage, cipher, aead, rest[:size], rest[size : size + iv], rest[size + iv :])


def _specifier_size(rest: bytes) -> int:
    sizes = {_SIMPLE: 2, _SALTED: 10, _ITERATED: 11, _ARGON2: 20, _GNU: 6}
    if rest[0] not in sizes:
        raise BadKey("a secret key protected by an unknown key derivation")
    if len(rest) < sizes[rest[0]]:
        raise IndexError
    return sizes[rest[0]]


def _missing(specifier: bytes) -> BadKey:
    if specifier[2:5] == b"GNU" and specifier[5] in (_DUMMY, _CARD):
        return SecretMissing(on_card=specifier[5] == _CARD)
    return BadKey("a secret key protected in a way of one program alone")


def _derive(specifier: bytes, passphrase: bytes, size: int) -> bytes:
    if specifier[0] == _ARGON2:
        salt, (passes, lanes, exponent) = specifier[1:17], specifier[17:20]
        return _argon2(passphrase, salt, passes, lanes, exponent, size)
    if specifier[1] not in _HASHES:
        raise BadKey("a secret key protected by an unknown hash")
    name, salt = _HASHES[specifier[1]], specifier[2:10]
    count = 0
    if specifier[0] == _ITERATED:
        code = specifier[10]
        count = (16 + (code & 15)) << (code >> 4) + 6
    return _iterated(name, salt + passphrase, count, size)


def _iterated(name: str, seed: bytes, count: int, size: int) -> bytes:
    """RFC 9580, 3.7.1.1 to 3.7.1.3: `count` octets of the repeated seed, at least one of them."""
    count = max(count, len(seed))
    block = seed * (65536 // max(len(seed), 1) + 1)
    whole, left = divmod(count, max(len(block), 1))  # an empty passphrase and no salt: no seed
    made, contexts = b"", 0
    while len(made) < size:
        # MD5 and SHA-1 are what old files have
        digest = hashlib.new(name, b"\0" * contexts, usedforsecurity=False)
        for _ in range(whole):
            digest.update(block)
        digest.update(block[:left])
        made, contexts = made + digest.digest(), contexts + 1
    return made[:size]


def _argon2(
    passphrase: bytes, salt: bytes, passes: int, lanes: int, exponent: int, size: int
) -> bytes:
    if (
        exponent > MAX_ARGON2_EXPONENT
        or not 0 < passes <= MAX_ARGON2_PASSES
        or not 0 < lanes <= MAX_ARGON2_LANES
    ):
        raise KdfRefused("the key derivation of the secret key asks for too much")
    try:
        return _openssl.argon2(passphrase, salt, passes, lanes, 1 << exponent, size)
    except (_openssl.LibraryRefused, MemoryError):
        raise KdfRefused("this machine cannot do the key derivation of the secret key") from None


def _decrypt(packet: SecretPacket, locked: _Locked, key: bytes) -> bytes:
    """The secret fields; LibraryRefused if the passphrase is wrong."""
    if locked.usage == AEAD:
        if locked.aead not in _openssl.AEAD_NONCES:
            raise BadKey("a secret key protected by an unknown AEAD mode")
        key, head = _aead_key(packet, locked.cipher, locked.aead, key)
        return _openssl.aead_decrypt(locked.aead, key, locked.iv, locked.data, head)
    plain = _openssl.cfb_decrypt(locked.cipher, key, locked.iv, locked.data)
    if locked.usage == CFB:
        secret, check = plain[:-20], plain[-20:]
        good = hashlib.sha1(secret, usedforsecurity=False).digest()
    else:
        secret, check = plain[:-2], plain[-2:]
        good = (sum(secret) & 0xFFFF).to_bytes(2)
    if not hmac.compare_digest(check, good):
        raise _openssl.LibraryRefused
    return secret


def _aead_key(packet: SecretPacket, cipher: int, aead: int, key: bytes) -> tuple[bytes, bytes]:
    """(key, associated data) of RFC 9580, 5.5.3: both bind what the secret belongs to."""
    info = bytes([0xC0 | packet.tag, packet.version, cipher, aead])
    prk = hmac.digest(b"\0" * 32, key, "sha256")
    derived = hmac.digest(prk, info + b"\x01", "sha256")  # HKDF, one block
    return derived[: _openssl.CIPHER_SIZES[cipher][0]], info[:1] + packet.public


def lock(packet: SecretPacket, passphrase: bytes) -> SecretPacket:
    """An unprotected packet under a passphrase: as gpg 2.2 reads it, and version 6 with AEAD."""
    if packet.version == 6:
        return _lock_aead(packet, passphrase)
    specifier = bytes([_ITERATED, _SHA256]) + os.urandom(8) + bytes([_MOST])
    iv = os.urandom(16)
    key = _derive(specifier, passphrase, 32)
    plain = packet.secret
    plain += hashlib.sha1(plain, usedforsecurity=False).digest()
    rest = bytes([CFB, _AES256]) + specifier + iv + _openssl.cfb_encrypt(_AES256, key, iv, plain)
    return SecretPacket(packet.tag, packet.public, rest)


def _lock_aead(packet: SecretPacket, passphrase: bytes) -> SecretPacket:
    specifier = bytes([_ARGON2]) + os.urandom(16)
    specifier += bytes([_ARGON2_PASSES, _ARGON2_LANES, _ARGON2_EXPONENT])
    nonce = os.urandom(_openssl.AEAD_NONCES[_OCB])
    key, head = _aead_key(packet, _AES256, _OCB, _derive(specifier, passphrase, 32))
    sealed = _openssl.aead_encrypt(_OCB, key, nonce, packet.secret, head)
    fields = bytes([_AES256, _OCB, len(specifier)]) + specifier + nonce
    return SecretPacket(packet.tag, packet.public, bytes([AEAD, len(fields)]) + fields + sealed)
