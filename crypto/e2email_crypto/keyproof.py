"""The proof that every new or edited key passes before anybody sees it.

A library that makes a bad key, and a secret exchanged under its public part (KOpenPGP), end here:
every secret fits its public part, the primary key signs, every encryption subkey opens what is
sealed to it, whatever its state, by the libraries that will do so later.
"""

import time
from dataclasses import dataclass

from . import _rpgp, certmerge, gate, keytree, ownkey, packets, seal, secretpacket
from .cert import ENCRYPTING, verify_signed_by
from .errors import BadKey, KeyRefused, Refusal, SealFailed, SignatureInvalid
from .keytree import FLAGS, POSITIVE, SUBKEY_BINDING, Part
from .ownkey import OwnKey
from .selfsig import Signer, of_key, of_user_id

CERTIFY_SIGN, ENCRYPT = b"\x03", b"\x0c"  # RFC 9580, 5.2.3.29
_PROBE = b"probe"
LAST_ROOM = 1  # signatures that every key has room for: its revocation


@dataclass(frozen=True, slots=True)
class Edited:
    """An edited key, binary: secret key and certificate."""

    tsk: bytes
    cert: bytes
    fingerprint: str

    def __repr__(self) -> str:
        return f"Edited({self.fingerprint}, …)"


def works(key: OwnKey) -> None:
    """Raises BadKey unless every secret in it does what its public part says."""
    for part in key.parts:
        if (
            part.packet.tag in secretpacket.SECRET_TAGS
            and not secretpacket.parse(part.packet).fits()
        ):
            raise BadKey("a secret key that does not fit its public part")
    # pysequoia judges by the system's clock, as of when a signature was made: no later than that
    now = int(time.time())
    try:
        secret = _rpgp.SecretKey(key.tsk)
        signature = secret.sign(_PROBE)
        for part, mine in zip(key.public, key.parts, strict=True):
            if mine.packet.tag == packets.SECRET_SUBKEY and _encrypts(key, part):
                _opens(_probe_cert(key, part, now), secret, signature, now)
    except (_rpgp.LibraryRefused, SealFailed, SignatureInvalid):
        raise BadKey("a secret key that does not sign, or open what is sealed to it") from None


def _encrypts(key: OwnKey, part: Part) -> bool:
    facts = packets.key_facts(part.packet.body)
    bound = [c.first(FLAGS) or b"\0" for _, c in key.own(part) if c.kind == SUBKEY_BINDING]
    return facts.algorithm in ENCRYPTING and any(flags[0] & ENCRYPT[0] for flags in bound)


def _opens(probe: bytes, secret: _rpgp.SecretKey, signature: bytes, now: int) -> None:
    try:
        recipient = gate.recipient(probe, now)
    except KeyRefused as refused:
        if refused.reason is Refusal.WEAK:
            return  # mail is never sealed to it, whatever its state: that it fits must do
        raise BadKey("a key that nothing can be sealed to") from None
    if secret.decrypt(seal.seal(_PROBE, [recipient])) != (_PROBE, []):
        raise BadKey("a key that does not open what is sealed to it")
    verify_signed_by(probe, _PROBE, signature)


def _probe_cert(key: OwnKey, part: Part, now: int) -> bytes:
    """A certificate for this moment only, in which the subkey is neither expired nor revoked."""
    signer = Signer(key.primary, now)
    name = packets.Packet(packets.USER_ID, packets.packet(packets.USER_ID, _PROBE), _PROBE)
    says_self = [(FLAGS, CERTIFY_SIGN)]
    self_signed = Part(name).signed(signer.over(POSITIVE, of_user_id(_PROBE), says_self))
    bound = Part(part.packet).signed(
        signer.over(SUBKEY_BINDING, of_key(part.packet.body), [(FLAGS, ENCRYPT)])
    )
    return keytree.raw([Part(key.public[0].packet), self_signed, bound])


def kept(before: OwnKey, after: OwnKey) -> None:
    """Raises BadKey unless every packet from before is there, octet for octet and in order."""
    rest = iter([p.raw for part in after.parts for p in (part.packet, *part.signatures)])
    old = [p.raw for part in before.parts for p in (part.packet, *part.signatures)]
    if not all(raw in rest for raw in old):
        raise BadKey("an edit that lost or changed a packet")


def revokes(key: OwnKey, revocation: packets.Packet) -> None:
    """Raises BadKey unless the certificate with this signature is refused as revoked."""
    primary, *rest = key.public
    try:
        gate.recipient(keytree.raw([primary.signed(revocation), *rest]), key.now)
    except KeyRefused as refused:
        if refused.reason is Refusal.REVOKED:
            return
    raise BadKey("the revocation does not revoke")


def live(tsk: bytes, now: int) -> OwnKey:
    """A key that an edit may build on; KeyRefused with what is wrong of it as a whole."""
    key = ownkey.read(tsk, now)
    gate.judge_primary(key.info, now)
    return key


def not_revoked(key: OwnKey) -> None:
    """Raises KeyRefused for a key that no edit makes good again."""
    if key.info.revoked:
        raise KeyRefused(Refusal.REVOKED)


def proved(before: OwnKey, after: OwnKey, room: int = LAST_ROOM) -> Edited:
    """The edited key; BadKey unless it has all that it had, and works.

    KeyRefused(TOO_BIG, TOO_MANY_PACKETS) where it could not be revoked any more.
    """
    if refusal := certmerge.too_large(after.public, room):
        raise KeyRefused(refusal)
    if after.info.forged and not before.info.forged:
        raise BadKey("an edit that the libraries do not accept")
    kept(before, after)
    works(after)
    return Edited(after.tsk, after.cert, after.info.fingerprint)
