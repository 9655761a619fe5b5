"""The only door to PGPy: making version 4 keys of our own. Never given anything from outside.

PGPy verifies nothing, ignores expiry and revocation, and corrupts some keys it saves again. So it
makes new keys and is given none. Imported where keys are made only, never in the server.
"""

import warnings
from datetime import UTC, datetime

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # imghdr, and ciphers that we do not use
    import pgpy
    from pgpy.constants import (
        CompressionAlgorithm,
        EllipticCurveOID,
        HashAlgorithm,
        KeyFlags,
        PubKeyAlgorithm,
        SymmetricKeyAlgorithm,
    )


# Explicit, or senders fall back to 3DES, which others then refuse to open. Uncompressed, so that
# nobody compresses what they encrypt to us: lengths tell content, and bombs need a decompressor.
_PREFERENCES = {
    "ciphers": [SymmetricKeyAlgorithm.AES256, SymmetricKeyAlgorithm.AES128],
    "hashes": [HashAlgorithm.SHA512, HashAlgorithm.SHA256],
    "compression": [CompressionAlgorithm.Uncompressed],
}


def ed25519_cv25519(user_id: str, created: int) -> bytes:
    """A secret key of version 4: Ed25519 certifies and signs, Cv25519 encrypts; SEIPDv1 only."""
    born = datetime.fromtimestamp(created, UTC)
    key = pgpy.PGPKey.new(PubKeyAlgorithm.EdDSA, EllipticCurveOID.Ed25519, created=born)
    subkey = pgpy.PGPKey.new(PubKeyAlgorithm.ECDH, EllipticCurveOID.Curve25519, created=born)
    name = pgpy.PGPUID.new(user_id)  # one string: it is written as it stands
    key.add_uid(name, usage={KeyFlags.Certify, KeyFlags.Sign}, created=born, **_PREFERENCES)
    key.add_subkey(
        subkey, usage={KeyFlags.EncryptCommunications, KeyFlags.EncryptStorage}, created=born
    )
    return bytes(key)


def cv25519(created: int) -> bytes:
    """A secret key packet of version 4: Cv25519, bound to nothing."""
    born = datetime.fromtimestamp(created, UTC)
    return bytes(pgpy.PGPKey.new(PubKeyAlgorithm.ECDH, EllipticCurveOID.Curve25519, created=born))
