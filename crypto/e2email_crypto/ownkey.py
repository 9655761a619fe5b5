"""A user's own secret key taken apart for an edit: its parts, its facts, its signer."""

from dataclasses import dataclass, field

from . import keytree, packets, secretpacket, selfsig
from .cert import CLOCK_SKEW, MAX_CERT, MAX_CERT_PACKETS, CertInfo, inspect_cert
from .errors import BadKey, BadMessage, KeyRefused, Refusal, TooLarge
from .keytree import Part

# Secret fields add at most twice the public ones (RSA: d, p, q, u beside n).
MAX_SECRET = 4 * MAX_CERT


@dataclass(frozen=True, slots=True)
class OwnKey:
    """An unprotected secret key, judged at `now`.

    `parts` hold the secret packets, `public` the same parts as they stand in the certificate.
    """

    parts: list[Part] = field(repr=False)
    public: list[Part]
    primary: secretpacket.SecretPacket
    info: CertInfo
    now: int

    @property
    def cert(self) -> bytes:
        return keytree.raw(self.public)

    @property
    def tsk(self) -> bytes:
        return keytree.raw(self.parts)

    def changed(self, parts: list[Part]) -> "OwnKey":
        """The same key with other parts, read and judged anew. Raises as `read`."""
        return read(keytree.raw(parts), self.now)

    def signer(self) -> selfsig.Signer:
        """One that signs as of `now`.

        Raises BadKey if there are signatures from the future: they would decide for ever.
        """
        if self.newest() > self.now + CLOCK_SKEW:
            raise BadKey("a signature from the future: a clock is or was wrong")
        return selfsig.Signer(self.primary, self.now)

    def newest(self) -> int:
        """When the primary key last signed anything of itself; 0 if never."""
        made = (claims.created for part in self.public for _, claims in self.own(part))
        return max(made, default=0)

    def own(self, part: Part) -> list[tuple[packets.Packet, keytree.Claims]]:
        """The primary key's own signatures of one of `public`, the newest last."""
        return keytree.own(self.public[0].packet, part)


def read(tsk: bytes, now: int) -> OwnKey:
    """An unprotected secret key, binary. Raises BadKey, KeyRefused(TOO_BIG, TOO_MANY_PACKETS)."""
    if len(tsk) > MAX_SECRET:
        raise KeyRefused(Refusal.TOO_BIG)
    try:
        found = packets.split(tsk, MAX_CERT_PACKETS)
    except TooLarge:
        raise KeyRefused(Refusal.TOO_MANY_PACKETS) from None
    except BadMessage:
        raise BadKey("not a secret key") from None
    if [p.tag for p in found[:1]] != [packets.SECRET_KEY]:
        raise BadKey("not a secret key")
    return taken_apart(keytree.parts(found), now)


def taken_apart(own: list[Part], now: int) -> OwnKey:
    """As `read`, of parts whose first is the secret primary key and whose number is bounded."""
    public = published(own)
    primary = secretpacket.parse(own[0].packet)
    return OwnKey(own, public, primary, inspect_cert(keytree.raw(public), now), now)


def published(own: list[Part]) -> list[Part]:
    """The parts as they stand in the certificate."""
    return [Part(secretpacket.public(part.packet), part.signatures) for part in own]
