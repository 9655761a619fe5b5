"""New identities: `compat` keys (version 4, SEIPDv1) are read by every OpenPGP program, `modern`
ones (version 6, AEAD) by those that know RFC 9580. Each is proved before anybody sees it.
"""

import time
from dataclasses import dataclass
from typing import Literal

from . import _rpgp, gate, keyproof, keytree, ownkey, packets
from .errors import BadKey, CryptoError
from .keytree import KEY_REVOCATION, POSITIVE, PRIMARY_ID, REASON, Part
from .ownkey import OwnKey
from .selfsig import of_user_id

Profile = Literal["compat", "modern"]

MAX_ADDRESS = 254  # RFC 5321, 4.5.3.1.3
MAX_NAME = 200  # octets; user id and name stay one line of a mail header
NO_REASON = b"\0"  # RFC 9580, 5.2.3.31


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
    return _made([user_id(address, name)], now, profile)


def successor(tsk: bytes, now: int) -> Identity:
    """A new identity of the same profile and user ids, for a key that no subkey can be added to.

    Nothing in the new certificate names the old one: the account's key history tells that it
    follows. Raises BadKey for a key without a valid user id.
    """
    old = ownkey.read(tsk, now)
    if not old.info.user_ids:
        raise BadKey("a key without a valid user id")
    return _made(list(old.info.user_ids), now, "compat" if old.info.version == 4 else "modern")


def _made(user_ids: list[str], now: int, profile: Profile) -> Identity:
    try:
        tsk = _generated(user_ids[0], now, profile)
        # rpgp stamps its signatures with the system's clock
        key = ownkey.read(tsk, max(now, int(time.time())))
        for text in user_ids[1:]:
            key = with_user_id(key, text)
        return _proved(key, user_ids)
    except (CryptoError, _rpgp.LibraryRefused):
        raise BadKey("the key just made does not pass its own checks") from None


def _generated(text: str, now: int, profile: Profile) -> bytes:
    if profile == "modern":
        return _rpgp.new_v6(text, now)
    from . import _pgpy  # 150 ms and 21 MB: only when such a key is made

    return _pgpy.ed25519_cv25519(text, now)


def _proved(key: OwnKey, user_ids: list[str]) -> Identity:
    info = key.info
    if info.forged or info.expires is not None or list(info.user_ids) != user_ids:
        raise BadKey("the certificate does not say what was asked")
    keyproof.works(key)
    gate.recipient(key.cert, key.now)
    made = revocation(key)
    keyproof.revokes(key, made)
    return Identity(key.tsk, key.cert, info.fingerprint, made.raw)


def with_user_id(key: OwnKey, text: str) -> OwnKey:
    """The key with another user id, which says of the key what the newest one says.

    It stands behind the last user id. BadKey if no user id of the key is signed.
    """
    signed = [c for part in key.public if part.is_user_id for _, c in key.own(part)]
    newest = max(
        (c for c in signed if c.kind in keytree.CERTIFICATIONS),
        key=lambda c: c.created,
        default=None,
    )
    if newest is None:
        raise BadKey("a key without a signed user id")
    body = text.encode()
    says = keytree.carried(newest, PRIMARY_ID)
    signature = key.signer().over(POSITIVE, of_user_id(body), says)
    packet = packets.Packet(packets.USER_ID, packets.packet(packets.USER_ID, body), body)
    at = sum(not part.is_subkey for part in key.parts)
    return key.changed([*key.parts[:at], Part(packet, (signature,)), *key.parts[at:]])


def revocation(key: OwnKey, reason: bytes = NO_REASON) -> packets.Packet:
    """A revocation signature of the whole key; `reason` is a code octet and text."""
    return key.signer().over(KEY_REVOCATION, b"", [(REASON, reason)])


def sign_detached(tsk: bytes, data: bytes) -> bytes:
    """A detached binary signature of `data` by the primary key of an unprotected secret key.

    Raises BadKey. Its counterpart is `cert.verify_signed_by`.
    """
    try:
        return _rpgp.SecretKey(tsk).sign(data)
    except _rpgp.LibraryRefused:
        raise BadKey("no secret key that can sign") from None


def user_id(address: str, name: str) -> str:
    """`name <address>`; BadKey unless one address and one name read back as such from it."""
    text = address + name
    if not text.isprintable() or any(c in '<>()"' for c in text) or " " in address:
        raise BadKey("a character that a user id cannot carry")
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or len(address.encode()) > MAX_ADDRESS:
        raise BadKey("not a mail address")
    if len(name.encode()) > MAX_NAME or name != name.strip():
        raise BadKey("not a usable name")
    return f"{name} <{address}>" if name else f"<{address}>"
