"""Writes the missing vectors beside it: `PYTHONPATH=tests python tests/vectors/state/make.py`."""

from dataclasses import replace

from e2email_client import contact_form, contact_rules
from e2email_client.contact import (
    Contact,
    How,
    Judgement,
    Known,
    Pin,
    Sighting,
    Source,
    Standing,
    Verified,
)
from e2email_client.shared_state import RULES
from e2email_client.state_document import SECTIONS, Entry, encode, encode_value, merge
from e2email_crypto.keyedit import Identity, apply_revocation, new_identity
from support.key_vectors import case

A, B = ("care", "drill"), ("settings", "language")


def write() -> None:
    def document(name: str, about: str, payload: bytes, expect: str = "DocumentInvalid") -> None:
        case("state", name, about, {"payload": payload.decode()}, expect)

    def merged(name: str, about: str, one: dict, other: dict) -> None:
        given = {"one": encode(one).decode(), "other": encode(other).decode()}
        case("state", name, about, given, "ok", merged=encode(merge(one, other, RULES)).decode())

    empty = {"sections": {name: {} for name in SECTIONS}, "version": 1}
    full = {A: Entry(1_750_000_000, {"of": [1, None, "ü"]}), B: Entry(2**53 - 1, None)}
    document("empty", "no entry", encode({}), "ok")
    document("full", "a value, and one that was removed", encode(full), "ok")
    document("version-2", "a later format", encode_value(empty | {"version": 2}))
    document("unknown-member", "", encode_value(empty | {"more": 1}))
    document("unknown-section", "", encode_value({"sections": {"x": {}}, "version": 1}))
    document("spaces", "not canonical", encode({}).replace(b":", b": "))
    document("order", "members not sorted", b'{"version":1,"sections":{}}')
    document("not-json", "cut", encode(full)[:-1])
    document("key-empty", "", encode({("care", ""): Entry(1, 1)}))
    document("key-long", "321 characters", encode({("care", "x" * 321): Entry(1, 1)}))
    document("time-negative", "", encode({A: Entry(-1, 1)}))
    document("time-large", "above 2^53-1", encode({A: Entry(2**53, 1)}))
    document("time-true", "", encode({A: Entry(True, 1)}))
    document("fraction", "no integer", encode({A: Entry(1, 1.5)}))
    document("not-a-number", "JSON has no such thing", encode({A: Entry(1, float("nan"))}))
    document("version-true", "", encode_value(empty | {"version": True}))
    merged("merge-both", "of each what the other lacks", {A: full[A]}, {B: full[B]})
    merged("merge-newest", "the later change", {A: Entry(2, "b")}, {A: Entry(1, "c")})
    merged("merge-removed", "the later removal", {A: Entry(2, None)}, {A: Entry(1, "c")})
    merged("merge-same-time", "the higher octets", {A: Entry(1, "a")}, {A: Entry(1, None)})
    merged("merge-same-time-kind", "of a number and a text", {A: Entry(1, 7)}, {A: Entry(1, "7")})
    merged("merge-contact", "an update on one device, a verification on the other", *contact())
    merged("merge-contact-pins", "two devices, two first uses", *first_uses())
    merged("merge-contact-distrust", "a decision, and a first use later elsewhere", *distrusted())


BOB = ("contacts", "bob@example.net")


def known(identity: Identity, certificate: bytes, source: Source, time: int) -> Known:
    return Known(identity.fingerprint, certificate, {source: Sighting(time, time)})


def entry(time: int, one: Known, verified: Verified | None = None) -> dict:
    one = replace(one, verified=verified, judgement=Judgement(0, Standing.OPEN))
    pin = Pin(0, time, How.FIRST_USE, (one.fingerprint,))
    contact = Contact("", {one.fingerprint: one}, pin).told(time, "pinned", one.fingerprint)
    return {BOB: Entry(time, contact_form.encode(contact))}


def contact() -> tuple[dict, dict]:
    made = new_identity("bob@example.net", "Bob", 1_750_000_000)
    revoked = apply_revocation(made.cert, made.revocation)
    return (
        entry(5, known(made, made.cert, Source.FILE, 5), Verified(7, "words")),
        entry(5, known(made, revoked, Source.WKD, 9)),
    )


def distrusted() -> tuple[dict, dict]:
    made = new_identity("bob@example.net", "Bob", 1_750_000_000)
    one = known(made, made.cert, Source.FILE, 5)
    before = contact_form.decode("", entry(5, one)[BOB].value)
    decided, _ = contact_rules.distrust(before, 6)
    return {BOB: Entry(6, contact_form.encode(decided))}, entry(9, one)


def first_uses() -> tuple[dict, dict]:
    made = [new_identity("bob@example.net", str(n), 1_750_000_000) for n in (1, 2)]
    return (
        entry(5, known(made[0], made[0].cert, Source.FILE, 5)),
        entry(6, known(made[1], made[1].cert, Source.AUTOCRYPT, 6)),
    )


if __name__ == "__main__":
    write()
