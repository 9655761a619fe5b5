"""Writes the missing vectors beside it: `PYTHONPATH=tests python tests/vectors/arrival/make.py`."""

from e2email_crypto import _sodium, _wire, arrival
from support.key_vectors import case, flipped, forged


def write() -> None:
    old, new, newest = (arrival.ArrivalKey(bytes([n]) * 32) for n in (1, 2, 3))
    envelope = b'{"version":1}\nSubject: caf\xc3\xa9\r\n'
    signature = old.sign(envelope)
    first, second = old.certify(new.public), new.certify(newest.public)

    def signed(name: str, about: str, expect: str, **other: bytes) -> None:
        given = {"public": old.public, "envelope": envelope, "signature": signature} | other
        hexes = {field: octets.hex() for field, octets in given.items()}
        case("arrival", name, about, hexes, expect)

    def chain(
        name: str, about: str, expect: str, certificates: list[bytes], pinned: bytes = old.public
    ) -> None:
        given = {"pinned": pinned.hex(), "successors": [item.hex() for item in certificates]}
        gives = {"public": arrival.follow(pinned, certificates).hex()} if expect == "ok" else {}
        case("arrival", name, about, given, expect, **gives)

    def file(name: str, about: str, expect: str, data: bytes) -> None:
        gives = {"public": old.public.hex(), "key_id": old.key_id} if expect == "ok" else {}
        case("arrival", name, about, {"file": data.hex()}, expect, **gives)

    signed("signature", "over the label and the envelope", "ok")
    signed(
        "no-label",
        "over the envelope alone",
        "SignatureInvalid",
        signature=_sodium.sign(envelope, _sodium.sign_keypair(old.seed)[1]),
    )
    signed("envelope-changed", "", "SignatureInvalid", envelope=flipped(envelope, 3))
    signed("envelope-longer", "a line behind", "SignatureInvalid", envelope=envelope + b"\r\n")
    signed("signature-changed", "", "SignatureInvalid", signature=flipped(signature, 40))
    signed(
        "signature-short",
        "the border between signature and text moved",
        "SignatureInvalid",
        signature=signature[:-1],
    )
    signed("other-key", "", "SignatureInvalid", public=new.public)
    signed("small-order-key", "the neutral point", "SignatureInvalid", public=b"\1" + bytes(31))
    chain("successor", "one step", "ok", [first])
    chain("two-successors", "two steps", "ok", [first, second])
    chain(
        "pinned-newest",
        "all certificates, the newest key already pinned",
        "ok",
        [first, second],
        newest.public,
    )
    chain("no-successor", "nothing changed", "ok", [])
    chain("gap", "the second step without the first", "SignatureInvalid", [second])
    chain(
        "gap-behind",
        "a stranger's step behind a true one",
        "SignatureInvalid",
        [first, newest.certify(old.public)],
    )
    chain("order", "steps in the wrong order", "SignatureInvalid", [second, first])
    chain(
        "stranger",
        "a chain that the pinned key is not in",
        "SignatureInvalid",
        [first],
        arrival.ArrivalKey(bytes([9]) * 32).public,
    )
    chain(
        "successor-forged",
        "the new key replaced",
        "SignatureInvalid",
        [forged(first, 42, newest.public)],
    )
    chain("successor-flip", "an accident", "Damaged", [flipped(first, 50)])
    chain("successor-version", "a later format", "UnknownVersion", [forged(first, 9, b"\2")])
    chain("successor-short", "cut", "Damaged", [_wire.finish(first[:-9])])
    file("key-file", "head, seed, checksum", "ok", old.encode())
    file("key-file-flip", "one bit of the seed", "Damaged", flipped(old.encode(), 12))
    file("key-file-short", "31 octets of seed", "Damaged", _wire.finish(old.encode()[:-9]))
    file("key-file-long", "33 octets of seed", "Damaged", _wire.finish(old.encode()[:-8] + b"\0"))
    file("key-file-version", "a later format", "UnknownVersion", forged(old.encode(), 9, b"\2"))
    file("key-file-other", "a successor certificate", "Damaged", first)


if __name__ == "__main__":
    write()
