"""One identity of the vault, whose certificate there and in the world may differ.

The vault's copy of a certificate lacks a revocation: the account's own devices verify the key
history with it, for which the key vouched while it was good. What the key really says is in its
secret form.
"""

import time

from e2email_crypto import ownkey
from e2email_crypto.cert import inspect_cert
from e2email_crypto.vault import Identity


def public(identity: Identity) -> bytes:
    """The certificate with everything that was ever said about the key, its revocation included."""
    return ownkey.read(identity.tsk, int(time.time())).cert


def is_revoked(identity: Identity) -> bool:
    return inspect_cert(public(identity), int(time.time())).revoked
