"""What becomes of a contact when a key is seen or decided about. Pure: contact in, contact out.

docs/specs/contacts.md. The first usable key is pinned; a merged update is taken; another key never
takes the place of a pinned one by itself, unless a key history leads to it from there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from e2email_client.contact import (
    KNOWN_MAX,
    Cause,
    Contact,
    Doubt,
    Head,
    How,
    Known,
    Pin,
    Source,
    Standing,
    Verified,
)
from e2email_client.failure import LocalFault
from e2email_client.key_judging import NOT_THEIRS, SAID, Judged, merged, recipient, refusal
from e2email_crypto.errors import Refusal
from e2email_crypto.gate import Recipient

TOO_MANY: Final = "is not kept: too many keys are known for this address"


class Seen(StrEnum):
    """What became of what was offered."""

    PINNED = "pinned"  # the first one: trust on first use
    KNOWN = "known"  # nothing new
    UPDATED = "updated"  # new subkeys, a later expiry
    REVOKED = "revoked"  # of a known one: its owner says not to use it any more
    CHANGED = "changed"  # another one than is pinned: nothing is encrypted until it is decided
    FOLLOWED = "followed"  # another one, and the pinned one vouches for it
    REFUSED = "refused"  # it cannot be used; `said`
    OLD = "old"  # of a mail that is older than one whose key is known
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`said` continues a sentence that begins with the key. `fresh`: more than a date is new."""

    seen: Seen
    fingerprint: str = ""
    said: str = ""
    fresh: bool = True


Changed = tuple[Contact, Outcome]
DECIDED: Final = Outcome(Seen.DECIDED)
OLD: Final = Outcome(Seen.OLD, fresh=False)


class Why(StrEnum):
    """Why nothing is encrypted to somebody."""

    OWN = "own"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    HISTORY = "history"
    DISTRUSTED = "distrusted"
    KEY = "key"  # what is known cannot be used


@dataclass(frozen=True, slots=True)
class NoKey:
    why: Why
    said: str  # one sentence; it quotes nothing from outside


@dataclass(frozen=True, slots=True)
class Chain:
    """A verified key history of an account on this server, oldest entry first."""

    account: str
    digests: tuple[str, ...]  # lower-case hex
    named: tuple[frozenset[str], ...]  # fingerprints
    forced: frozenset[int]  # places, the first is 0, of entries that an administrator made

    @property
    def head(self) -> Head:
        return Head(self.account, len(self.digests), self.digests[-1])

    def forced_since(self, place: int) -> bool:
        return any(one > place for one in self.forced)


# what may be used


def candidates(contact: Contact, now: int) -> list[Known]:
    """Usable keys beside those that are pinned: it has to be decided which are right."""
    return [one for one in contact.others if refusal(one.certificate, now) is None]


def standing(contact: Contact, now: int) -> tuple[Recipient, ...] | NoKey:
    """What mail to this contact is encrypted to, or why nothing is."""
    name = contact.address
    if contact.pin is None:
        reasons = [refusal(one.certificate, now) for one in contact.known.values()]
        return NoKey(Why.KEY, _unusable(name, next((one for one in reasons if one), None)))
    if doubt := contact.open_doubt:
        return NoKey(Why.HISTORY, f"The key of {name} is in doubt: {HISTORY[doubt.cause]}. Decide.")
    if candidates(contact, now):
        return NoKey(Why.CHANGED, f"Another key was seen for {name}. Decide which one is right.")
    if not contact.pinned:
        return NoKey(Why.DISTRUSTED, f"You distrust every key that is known for {name}.")
    found = []
    for fingerprint in contact.pinned:
        one = recipient(fingerprint, contact.known[fingerprint].certificate, now)
        if isinstance(one, Refusal):
            return NoKey(Why.KEY, _unusable(name, one))
        found.append(one)
    return tuple(found)


HISTORY: Final = {
    Cause.FORCED: "the server's administrator replaced it, and no earlier key vouches for that",
    Cause.OTHER_PAST: "the server shows another key history than before",
    Cause.SHORTER: "the server shows an older key history than before",
    Cause.NOT_IN_IT: "the server's key history never had the key that is pinned",
}


def _unusable(name: str, why: Refusal | None) -> str:
    return f"The key of {name} {SAID[why]}." if why else f"No key is pinned for {name}."


# what is seen


def learn(contact: Contact, judged: Judged, source: Source, now: int) -> Changed:
    """A certificate that somebody or something gave for this address."""
    if source is Source.AUTOCRYPT and older(contact, now):
        return contact, OLD
    if judged.fingerprint in contact.known:
        return _again(contact, judged, source, now)
    if judged.fingerprint and judged.refusal is None and not judged.theirs:
        return contact, Outcome(Seen.REFUSED, judged.fingerprint, NOT_THEIRS, fresh=False)
    if not judged.theirs:
        assert judged.refusal is not None
        return contact, Outcome(Seen.REFUSED, judged.fingerprint, SAID[judged.refusal], fresh=False)
    if len(contact.known) >= KNOWN_MAX:
        return contact, Outcome(Seen.REFUSED, judged.fingerprint, TOO_MANY, fresh=False)
    one = Known(judged.fingerprint, judged.certificate, {}).seen(source, now)
    return _weighed(contact.put(one), one, judged.refusal, now, new=True)


def older(contact: Contact, date: int) -> bool:
    """Whether a mail is older than one whose key was looked at; it changes nothing then."""
    source = Source.AUTOCRYPT
    times = [
        one.sightings[source].last for one in contact.known.values() if source in one.sightings
    ]
    return date < max(times, default=0)


def _again(contact: Contact, judged: Judged, source: Source, now: int) -> Changed:
    before = contact.known[judged.fingerprint]
    one = replace(before, certificate=merged(before.certificate, judged.certificate))
    one = one.seen(source, now)
    contact = contact.put(one)
    if one.certificate == before.certificate:
        return _weighed(contact, one, refusal(one.certificate, now), now, new=False)
    seen = _news(before.certificate, one.certificate, now)
    if seen is Seen.REVOKED or one.fingerprint in contact.pinned:
        return contact.told(now, seen, one.fingerprint), Outcome(seen, one.fingerprint)
    contact, outcome = _weighed(contact, one, refusal(one.certificate, now), now, new=False)
    return contact, replace(outcome, fresh=True)


def _news(before: bytes, after: bytes, now: int) -> Seen:
    """What a certificate learned."""
    was, is_now = refusal(before, now), refusal(after, now)
    revoked = is_now is Refusal.REVOKED and was is not Refusal.REVOKED
    return Seen.REVOKED if revoked else Seen.UPDATED


def _weighed(contact: Contact, one: Known, why: Refusal | None, now: int, *, new: bool) -> Changed:
    """What a key that is in `contact` means beside those that are pinned."""
    name = one.fingerprint
    if name in contact.pinned or one.judgement.standing is not Standing.OPEN:
        return contact, Outcome(Seen.KNOWN, name, fresh=new)
    if why is not None:
        return contact, Outcome(Seen.REFUSED, name, SAID[why], fresh=new)
    if contact.pin is None:
        pin = Pin(0, contact.later(now), How.FIRST_USE, (name,))
        return replace(contact, pin=pin).told(now, Seen.PINNED, name), Outcome(Seen.PINNED, name)
    if new:
        contact = contact.told(now, Seen.CHANGED, name)
    return contact, Outcome(Seen.CHANGED, name, fresh=new)


# what the directory says


def follow(contact: Contact, chain: Chain, found: Collection[Judged], now: int) -> Changed:
    """A key history that verifies, and the certificates of its newest entry, whole."""
    fresh: Seen | None = None
    for judged in found:
        before = contact.known.get(judged.fingerprint)
        octets = merged(before.certificate, judged.certificate) if before else judged.certificate
        one = replace(before or Known(judged.fingerprint, octets, {}), certificate=octets)
        contact = contact.put(one.seen(Source.DIRECTORY, now))
        if before and before.certificate != octets:
            fresh = fresh or _news(before.certificate, octets, now)
    newest = tuple(sorted(chain.named[-1]))
    if contact.pin is None:
        pinned = _pinned(contact, How.FIRST_USE, newest, chain.head, now)
        return pinned.told(now, Seen.PINNED, newest[0]), Outcome(Seen.PINNED, newest[0])
    if contact.doubt and contact.doubt.head == chain.head != contact.head:
        seen = Seen.CHANGED if contact.open_doubt else Seen.KNOWN
        return contact, Outcome(seen, newest[0], HISTORY[contact.doubt.cause], fresh=False)
    cause = _doubtful(contact, chain)
    if cause is not None:
        doubt = Doubt(contact.later(now), cause, chain.head, newest)
        contact = replace(contact, doubt=doubt).told(now, Seen.CHANGED, newest[0])
        return contact, Outcome(Seen.CHANGED, newest[0], HISTORY[cause])
    if contact.pinned == newest:
        further = contact.head != chain.head
        contact = _headed(contact, chain.head)
        if fresh:
            contact = contact.told(now, fresh, newest[0])
        return contact, Outcome(fresh or Seen.KNOWN, newest[0], fresh=further or fresh is not None)
    moved = _pinned(contact, How.HISTORY, newest, chain.head, now)
    return moved.told(now, Seen.FOLLOWED, newest[0]), Outcome(Seen.FOLLOWED, newest[0])


def _headed(contact: Contact, head: Head) -> Contact:
    assert contact.pin is not None
    return replace(contact, pin=replace(contact.pin, head=(head,)))


def _doubtful(contact: Contact, chain: Chain) -> Cause | None:
    """What keeps a history from being a continuation of what is pinned."""
    head = contact.head
    if head is None:
        places = [at for at, names in enumerate(chain.named) if names & set(contact.pinned)]
        if not places:
            return Cause.NOT_IN_IT
        return Cause.FORCED if chain.forced_since(places[-1]) else None
    if head.account != chain.account:
        return Cause.OTHER_PAST
    if len(chain.digests) < head.sequence:
        return Cause.SHORTER
    if chain.digests[head.sequence - 1] != head.digest:
        return Cause.OTHER_PAST
    return Cause.FORCED if chain.forced_since(head.sequence - 1) else None


def _pinned(
    contact: Contact, how: How, fingerprints: tuple[str, ...], head: Head | None, now: int
) -> Contact:
    """These alone are pinned; what was before is replaced."""
    at = contact.later(now)
    gone = [one for one in contact.pinned if one not in fingerprints]
    contact = contact.judged(gone, Standing.REPLACED, at)
    contact = contact.judged(fingerprints, Standing.OPEN, at)
    before = contact.pin.decided if contact.pin else 0
    decided = at if how is How.DECIDED else before
    return replace(contact, pin=Pin(decided, at, how, fingerprints, (head,) if head else ()))


# what is decided


def accept(contact: Contact, now: int, fingerprint: str | None) -> Changed:
    """LocalFault: there is no other key, or there are several and none was named."""
    doubt = contact.open_doubt
    if doubt and fingerprint is None:
        chosen, head = doubt.fingerprints, doubt.head
    else:
        usable = [one.fingerprint for one in contact.known.values() if _free(contact, one, now)]
        if fingerprint is None:
            usable = [one.fingerprint for one in candidates(contact, now)]
        names = [one for one in usable if fingerprint in (None, one)]
        if not names:
            raise LocalFault("There is no such usable key to accept.")
        if len(names) > 1:
            raise LocalFault("There are several new keys: name one with --fingerprint.")
        chosen, head = (names[0],), None
    contact = _pinned(contact, How.DECIDED, tuple(chosen), head, now)
    others = [one.fingerprint for one in contact.others]
    contact = contact.judged(others, Standing.REFUSED, contact.later(now))
    return contact.told(now, "accepted", chosen[0]), DECIDED


def _free(contact: Contact, one: Known, now: int) -> bool:
    return one.fingerprint not in contact.pinned and refusal(one.certificate, now) is None


def keep(contact: Contact, now: int) -> Changed:
    """What is pinned goes on, what was offered is refused. LocalFault: nothing is pinned."""
    pin, at = contact.pin, contact.later(now)
    if pin is None or not pin.fingerprints:
        raise LocalFault("No key is pinned that could be kept.")
    contact = contact.judged([one.fingerprint for one in contact.others], Standing.REFUSED, at)
    contact = replace(contact, pin=replace(pin, decided=at, time=at, how=How.DECIDED))
    return contact.told(now, "kept", contact.pinned[0]), DECIDED


def distrust(contact: Contact, now: int) -> Changed:
    """Nothing is encrypted to this person until a key is accepted."""
    at = contact.later(now)
    contact = contact.judged(contact.known, Standing.REFUSED, at)
    pin = Pin(at, at, How.DISTRUSTED, ())
    return replace(contact, pin=pin).told(now, "distrusted", ""), DECIDED


def verify(contact: Contact, how: str, now: int) -> Changed:
    """What is pinned was compared with its owner. LocalFault: it is not clear which that is."""
    if isinstance(found := standing(contact, now), NoKey) and found.why is not Why.KEY:
        raise LocalFault(found.said)
    if not contact.pinned:
        raise LocalFault("No key is pinned that could be verified.")
    for name in contact.pinned:
        contact = contact.put(replace(contact.known[name], verified=Verified(now, how)))
    return contact.told(now, "verified", contact.pinned[0]), DECIDED
