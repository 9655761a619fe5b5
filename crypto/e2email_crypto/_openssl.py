"""The only door to `cryptography`: signatures over a digest, whether a secret fits its public part.

Arithmetic with keys whose OpenPGP form was taken apart before; ciphers that protect secret keys in
files of other programs. One error, no library text: it could quote a number of a secret key.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    padding,
    rsa,
    utils,
    x448,
    x25519,
)  # fmt: skip
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESOCB3
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

T = TypeVar("T")

RSA, ECDH, ECDSA, EDDSA, X25519, X448, ED25519, ED448 = 1, 18, 19, 22, 25, 26, 27, 28
SIGNING = frozenset({RSA, ECDSA, EDDSA, ED25519, ED448})

_EDDSA_OID = bytes.fromhex("2b06010401da470f01")
_CV25519_OID = bytes.fromhex("2b060104019755010501")
_CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("2a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("2b81040022"): ec.SECP384R1(),
    bytes.fromhex("2b81040023"): ec.SECP521R1(),
    bytes.fromhex("2b8104000a"): ec.SECP256K1(),
}
_RAW: dict[int, Any] = {
    X25519: x25519.X25519PrivateKey,
    X448: x448.X448PrivateKey,
    ED25519: ed25519.Ed25519PrivateKey,
    ED448: ed448.Ed448PrivateKey,
}
# RFC 9580, 9.3: what keys in files are found protected with. gpg 1 and 2.0 wrote CAST5.
_CIPHERS: dict[int, Any] = {
    2: TripleDES,
    3: CAST5,
    7: algorithms.AES,
    8: algorithms.AES,
    9: algorithms.AES,
}
CIPHER_SIZES = {2: (24, 8), 3: (16, 8), 7: (16, 16), 8: (24, 16), 9: (32, 16)}  # key, block
_AEADS: dict[int, Any] = {2: AESOCB3, 3: AESGCM}  # EAX is not to be had
AEAD_NONCES = {2: 15, 3: 12}

_Private = (  # what _RAW makes, and the two kinds of numbers
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
)


class LibraryRefused(Exception):
    """The numbers are no such key, or the algorithm is not to be had. Tells nothing on purpose."""


def _call(function: Callable[..., T], *args: object) -> T:
    try:
        return function(*args)
    except (ValueError, TypeError, KeyError, IndexError, UnsupportedAlgorithm, InvalidTag):
        raise LibraryRefused from None


def mpi(number: int) -> bytes:
    """RFC 9580, 3.2."""
    bits = number.bit_length()
    return bits.to_bytes(2) + number.to_bytes((bits + 7) // 8)


def mpis(data: bytes) -> Iterator[bytes]:
    """The values of multiprecision integers up to the end; ValueError if they do not end there."""
    while data:
        size = (int.from_bytes(data[:2]) + 7) // 8
        if len(data) < 2 + size:
            raise ValueError("an integer is cut short")
        yield data[2 : 2 + size]
        data = data[2 + size :]


def fits(algorithm: int, public: bytes, secret: bytes) -> bool:
    """Whether `secret` is the secret of `public`; both are the algorithm's fields of key packets.

    Raises LibraryRefused if they are no key of an algorithm known here.
    """
    return _call(_fits, algorithm, public, secret)


def _fits(algorithm: int, public: bytes, secret: bytes) -> bool:
    if algorithm == RSA:
        try:
            _rsa(public, secret)
        except ValueError:
            return False
        return True
    key = _load(algorithm, public, secret)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = key.public_key().public_numbers()
        size = (key.curve.key_size + 7) // 8
        return _point(public)[1] == b"\x04" + numbers.x.to_bytes(size) + numbers.y.to_bytes(size)
    assert not isinstance(key, rsa.RSAPrivateKey)
    own = key.public_key().public_bytes_raw()
    return own == public if algorithm in _RAW else b"\x40" + own == _point(public)[1]


def sign(algorithm: int, public: bytes, secret: bytes, digest: bytes) -> bytes:
    """The algorithm's fields of a signature (RFC 9580, 5.2.3) over a SHA-512 digest."""
    return _call(_sign, algorithm, public, secret, digest)


def _sign(algorithm: int, public: bytes, secret: bytes, digest: bytes) -> bytes:
    key = _load(algorithm, public, secret)
    if isinstance(key, rsa.RSAPrivateKey):
        return mpi(int.from_bytes(key.sign(digest, padding.PKCS1v15(), utils.Prehashed(SHA512()))))
    if isinstance(key, ec.EllipticCurvePrivateKey) and algorithm == ECDSA:
        made = key.sign(digest, ec.ECDSA(utils.Prehashed(SHA512())))
        return b"".join(mpi(number) for number in utils.decode_dss_signature(made))
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        raw = key.sign(digest)
        if algorithm in _RAW:
            return raw
        return mpi(int.from_bytes(raw[:32])) + mpi(int.from_bytes(raw[32:]))
    raise ValueError("not a key that signs")


def _load(algorithm: int, public: bytes, secret: bytes) -> _Private:
    if algorithm == RSA:
        return _rsa(public, secret)
    if algorithm in _RAW:
        raw: _Private = _RAW[algorithm].from_private_bytes(secret)
        return raw
    if algorithm not in (ECDH, ECDSA, EDDSA):
        raise ValueError("an algorithm that is not used here")
    oid, _ = _point(public)
    (scalar,) = mpis(secret)
    if oid == _EDDSA_OID and algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.from_private_bytes(scalar.rjust(32, b"\0"))
    if oid == _CV25519_OID and algorithm == ECDH:
        # RFC 9580, 11.4.1: written in the other direction than RFC 7748 has it
        return x25519.X25519PrivateKey.from_private_bytes(scalar.rjust(32, b"\0")[::-1])
    return ec.derive_private_key(int.from_bytes(scalar), _CURVES[oid])


def _point(public: bytes) -> tuple[bytes, bytes]:
    """(curve's object identifier, point) of the public fields of a key on a curve."""
    start = 1 + public[0]
    size = (int.from_bytes(public[start : start + 2]) + 7) // 8
    return public[1:start], public[start + 2 : start + 2 + size]


def _rsa(public: bytes, secret: bytes) -> rsa.RSAPrivateKey:
    """ValueError if the numbers do not fit: the library checks them all."""
    n, e = (int.from_bytes(value) for value in mpis(public))
    d, p, q, _ = (int.from_bytes(value) for value in mpis(secret))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(e, n),
    )  # fmt: skip
    return numbers.private_key()


def cfb_decrypt(cipher: int, key: bytes, iv: bytes, data: bytes) -> bytes:
    """`cipher` is one of CIPHER_SIZES."""
    decryptor = _call(lambda: Cipher(_CIPHERS[cipher](key), CFB(iv)).decryptor())
    return decryptor.update(data) + decryptor.finalize()


def cfb_encrypt(cipher: int, key: bytes, iv: bytes, data: bytes) -> bytes:
    encryptor = _call(lambda: Cipher(_CIPHERS[cipher](key), CFB(iv)).encryptor())
    return encryptor.update(data) + encryptor.finalize()


def aead_decrypt(mode: int, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
    """`mode` is one of AEAD_NONCES; LibraryRefused if the tag does not verify."""
    return _call(lambda: bytes(_AEADS[mode](key).decrypt(nonce, data, associated)))


def aead_encrypt(mode: int, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
    return _call(lambda: bytes(_AEADS[mode](key).encrypt(nonce, data, associated)))


def argon2(passphrase: bytes, salt: bytes, passes: int, lanes: int, kib: int, size: int) -> bytes:
    """Raises LibraryRefused for parameters that are none, MemoryError."""
    return _call(
        lambda: Argon2id(
            salt=salt, length=size, iterations=passes, lanes=lanes, memory_cost=kib
        ).derive(passphrase)
    )
