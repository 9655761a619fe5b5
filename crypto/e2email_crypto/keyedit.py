"""The life of a user's own OpenPGP key, on the client only. docs/specs/openpgp-keys.md.

Every edit keeps all packets octet for octet, adds new ones behind what they belong to, and is
proved before it is returned; else BadKey, and nothing has changed. Times are seconds since 1970.
"""

from enum import Enum

from . import cert as certs
from . import (
    gate,
    identity,
    keyproof,
    keytree,
    ownkey,
    packets,
    selfsig,
)  # fmt: skip
from .cert import SubkeyState
from .errors import BadKey, BadMessage, SignatureInvalid, TooLarge
from .identity import Identity, Profile, new_identity, sign_detached, successor
from .keyexport import export_secret
from .keyextend import extend
from .keyproof import Edited
from .keytree import (
    CERTIFICATION_REVOCATION,
    FLAGS,
    KEY_REVOCATION,
    REASON,
    SUBKEY_BINDING,
    SUBKEY_REVOCATION,
    Part,
)  # fmt: skip
from .selfsig import of_key, of_user_id

__all__ = [
    "Edited",
    "Identity",
    "Profile",
    "Reason",
    "add_address",
    "apply_revocation",
    "export_secret",
    "extend",
    "new_identity",
    "revoke",
    "revoke_address",
    "rotate_encryption",
    "sign_detached",
    "successor",
]

_ADDRESS_GONE = b"\x20"  # RFC 9580, 5.2.3.31
# Mail was or may be sealed to a subkey in these states.
_IN_USE = frozenset({
    SubkeyState.USABLE, SubkeyState.EXPIRED, SubkeyState.NOT_YET_VALID, SubkeyState.WEAK,
})  # fmt: skip


class Reason(Enum):
    """Why a key is revoked: the octet of RFC 9580, 5.2.3.31."""

    UNSPECIFIED = 0
    SUPERSEDED = 1
    COMPROMISED = 2
    RETIRED = 3


def rotate_encryption(tsk: bytes, now: int, *, compromised: bool = False) -> Edited:
    """A new Cv25519 subkey for mail to come; all others that encrypt are revoked, and kept.

    As superseded, or as `compromised`. For version 4 keys; a modern one has a `successor`. Raises
    BadKey, KeyRefused if the key as a whole is expired or revoked.
    """
    key = keyproof.live(tsk, now)
    if key.info.version != 4:
        raise BadKey("a version 6 key is not rotated: it gets a successor")
    signer, old = key.signer(), {s.fingerprint for s in key.info.subkeys if s.state in _IN_USE}
    reason = Reason.COMPROMISED if compromised else Reason.SUPERSEDED
    says = [(REASON, bytes([reason.value]))]
    parts = [
        mine.signed(signer.over(SUBKEY_REVOCATION, of_key(part.packet.body), says))
        if part.is_subkey and packets.key_facts(part.packet.body).fingerprint in old
        else mine
        for mine, part in zip(key.parts, key.public, strict=True)
    ]
    after = key.changed([*parts, _encryption_subkey(signer)])
    usable = [s.key_id for s in after.info.subkeys if s.state is SubkeyState.USABLE]
    if gate.recipient(after.cert, now).key_ids != set(usable[-1:]) or len(usable) != 1:
        raise BadKey("the rotated key is not sealed to its new subkey alone")
    return keyproof.proved(key, after)


def _encryption_subkey(signer: selfsig.Signer) -> Part:
    from . import _pgpy  # 150 ms and 21 MB: only when such a key is made

    (made,) = packets.split(_pgpy.cv25519(signer.created), 1)
    packet = packets.Packet(
        packets.SECRET_SUBKEY, packets.packet(packets.SECRET_SUBKEY, made.body), made.body
    )
    public = ownkey.published([Part(packet)])[0].packet
    bound = signer.over(SUBKEY_BINDING, of_key(public.body), [(FLAGS, keyproof.ENCRYPT)])
    return Part(packet, (bound,))


def add_address(tsk: bytes, address: str, name: str, now: int) -> Edited:
    """The key with another user id, `name <address>`.

    Raises BadKey if it is there, revoked or not, or unusable; KeyRefused if the key is.
    """
    key = keyproof.live(tsk, now)
    text = identity.user_id(address, name)
    if any(part.is_user_id and part.packet.body == text.encode() for part in key.parts):
        raise BadKey("the key has or had this user id")
    after = identity.with_user_id(key, text)
    if set(after.info.user_ids) != {*key.info.user_ids, text}:
        raise BadKey("the user id is not taken")
    return keyproof.proved(key, after)


def revoke_address(tsk: bytes, address: str, now: int) -> Edited:
    """The key with every user id of `address` revoked. One of another address must stay.

    Raises BadKey, KeyRefused if the key is expired or revoked.
    """
    key = keyproof.live(tsk, now)
    gone = {text for text in key.info.user_ids if certs.names(text, address)}
    if not gone:
        raise BadKey("the key has no user id of this address")
    if gone == set(key.info.user_ids):
        raise BadKey("the last address of a key: revoke the key")
    signer = key.signer()
    says = [(REASON, _ADDRESS_GONE)]
    parts = [
        part.signed(signer.over(CERTIFICATION_REVOCATION, of_user_id(part.packet.body), says))
        if part.is_user_id and part.packet.body.decode(errors="replace") in gone
        else part
        for part in key.parts
    ]
    after = key.changed(parts)
    if set(after.info.user_ids) != set(key.info.user_ids) - gone:
        raise BadKey("the user id is not revoked")
    return keyproof.proved(key, after)


def revoke(tsk: bytes, reason: Reason, now: int) -> Edited:
    """The key revoked for ever; it opens mail as before.

    Raises BadKey, KeyRefused if it is revoked already.
    """
    key = ownkey.read(tsk, now)
    keyproof.not_revoked(key)
    made = identity.revocation(key, bytes([reason.value]))
    keyproof.revokes(key, made)
    primary, *rest = key.parts
    return keyproof.proved(key, key.changed([primary.signed(made), *rest]), room=0)


def apply_revocation(cert: bytes, revocation: bytes) -> bytes:
    """The certificate with a revocation signature of its key, as made at birth or by a program.

    Raises KeyRefused if the certificate cannot be read, SignatureInvalid if the signature is no
    revocation by its primary key.
    """
    primary, *rest = keytree.parts(certs.read_packets(cert))
    try:
        (made,) = packets.split(revocation, 1)
    except (BadMessage, TooLarge, ValueError):
        raise SignatureInvalid("not one revocation signature") from None
    own = keytree.own(primary.packet, Part(primary.packet, (made,)))
    if [claims.kind for _, claims in own] != [KEY_REVOCATION]:
        raise SignatureInvalid("not a revocation of this key")
    if made.raw in [s.raw for s in primary.signatures]:
        return cert
    return keytree.raw([primary.signed(made), *rest])
