"""A contact for people and for scripts; text from outside is cleaned on its way to people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from typing import Any, Final

from e2email_client import clean, verification
from e2email_client.contact import Contact, Known, Source, Standing
from e2email_client.contact_rules import NoKey, candidates, standing
from e2email_client.key_judging import SAID, refusal
from e2email_crypto import cert

USABLE: Final = "usable"
_FROM: Final = {
    Source.FILE: "a file",
    Source.AUTOCRYPT: "received mail",
    Source.WKD: "the web key directory",
    Source.DIRECTORY: "the server's directory",
}
_PINNED: Final = {
    "first-use": "pinned at first use",
    "decided": "pinned by your decision",
    "history": "followed from the key before it",
    "distrusted": "distrusted by you",
}


def as_json(contact: Contact, mine: Collection[str], now: int) -> dict[str, Any]:
    """The form of docs/specs/cli.md. `mine`: fingerprints of one's own account."""
    found = standing(contact, now)
    pin, doubt = contact.pin, contact.open_doubt
    return {
        "address": contact.address,
        "state": found.why.value if isinstance(found, NoKey) else USABLE,
        "said": found.said if isinstance(found, NoKey) else None,
        "pinned": list(contact.pinned),
        "how": pin.how.value if pin else None,
        "since": pin.time if pin else None,
        "history": doubt.cause.value if doubt else None,
        "words": list(verification.both(mine, contact.pinned)) if contact.pinned else None,
        "keys": [_key(contact, one, mine, now) for one in contact.known.values()],
        "events": [
            {"time": one.time, "what": one.what, "fingerprint": one.fingerprint}
            for one in contact.events
        ],
    }


def _key(contact: Contact, one: Known, mine: Collection[str], now: int) -> dict[str, Any]:
    info, why = cert.inspect_cert(one.certificate, now), refusal(one.certificate, now)
    new = one.fingerprint in {known.fingerprint for known in candidates(contact, now)}
    return {
        "fingerprint": one.fingerprint,
        "state": _state(contact, one, new=new),
        "user_ids": list(info.user_ids),
        "created": info.created,
        "expires": info.expires,
        "unusable": why.value if why else None,
        "words": list(verification.both(mine, [one.fingerprint])),
        "seen": {
            source.value: {"first": at.first, "last": at.last}
            for source, at in one.sightings.items()
        },
        "verified": {"time": one.verified.time, "how": one.verified.how} if one.verified else None,
    }


def _state(contact: Contact, one: Known, *, new: bool) -> str:
    if one.fingerprint in contact.pinned:
        return "pinned"
    if new:
        return "new"
    return "seen" if one.judgement.standing is Standing.OPEN else one.judgement.standing.value


def row(shown: dict[str, Any]) -> str:
    """One line of a list."""
    verified = any(one["verified"] for one in shown["keys"] if one["state"] == "pinned")
    state = ("verified" if verified else "first use") if shown["state"] == USABLE else "NO KEY"
    tail = shown["said"] or " ".join(map(spaced, shown["pinned"]))
    return f"{clean.line(shown['address'], 60):<32} {state:<10} {tail}"


def lines(shown: dict[str, Any]) -> Iterator[str]:
    """All that is known, over several lines."""
    yield clean.line(shown["address"])
    if shown["said"]:
        yield f"NOTHING IS ENCRYPTED: {shown['said']}"
    if shown["how"]:
        yield f"{_PINNED[shown['how']]}, {_day(shown['since'])}"
    for one in sorted(shown["keys"], key=lambda key: _ORDER.index(key["state"])):
        yield ""
        yield from _key_lines(one)
    if shown["words"]:
        yield ""
        yield from word_lines(shown["words"])


_ORDER: Final = ("pinned", "new", "seen", "replaced", "refused")


def _key_lines(one: dict[str, Any]) -> Iterator[str]:
    yield f"{one['state'].upper():<9} {spaced(one['fingerprint'])}"
    for name in one["user_ids"]:
        yield f"          {clean.line(name, 200)}"
    until = f", expires {_day(one['expires'])}" if one["expires"] else ""
    yield f"          made {_day(one['created'])}{until}"
    if one["unusable"]:
        yield f"          this key {SAID[one['unusable']]}"
    for source, at in one["seen"].items():
        dates = sorted({_day(at["first"]), _day(at["last"])})
        yield f"          seen in {_FROM[Source(source)]}, {' to '.join(dates)}"
    if one["state"] == "new":
        yield f"          its words: {' '.join(one['words'])}"
    if one["verified"]:
        yield f"          verified by {one['verified']['how']}, {_day(one['verified']['time'])}"


def word_lines(words: list[str]) -> Iterator[str]:
    """To be read aloud and compared."""
    yield "Words to compare with what the other person's program shows:"
    for at in range(0, len(words), 4):
        yield "    " + "  ".join(f"{word:<8}" for word in words[at : at + 4]).rstrip()


def spaced(fingerprint: str) -> str:
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))


def _day(seconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d}"
