"""A contact as the shared state spells it (docs/specs/contacts.md), and the rule of its section."""

import base64
from typing import Any

from e2email_client.contact import (
    Cause,
    Contact,
    Doubt,
    Event,
    Head,
    How,
    Judgement,
    Known,
    Pin,
    Sighting,
    Source,
    Standing,
    Verified,
)
from e2email_client.state_document import Entry


def encode(contact: Contact) -> dict[str, Any]:
    return {
        "certificates": {name: _known(one) for name, one in contact.known.items()},
        "doubt": _doubt(contact.doubt) if contact.doubt else None,
        "events": [[one.time, one.what, one.fingerprint] for one in contact.events],
        "pin": _pin(contact.pin) if contact.pin else None,
    }


def decode(address: str, value: Any) -> Contact:
    """Raises ValueError, TypeError, KeyError, AttributeError for anything else."""
    certificates, doubt, pin = value["certificates"], value["doubt"], value["pin"]
    return Contact(
        address,
        {name: _read_known(name, one) for name, one in certificates.items()},
        Pin(
            int(pin["decided"]),
            int(pin["time"]),
            How(pin["how"]),
            tuple(pin["fingerprints"]),
            _heads(pin["head"]),
        )
        if pin
        else None,
        Doubt(
            int(doubt["time"]),
            Cause(doubt["cause"]),
            Head(*doubt["head"]),
            tuple(doubt["fingerprints"]),
        )
        if doubt
        else None,
        tuple(Event(*one) for one in value["events"]),
    )


def join(one: Entry, other: Entry) -> Entry:
    """Of the section `contacts`. A contact is never removed: None knows nothing."""
    changed = max(one.changed, other.changed)
    if one.value is None or other.value is None:
        return Entry(changed, other.value if one.value is None else one.value)
    return Entry(changed, encode(decode("", one.value).join(decode("", other.value))))


def _known(one: Known) -> dict[str, Any]:
    return {
        "certificate": base64.b64encode(one.certificate).decode(),
        "judged": [one.judgement.time, one.judgement.standing.value],
        "seen": {source.value: [at.first, at.last] for source, at in one.sightings.items()},
        "verified": [one.verified.time, one.verified.how] if one.verified else None,
    }


def _read_known(fingerprint: str, value: Any) -> Known:
    judged, verified = value["judged"], value["verified"]
    return Known(
        fingerprint,
        base64.b64decode(value["certificate"], validate=True),
        {Source(source): Sighting(*at) for source, at in value["seen"].items()},
        Judgement(int(judged[0]), Standing(judged[1])),
        Verified(int(verified[0]), str(verified[1])) if verified else None,
    )


def _pin(pin: Pin) -> dict[str, Any]:
    return {
        "decided": pin.decided,
        "fingerprints": list(pin.fingerprints),
        "head": [_head(one) for one in pin.head],
        "how": pin.how.value,
        "time": pin.time,
    }


def _doubt(doubt: Doubt) -> dict[str, Any]:
    return {
        "cause": doubt.cause.value,
        "fingerprints": list(doubt.fingerprints),
        "head": _head(doubt.head),
        "time": doubt.time,
    }


def _head(head: Head) -> list[Any]:
    return [head.account, head.sequence, head.digest]


def _heads(value: Any) -> tuple[Head, ...]:
    return tuple(Head(*one) for one in value)
