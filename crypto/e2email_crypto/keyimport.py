"""Taking over an existing OpenPGP secret key: exports of gpg, Thunderbird, sq.

What comes out has no passphrase (the vault protects it) and is proved: each secret fits its public
part, the primary key signs, every encryption subkey opens, expired and revoked ones too.
"""

from dataclasses import dataclass, field, replace

from . import armor, certmerge, gate, identity, keyproof, keytree, ownkey, packets, secretlock
from . import secretpacket as secrets
from .cert import Subkey, SubkeyState, inspect_cert
from .errors import (
    BadArmor,
    BadKey,
    BadMessage,
    Damaged,
    KdfRefused,
    KeyRefused,
    Refusal,
    SecretError,
    SecretMissing,
    TooLarge,
    WrongSecret,
)  # fmt: skip
from .identity import Profile
from .keytree import Part

MAX_FILE = 1024 * 1024  # octets; a key that hundreds have certified has some hundred KiB
MAX_PACKETS = 2000  # what is above the caps of a certificate is left out, never read by a library
EDITS_ROOM = 24  # signatures: a rotation and an extension a year for some years

_BEGIN, _END = (b"-----%s PGP PRIVATE KEY BLOCK-----" % edge for edge in (b"BEGIN", b"END"))
_KIND = b"PRIVATE KEY BLOCK"
_TAGS = frozenset({
    packets.SECRET_KEY, packets.SECRET_SUBKEY, packets.PUBLIC_SUBKEY, packets.USER_ID,
    packets.USER_ATTRIBUTE, packets.SIGNATURE, packets.TRUST, packets.MARKER, packets.PADDING,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imported:
    """An unprotected secret key that works, and what is to be known before it is used.

    `refusal` is why nobody seals mail to it as it is, None if they do: an expired one can be
    extended, a revoked one reads old mail only. `revocation` is made now, for the vault.
    """

    tsk: bytes = field(repr=False)
    cert: bytes = field(repr=False)
    fingerprint: str
    user_ids: tuple[str, ...]
    subkeys: tuple[Subkey, ...]
    profile: Profile
    created: int
    expires: int | None
    refusal: Refusal | None
    revocation: bytes = field(repr=False)


def read_secret(data: bytes, passphrase: str | None, now: int) -> Imported:
    """The one secret key of a file, armored or binary, judged at `now` (seconds since 1970).

    Raises PassphraseNeeded, WrongSecret (the passphrase), Damaged, SecretMissing (the primary key
    or an encryption subkey is not here), KdfRefused, KeyRefused for a key that is too big, weak,
    forged or from the future, BadKey for anything else.
    """
    octets = _octets(data)
    own = _within_caps(keytree.parts(_packets(octets)))
    public = keytree.raw(ownkey.published(own))
    spare = _judge(public, now)
    secret = None if passphrase is None else _typed(passphrase)
    locked = [secrets.parse(p.packet) for p in own if p.packet.tag in secrets.SECRET_TAGS]
    if secret is not None and sum(map(secretlock.work, locked)) > secretlock.MAX_ARGON2_WORK:
        raise KdfRefused("the key derivations of the secret key ask for too much together")
    opened = [_opened(part, secret, spare) for part in own]
    if None in opened:
        raise _why_not(own, opened, octets, data)
    key = ownkey.taken_apart([part for part in opened if part], now)
    keyproof.works(key)
    return _imported(key)


def _typed(passphrase: str) -> bytes:
    try:
        return passphrase.encode()
    except UnicodeEncodeError:  # it quotes what it could not encode
        raise WrongSecret("not a passphrase: octets that are no text") from None


def _octets(data: bytes) -> bytes:
    """Binary octets; of text the private block, beside which Thunderbird may write a public one."""
    if len(data) > MAX_FILE:
        raise KeyRefused(Refusal.TOO_BIG)
    if data[:1] and data[0] & 0x80:
        return data
    try:
        return armor.dearmor(_block(data), _KIND, MAX_FILE)
    except (BadArmor, TooLarge):
        raise BadKey("not an armored secret key") from None


def _block(data: bytes) -> bytes:
    start, end = data.find(_BEGIN), data.rfind(_END)
    if start < 0 or end < start:
        raise BadKey("no secret key: a public key, or another kind of file")
    if data.count(_BEGIN) > 1:
        raise BadKey("several secret keys: one at a time")
    return data[start : end + len(_END)]


def _packets(octets: bytes) -> list[packets.Packet]:
    try:
        found = packets.split(octets, MAX_PACKETS)
    except TooLarge:
        raise KeyRefused(Refusal.TOO_MANY_PACKETS) from None
    except BadMessage:
        raise BadKey("not a secret key") from None
    tags = [p.tag for p in found]
    if tags.count(packets.SECRET_KEY) > 1:
        raise BadKey("several secret keys: one at a time")
    if tags[:1] == [packets.PUBLIC_KEY]:
        raise BadKey("a public key without its secret key")
    if tags[:1] != [packets.SECRET_KEY] or not _TAGS.issuperset(tags):
        raise BadKey("not a secret key")
    return found


def _within_caps(own: list[Part]) -> list[Part]:
    """Without what others certified, and photographs, where it would leave no room for edits."""
    public = ownkey.published(own)
    roomy = certmerge.too_large(public, EDITS_ROOM) is None
    kept = certmerge.fitting(public if roomy else certmerge.own_tree(public), keyproof.LAST_ROOM)
    if kept is public:
        return own
    secret = {p.packet.raw: mine.packet for p, mine in zip(public, own, strict=True)}
    return [replace(part, packet=secret[part.packet.raw]) for part in kept]


def _judge(public: bytes, now: int) -> frozenset[str]:
    """Fingerprints of subkeys that never encrypt, before the passphrase is tried.

    KeyRefused for what cannot be used, nor made usable.
    """
    info = inspect_cert(public, now)
    try:
        gate.judge_primary(info, now)
    except KeyRefused as refused:
        if refused.reason not in (Refusal.EXPIRED, Refusal.REVOKED):
            raise
    if any(s.state is SubkeyState.UNBOUND for s in info.subkeys):
        raise KeyRefused(Refusal.FORGED_BINDING)  # its mail would be sealed to another key
    spare = (s for s in info.subkeys if s.state is SubkeyState.NOT_FOR_ENCRYPTION)
    return frozenset(s.fingerprint for s in spare)


def _opened(part: Part, passphrase: bytes | None, spare: frozenset[str]) -> Part | None:
    """The part without passphrase; None if this one does not open it.

    Subkeys for signing and authentication whose secret is elsewhere stay as public ones.
    """
    if part.packet.tag not in secrets.SECRET_TAGS:
        return part
    packet = secrets.parse(part.packet)
    try:
        plain = secretlock.unlock(packet, passphrase)
    except WrongSecret:
        return None
    except SecretMissing:
        if packets.key_facts(packet.public).fingerprint not in spare:
            raise
        return replace(part, packet=secrets.public(part.packet))
    if plain is packet:
        return part
    return replace(part, packet=packets.Packet(packet.tag, plain.raw(), plain.public + plain.rest))


def _why_not(own: list[Part], opened: list[Part | None], octets: bytes, data: bytes) -> SecretError:
    """A wrong passphrase opens nothing. Octets that were changed look the same in one key."""
    unlocked = [plain for part, plain in zip(own, opened, strict=True) if _was_locked(part)]
    if any(plain and plain.packet.tag in secrets.SECRET_TAGS for plain in unlocked):
        return Damaged("a part of the secret key does not open with the passphrase of the others")
    if data is not octets and armor.disagrees(_block(data), octets):
        return Damaged("the file was changed or damaged: its checksum does not fit")
    return WrongSecret("not the passphrase of this key")


def _was_locked(part: Part) -> bool:
    tagged = part.packet.tag in secrets.SECRET_TAGS
    return tagged and secrets.parse(part.packet).usage != secrets.UNPROTECTED


def _imported(key: ownkey.OwnKey) -> Imported:
    refusal = None
    try:
        gate.recipient(key.cert, key.now)
    except KeyRefused as refused:
        refusal = refused.reason
    info = key.info
    return Imported(
        tsk=key.tsk,
        cert=key.cert,
        fingerprint=info.fingerprint,
        user_ids=info.user_ids,
        subkeys=info.subkeys,
        profile="compat" if info.version == 4 else "modern",
        created=info.created,
        expires=info.expires,
        refusal=refusal,
        revocation=identity.revocation(key).raw,
    )
