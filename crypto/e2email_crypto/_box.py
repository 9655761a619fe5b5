"""A committing box: head, nonce, commitment, XChaCha20-Poly1305, checksum.

XChaCha20-Poly1305 alone opens under several keys for a ciphertext made so on purpose; the
commitment (an HKDF output beside the encryption key) pins the one key and tells a wrong
secret from a damaged box.
"""

import hmac

from . import _sodium, _wire
from .errors import Damaged, WrongSecret
from .kdf import hkdf

COMMITMENT_SIZE = 32
EXTRA = _sodium.NONCE_SIZE + COMMITMENT_SIZE + _sodium.TAG_SIZE + _wire.CHECKSUM_SIZE


def seal(key: bytes, label: bytes, header: bytes, plaintext: bytes) -> bytes:
    """`header` is the associated data: it must be unambiguous and name all that the box is for."""
    nonce = _sodium.random_bytes(_sodium.NONCE_SIZE)
    inner = _sodium.aead_seal(hkdf(key, label, b"key"), nonce, plaintext, header)
    return _wire.finish(header + nonce + hkdf(key, label, b"commitment") + inner)


def open_rest(key: bytes, label: bytes, reader: _wire.Reader) -> bytes:
    """What is left behind a header that the caller has read. Raises WrongSecret, Damaged."""
    header = reader.data[: reader.at]
    nonce = reader.take(_sodium.NONCE_SIZE)
    commitment = reader.take(COMMITMENT_SIZE)
    inner = reader.rest()
    if len(inner) < _sodium.TAG_SIZE:
        raise Damaged("cut short")
    if not hmac.compare_digest(commitment, hkdf(key, label, b"commitment")):
        raise WrongSecret("not made with this secret")
    return _sodium.aead_open(hkdf(key, label, b"key"), nonce, inner, header)
