"""How long a key lives: the newest signature that says so, once more with another end."""

from . import keyproof, keytree, ownkey, packets, selfsig
from .cert import SubkeyState
from .errors import BadKey
from .keyproof import Edited
from .keytree import CERTIFICATIONS, DIRECT, KEY_LIFETIME, SUBKEY_BINDING, SUBKEY_REVOCATION, Part
from .ownkey import OwnKey
from .selfsig import of_key, of_user_id

_MAX_TIME = 2**32 - 1  # RFC 9580, 3.5


def extend(tsk: bytes, expires: int | None, now: int) -> Edited:
    """The key valid until `expires`, None for ever; an expired one, too.

    So are its subkeys that have not expired; where no encryption subkey has not, the newest of
    them. Raises BadKey, KeyRefused if the key is revoked.
    """
    key = ownkey.read(tsk, now)
    keyproof.not_revoked(key)
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
    return keyproof.proved(key, after)


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
