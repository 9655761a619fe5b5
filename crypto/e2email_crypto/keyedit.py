"""The life of a user's own OpenPGP key, on the client only. docs/specs/openpgp-keys.md.

Every edit keeps all packets octet for octet, adds new ones behind what they belong to, and is
proved before it is returned; else BadKey, and nothing has changed. Times are seconds since 1970.
"""

from dataclasses import dataclass, replace
from enum import Enum

from . import cert as certs
from . import (
    gate,
    identity,
    keyimport,
    keyproof,
    keytree,
    ownkey,
    packets,
    secretlock,
    secretpacket,
    selfsig,
)  # fmt: skip
from .cert import MAX_CERT_PACKETS, SubkeyState
from .errors import BadKey, BadMessage, KeyRefused, Refusal, SignatureInvalid, TooLarge
from .identity import Identity, Profile, new_identity, sign_detached, successor
from .keytree import (
    CERTIFICATION_REVOCATION,
    CERTIFICATIONS,
    DIRECT,
    FLAGS,
    KEY_LIFETIME,
    KEY_REVOCATION,
    REASON,
    SUBKEY_BINDING,
    SUBKEY_REVOCATION,
    Part,
)  # fmt: skip
from .ownkey import OwnKey
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

_MAX_TIME = 2**32 - 1
_ADDRESS_GONE = b"\x20"  # RFC 9580, 5.2.3.31
# Mail was or may be sealed to a subkey in these states.
_IN_USE = frozenset({
    SubkeyState.USABLE, SubkeyState.EXPIRED, SubkeyState.NOT_YET_VALID, SubkeyState.WEAK,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edited:
    """An edited key, binary: secret key and certificate."""

    tsk: bytes
    cert: bytes
    fingerprint: str

    def __repr__(self) -> str:
        return f"Edited({self.fingerprint}, …)"


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
    key = _live(tsk, now)
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
    return _proved(key, after)


def _encryption_subkey(signer: selfsig.Signer) -> Part:
    from . import _pgpy  # 150 ms and 21 MB: only when such a key is made

    (made,) = packets.split(_pgpy.cv25519(signer.created), 1)
    packet = packets.Packet(
        packets.SECRET_SUBKEY, packets.packet(packets.SECRET_SUBKEY, made.body), made.body
    )
    public = ownkey.published([Part(packet)])[0].packet
    bound = signer.over(SUBKEY_BINDING, of_key(public.body), [(FLAGS, keyproof.ENCRYPT)])
    return Part(packet, (bound,))


def extend(tsk: bytes, expires: int | None, now: int) -> Edited:
    """The key valid until `expires`, None for ever; an expired one, too.

    So are its subkeys that have not expired; where no encryption subkey has not, the newest of
    them. Raises BadKey, KeyRefused if the key is revoked.
    """
    key = ownkey.read(tsk, now)
    _not_revoked(key)
    if expires is not None and not now < expires <= _MAX_TIME:
        raise BadKey("not a time to come")
    if key.newest() >= now:  # of two signatures of one second, programs differ which decides
        raise BadKey("the key was signed this very second: wait for the next")
    signer, revived = key.signer(), _revived(key)
    parts = [
        mine.signed(*_renewed(key, part, signer, expires, revived))
        for mine, part in zip(key.parts, key.public, strict=True)
    ]
    after = key.changed(parts)
    if after.info.expires != expires:
        raise BadKey("the key does not expire when it was asked to")
    return _proved(key, after)


def _revived(key: OwnKey) -> set[str]:
    """Fingerprints of the subkeys that are to live as long as the key."""
    alive = {s.fingerprint for s in key.info.subkeys if s.expires is None or s.expires > key.now}
    if not any(s.state is SubkeyState.USABLE for s in key.info.subkeys):
        expired = [s for s in key.info.subkeys if s.state is SubkeyState.EXPIRED]
        alive |= {s.fingerprint for s in sorted(expired, key=lambda s: s.created)[-1:]}
    return alive


def _renewed(
    key: OwnKey, part: Part, signer: selfsig.Signer, expires: int | None, revived: set[str]
) -> list[packets.Packet]:
    """The newest signature that says how long a part lives, once more with another end."""
    own = [claims for _, claims in key.own(part)]
    if not own or own[-1].kind in keytree.REVOCATIONS:
        return []
    kinds, over, created = _lifetime_kinds(part), b"", key.info.created
    if part.is_user_id:
        over = of_user_id(part.packet.body)
    elif part.is_subkey:
        facts = packets.key_facts(part.packet.body)
        over, created = of_key(part.packet.body), facts.created
        if facts.fingerprint not in revived or any(c.kind == SUBKEY_REVOCATION for c in own):
            return []
    old = next((c for c in reversed(own) if c.kind in kinds), None)
    if old is None or (part.is_subkey and old.first(KEY_LIFETIME) is None):
        return []
    says = keytree.carried(old, KEY_LIFETIME)
    if expires is not None:
        says.append((KEY_LIFETIME, (expires - created).to_bytes(4)))
    return [signer.over(old.kind, over, says)]


def _lifetime_kinds(part: Part) -> range:
    if part.is_subkey:
        return range(SUBKEY_BINDING, SUBKEY_BINDING + 1)
    return CERTIFICATIONS if part.is_user_id else range(DIRECT, DIRECT + 1)


def add_address(tsk: bytes, address: str, name: str, now: int) -> Edited:
    """The key with another user id, `name <address>`.

    Raises BadKey if it is there, revoked or not, or unusable; KeyRefused if the key is.
    """
    key = _live(tsk, now)
    text = identity.user_id(address, name)
    if any(part.is_user_id and part.packet.body == text.encode() for part in key.parts):
        raise BadKey("the key has or had this user id")
    after = identity.with_user_id(key, text)
    if set(after.info.user_ids) != {*key.info.user_ids, text}:
        raise BadKey("the user id is not taken")
    return _proved(key, after)


def revoke_address(tsk: bytes, address: str, now: int) -> Edited:
    """The key with every user id of `address` revoked. One of another address must stay.

    Raises BadKey, KeyRefused if the key is expired or revoked.
    """
    key = _live(tsk, now)
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
    return _proved(key, after)


def revoke(tsk: bytes, reason: Reason, now: int) -> Edited:
    """The key revoked for ever; it opens mail as before.

    Raises BadKey, KeyRefused if it is revoked already.
    """
    key = ownkey.read(tsk, now)
    _not_revoked(key)
    made = identity.revocation(key, bytes([reason.value]))
    keyproof.revokes(key, made)
    primary, *rest = key.parts
    return _proved(key, key.changed([primary.signed(made), *rest]))


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


def export_secret(tsk: bytes, passphrase: str, now: int) -> bytes:
    """The secret key under a passphrase, binary, all signatures as they are.

    A version 4 key as gpg 2.2 and Thunderbird read it, a version 6 key as RFC 9580 programs do.
    What is written is read again before it is given out. Raises BadKey; ValueError without one.
    """
    if not passphrase:
        raise ValueError("no passphrase")
    key = ownkey.read(tsk, now)
    locked = keytree.raw(_locked(part, passphrase.encode()) for part in key.parts)
    again = packets.split(keyimport.read_secret(locked, passphrase, now).tsk, MAX_CERT_PACKETS)
    mine = packets.split(tsk, MAX_CERT_PACKETS)
    if [(p.tag, p.body) for p in again] != [(p.tag, p.body) for p in mine]:
        raise BadKey("the export does not give the same key back")
    return locked


def _locked(part: Part, passphrase: bytes) -> Part:
    if part.packet.tag not in secretpacket.SECRET_TAGS:
        return part
    packet = secretlock.lock(secretpacket.parse(part.packet), passphrase)
    body = packet.public + packet.rest
    return replace(part, packet=packets.Packet(packet.tag, packet.raw(), body))


def _live(tsk: bytes, now: int) -> OwnKey:
    key = ownkey.read(tsk, now)
    gate.judge_primary(key.info, now)
    return key


def _not_revoked(key: OwnKey) -> None:
    if key.info.revoked:
        raise KeyRefused(Refusal.REVOKED)


def _proved(before: OwnKey, after: OwnKey) -> Edited:
    if after.info.forged and not before.info.forged:
        raise BadKey("an edit that the libraries do not accept")
    keyproof.kept(before, after)
    keyproof.works(after)
    return Edited(after.tsk, after.cert, after.info.fingerprint)
