"""The server's hash of a passphrase's `auth` half. The passphrase itself never comes here.

`auth` is already 256 bits behind the client's Argon2id, so a copy of this hash is attacked at the
cost of both. docs/specs/keys.md, "Passphrase".
"""

import hmac

from . import _sodium
from .kdf import M_KIB_MIN, PARAMS_SIZE, T_MIN, Params

AUTH_SIZE = 32


def hash_auth(auth: bytes) -> bytes:
    """57 bytes: parameters (the floor: 64 MiB, a tenth of a second) and hash. Salted afresh."""
    if len(auth) != AUTH_SIZE:
        raise ValueError(f"auth has {AUTH_SIZE} bytes")
    params = Params.generate(T_MIN, M_KIB_MIN)
    return params.encode() + _sodium.argon2id(auth, params.salt, params.t, params.m_kib)


def check_auth(auth: bytes, stored: bytes) -> bool:
    """Raises Damaged, UnknownVersion or KdfRefused where `stored` is none of ours."""
    params = Params.decode(stored[:PARAMS_SIZE])
    derived = _sodium.argon2id(auth, params.salt, params.t, params.m_kib)
    return hmac.compare_digest(derived, stored[PARAMS_SIZE:])
