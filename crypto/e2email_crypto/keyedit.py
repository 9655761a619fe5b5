"""The life of a user's own OpenPGP key, on the client only. Every result is judged before use.

`compat` keys (version 4, SEIPDv1) are read by every OpenPGP program; `modern` ones (version 6,
AEAD) by those that know RFC 9580.
"""

import time
from dataclasses import dataclass
from typing import Literal

from . import _rpgp, _sequoia, gate, packets, seal
from .cert import MAX_CERT_PACKETS, inspect_cert, verify_signed_by
from .errors import BadKey, CryptoError, KeyRefused, Refusal

Profile = Literal["compat", "modern"]

MAX_ADDRESS = 254  # RFC 5321, 4.5.3.1.3
MAX_NAME = 200  # octets; user id and name stay one line of a mail header


@dataclass(frozen=True, slots=True)
class Identity:
    """A new identity, all binary: secret key, certificate, revocation signature for the backup."""

    tsk: bytes
    cert: bytes
    fingerprint: str
    revocation: bytes

    def __repr__(self) -> str:
        return f"Identity({self.fingerprint}, …)"


def new_identity(address: str, name: str, now: int, profile: Profile = "compat") -> Identity:
    """Make a key for `name <address>` that never expires, created at `now` (seconds since 1970).

    Raises BadKey if the user id is unusable, or if what the library made does not pass: accepted by
    the gate, opened and signed with by the other library, revocable.
    """
    _check_user_id(address, name)
    user_id = f"{name} <{address}>" if name else f"<{address}>"
    if profile == "compat":
        from . import _pgpy  # 150 ms and 21 MB: only when such a key is made

        made = _pgpy.ed25519_cv25519(user_id, now)
        tsk, cert = made.tsk, made.cert
    else:
        tsk, cert = _rpgp.new_v6(user_id, now)
    now = max(now, int(time.time()))  # rpgp stamps its signatures with the system's clock
    try:
        identity = Identity(tsk, cert, _prove(tsk, cert, user_id, now), _sequoia.revocation(tsk))
        _prove_revocation(identity, now)
    except (CryptoError, _rpgp.LibraryRefused, _sequoia.LibraryRefused):
        raise BadKey("the key just made does not pass its own checks") from None
    return identity


def sign_detached(tsk: bytes, data: bytes) -> bytes:
    """A detached binary signature of `data` by the primary key of an unprotected secret key.

    Raises BadKey. Its counterpart is `cert.verify_signed_by`.
    """
    try:
        return _rpgp.SecretKey(tsk).sign(data)
    except _rpgp.LibraryRefused:
        raise BadKey("no secret key that can sign") from None


def _check_user_id(address: str, name: str) -> None:
    """One address and one name that read back as such from `name <address>`."""
    text = address + name
    if not text.isprintable() or any(c in '<>()"' for c in text) or " " in address:
        raise BadKey("a character that a user id cannot carry")
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or len(address.encode()) > MAX_ADDRESS:
        raise BadKey("not a mail address")
    if len(name.encode()) > MAX_NAME or name != name.strip():
        raise BadKey("not a usable name")


def _prove(tsk: bytes, cert: bytes, user_id: str, now: int) -> str:
    """The fingerprint of a key that works: both libraries read it, seal, open, sign and verify."""
    info = inspect_cert(cert, now)
    if info.forged or info.expires is not None or info.user_ids != (user_id,):
        raise BadKey("the certificate does not say what was asked")
    key = _rpgp.SecretKey(tsk)
    probe = seal.seal(b"probe", [gate.recipient(cert, now)])
    if key.decrypt(probe) != (b"probe", []):
        raise BadKey("the key does not open what is sealed to it")
    verify_signed_by(cert, b"probe", key.sign(b"probe"))
    return info.fingerprint


def _prove_revocation(identity: Identity, now: int) -> None:
    """The certificate with the revocation signature after its primary key is refused as revoked."""
    primary = packets.split(identity.cert, MAX_CERT_PACKETS)[0].raw
    revoked = primary + identity.revocation + identity.cert[len(primary) :]
    try:
        gate.recipient(revoked, now)
    except KeyRefused as refused:
        if refused.reason is Refusal.REVOKED:
            return
    raise BadKey("the revocation does not revoke")
