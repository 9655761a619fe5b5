"""One contact: every certificate ever seen for an address, which of them is pinned, and why.

Pure. Two devices' knowledge of a contact is joined so that order and repetition make no difference
(docs/specs/contacts.md); how it is spelled is contact_form.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import takewhile
from typing import Final, TypeVar

from e2email_crypto import packets
from e2email_crypto.cert import MAX_CERT, MAX_CERT_PACKETS
from e2email_crypto.errors import BadMessage, TooLarge

# Of one contact: a person with a key a year and a few mistakes; what comes beyond is not kept.
KNOWN_MAX: Final = 16
EVENTS_MAX: Final = 50
KEY_REVOCATION: Final = b"\x20"  # RFC 9580, 5.2.1: type of a signature


class Source(StrEnum):
    """Where a certificate came from."""

    FILE = "file"
    AUTOCRYPT = "autocrypt"
    WKD = "wkd"
    DIRECTORY = "directory"


class Standing(StrEnum):
    """What was decided of a certificate that is not pinned."""

    OPEN = "open"
    REFUSED = "refused"
    REPLACED = "replaced"


class How(StrEnum):
    """Why the pinned ones are pinned."""

    FIRST_USE = "first-use"
    DECIDED = "decided"
    HISTORY = "history"  # the key history leads to them from those that were pinned
    DISTRUSTED = "distrusted"  # none is


class Cause(StrEnum):
    """What is wrong with a key history."""

    FORCED = "forced"
    OTHER_PAST = "other-past"
    SHORTER = "shorter"
    NOT_IN_IT = "not-in-it"


@dataclass(frozen=True, slots=True, order=True)
class Sighting:
    """Seconds since 1970."""

    first: int
    last: int

    def join(self, other: "Sighting") -> "Sighting":
        return Sighting(min(self.first, other.first), max(self.last, other.last))


@dataclass(frozen=True, slots=True, order=True)
class Judgement:
    time: int
    standing: Standing


@dataclass(frozen=True, slots=True, order=True)
class Verified:
    time: int
    how: str  # "words", "qr"


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate that was seen; `certificate` is binary."""

    fingerprint: str
    certificate: bytes = field(repr=False)
    sightings: Mapping[Source, Sighting]
    judgement: Judgement = Judgement(0, Standing.OPEN)
    verified: Verified | None = None

    @property
    def first(self) -> int:
        return min(one.first for one in self.sightings.values())

    @property
    def last(self) -> int:
        return max(one.last for one in self.sightings.values())

    def seen(self, source: Source, time: int) -> "Known":
        now = Sighting(time, time)
        before = self.sightings.get(source, now)
        return replace(self, sightings={**self.sightings, source: before.join(now)})

    def join(self, other: "Known") -> "Known":
        return Known(
            self.fingerprint,
            union(self.certificate, other.certificate),
            _joined(self.sightings, other.sightings, Sighting.join),
            max(self.judgement, other.judgement),
            _latest(self.verified, other.verified),
        )


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """An entry of the key history of an account on this server."""

    account: str
    sequence: int
    digest: str  # lower-case hex


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """`decided`: when somebody last decided, 0 where nobody has. Of two devices' pins the one of
    the later decision counts: what a rule pinned since, on a device that had not heard of the
    decision, does not undo it."""

    decided: int
    time: int
    how: How
    fingerprints: tuple[str, ...]
    head: tuple[Head, ...] = ()  # one or none


@dataclass(frozen=True, slots=True, order=True)
class Doubt:
    """A key history that does not continue the pinned one. It counts until the next decision."""

    time: int
    cause: Cause
    head: Head
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that was told to the user."""

    time: int
    what: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Contact:
    address: str
    known: Mapping[str, Known] = field(default_factory=dict)
    pin: Pin | None = None
    doubt: Doubt | None = None
    events: tuple[Event, ...] = ()

    @property
    def pinned(self) -> tuple[str, ...]:
        return self.pin.fingerprints if self.pin else ()

    @property
    def head(self) -> Head | None:
        return self.pin.head[0] if self.pin and self.pin.head else None

    @property
    def open_doubt(self) -> Doubt | None:
        decided = self.pin.time if self.pin else -1
        return self.doubt if self.doubt and self.doubt.time > decided else None

    @property
    def others(self) -> list[Known]:
        """Not pinned, and nothing was decided of them."""
        return [
            one
            for one in self.known.values()
            if one.fingerprint not in self.pinned and one.judgement.standing is Standing.OPEN
        ]

    def later(self, now: int) -> int:
        """A time after everything that was decided, whatever the clock says."""
        times = [one.judgement.time for one in self.known.values()]
        times += [self.pin.time if self.pin else 0, self.doubt.time if self.doubt else 0]
        return max(now, max(times) + 1)

    def put(self, one: Known) -> "Contact":
        return replace(self, known={**self.known, one.fingerprint: one})

    def judged(self, fingerprints: Iterable[str], standing: Standing, time: int) -> "Contact":
        known = dict(self.known)
        for name in fingerprints:
            known[name] = replace(known[name], judgement=Judgement(time, standing))
        return replace(self, known=known)

    def told(self, time: int, what: str, fingerprint: str) -> "Contact":
        # in the order in which they were told, also those of one second
        at = max([time, *(one.time + 1 for one in self.events)])
        return replace(self, events=_newest((*self.events, Event(at, what, fingerprint))))

    def join(self, other: "Contact") -> "Contact":
        """What both devices know."""
        return Contact(
            self.address,
            _joined(self.known, other.known, Known.join),
            _latest(self.pin, other.pin),
            _latest(self.doubt, other.doubt),
            _newest((*self.events, *other.events)),
        )


def union(one: bytes, other: bytes) -> bytes:
    """All packets of two copies of a certificate, in one order whichever comes first.

    Two devices merge different news into their copies; what one has learned (a revocation) must
    not be lost to the other. What is above the caps cannot be read: then one copy stays, rather the
    one that is revoked, rather the longer one.
    """
    if one == other:
        return one
    try:
        parts: dict[tuple[int, bytes], set[bytes]] = {}
        for certificate in (one, other):
            at = -1, b""
            for packet in packets.split(certificate, MAX_CERT_PACKETS):
                if packet.tag == packets.SIGNATURE:
                    parts[at].add(packet.raw)
                else:
                    at = _ORDER.get(packet.tag, len(_ORDER)), packet.raw
                    parts.setdefault(at, set())
    except (BadMessage, TooLarge, KeyError):
        return _rather(one, other)
    both = b"".join(
        part + b"".join(sorted(signatures)) for (_, part), signatures in sorted(parts.items())
    )
    count = sum(1 + len(signatures) for signatures in parts.values())
    return _rather(one, other) if count > MAX_CERT_PACKETS or len(both) > MAX_CERT else both


def _rather(one: bytes, other: bytes) -> bytes:
    return max(one, other, key=lambda octets: (_is_revoked(octets), len(octets), octets))


def _is_revoked(certificate: bytes) -> bool:
    """Whether it says so; a claim that does not verify stops nothing where keys are judged."""
    try:
        found = packets.split(certificate, MAX_CERT_PACKETS)
    except (BadMessage, TooLarge):
        return False
    own = takewhile(lambda packet: packet.tag == packets.SIGNATURE, found[1:])
    return any(packet.body[1:2] == KEY_REVOCATION for packet in own)


_ORDER: Final = {
    tag: at
    for at, tag in enumerate(
        (packets.PUBLIC_KEY, packets.USER_ID, packets.USER_ATTRIBUTE, packets.PUBLIC_SUBKEY)
    )
}

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T", Verified, Pin, Doubt)


def _joined(one: Mapping[K, V], other: Mapping[K, V], join: Callable[[V, V], V]) -> dict[K, V]:
    both = dict(one)
    for key, value in other.items():
        both[key] = join(both[key], value) if key in both else value
    return both


def _latest(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _newest(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(set(events))[-EVENTS_MAX:])
