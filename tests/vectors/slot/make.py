"""Writes the missing vectors beside it: `PYTHONPATH=tests python tests/vectors/slot/make.py`."""

from typing import Any

from e2email_crypto import _wire, kdf, slot
from support.key_vectors import (
    ACCOUNT,
    NAMES_END,
    OTHER,
    SECRET,
    SERVER,
    WRONG,
    b64,
    case,
    flipped,
    forged,
)


def write() -> None:
    key = slot.AccountKey(bytes(range(100, 132)))
    params = kdf.Params(3, kdf.M_KIB_MIN, bytes(range(16)))
    ring = slot.wrap(key, slot.SlotKind.KEYRING, SECRET, ACCOUNT, SERVER, generation=1)
    recovery = slot.wrap(key, slot.SlotKind.RECOVERY, SECRET, ACCOUNT, SERVER, generation=2)
    phrase = "correct horse battery staple"
    wrap = kdf.split(phrase, params, ACCOUNT, SERVER).wrap
    kind = slot.SlotKind.PASSPHRASE
    pass_slot = slot.wrap(key, kind, wrap, ACCOUNT, SERVER, params, generation=5)
    kdf_at = NAMES_END + 1 + 8 + 4
    nonce_at = kdf_at + kdf.PARAMS_SIZE

    def one(
        name: str, about: str, data: bytes, expect: str, secret: bytes = wrap, **other: Any
    ) -> None:
        given = {
            "slot": b64(data),
            "secret": secret.hex(),
            "account": ACCOUNT,
            "server_name": SERVER,
        }
        gives: dict[str, Any] = {}
        if expect == "ok":
            generation = slot.inspect(data, ACCOUNT, SERVER).generation
            gives = {"account_key": key.raw.hex(), "generation": generation}
        case("slot", name, about, given | other, expect, **gives)

    one("passphrase", "the secret is `wrap` of the passphrase", pass_slot, "ok", passphrase=phrase)
    one("keyring", "32 random bytes, no key derivation", ring, "ok", SECRET)
    one("recovery", "the secret is `wrap` of the recovery secret", recovery, "ok", SECRET)
    one("seen-before", "the generation that was seen last", pass_slot, "ok", at_least=5)
    one("rolled-back", "a later generation was seen", pass_slot, "RolledBack", at_least=6)
    one(
        "generation-raised",
        "an old slot made to look new",
        forged(pass_slot, 11, (9).to_bytes(8)),
        "Damaged",
    )
    one("generation-0", "they begin with 1", forged(pass_slot, 11, bytes(8)), "Damaged")
    one("wrong-secret", "another passphrase", pass_slot, "WrongSecret", WRONG)
    one("wrong-keyring-secret", "another keyring", ring, "WrongSecret", WRONG)
    one("other-account", "asked for as bob's", pass_slot, "OtherAccount", account=OTHER)
    one("other-server", "asked for elsewhere", pass_slot, "OtherAccount", server_name="x.test")
    one("version-3", "a later format", forged(pass_slot, 9, b"\x03"), "UnknownVersion")
    one("kind-4", "a kind that is kept free", forged(pass_slot, 10, b"\x04"), "UnknownVersion")
    one("kind-9", "a later kind of slot", forged(pass_slot, 10, b"\x09"), "UnknownVersion")
    one("kdf-2", "a later key derivation", forged(pass_slot, kdf_at, b"\x02"), "UnknownVersion")
    one(
        "kdf-below-floor",
        "t lowered to 1",
        forged(pass_slot, kdf_at + 1, bytes(3) + b"\x01"),
        "KdfRefused",
    )
    one(
        "kdf-memory-huge", "4 TiB", forged(pass_slot, kdf_at + 5, b"\xff\xff\xff\xff"), "KdfRefused"
    )
    one(
        "kdf-changed",
        "t raised to 4: the secret given still fits, the header does not",
        forged(pass_slot, kdf_at + 1, bytes(3) + b"\x04"),
        "Damaged",
    )
    one("salt-changed", "another salt", forged(pass_slot, kdf_at + 9, b"\xff"), "Damaged")
    one(
        "kind-changed",
        "a keyring slot said to be a passphrase's",
        forged(ring, 10, b"\x01"),
        "Damaged",
    )
    one("nonce-changed", "", forged(pass_slot, nonce_at, WRONG[:24]), "Damaged")
    one(
        "commitment-changed",
        "no secret fits",
        forged(pass_slot, nonce_at + 24, WRONG),
        "WrongSecret",
    )
    one("key-changed", "", forged(pass_slot, nonce_at + 56, b"\0\0\0"), "Damaged")
    one("tag-changed", "", forged(pass_slot, len(pass_slot) - 9, b"\0"), "Damaged")
    one(
        "bit-flip",
        "an accident: told from a wrong secret",
        flipped(pass_slot, nonce_at + 24),
        "Damaged",
    )
    one("checksum-flip", "", flipped(pass_slot, len(pass_slot) - 1), "Damaged")
    one("cut", "the last octet is missing", pass_slot[:-1], "Damaged")
    one("cut-in-head", "nine octets", pass_slot[:9], "Damaged")
    one("empty", "no octet", b"", "Damaged")
    one("octet-behind", "", pass_slot + b"\0", "Damaged")
    one(
        "octet-behind-forged",
        "with a checksum made new",
        _wire.finish(pass_slot[:-8] + b"\0"),
        "Damaged",
    )
    one("too-long", "above 4096 octets", _wire.finish(pass_slot[:-8] + bytes(4096)), "Damaged")
    one("not-a-slot", "text", b"-----BEGIN PGP MESSAGE-----", "Damaged")


if __name__ == "__main__":
    write()
