"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/pairing/make.py`."""

from dataclasses import replace
from typing import Any

from e2email_crypto import _box, _wire, kdf, pairing, slot
from support.key_vectors import ACCOUNT, OTHER, SECRET, SERVER, WRONG, b64, case, flipped, forged

CODE = bytes(range(16))
NOW = 1_780_000_000


def write() -> None:
    pair = pairing.Pair(ACCOUNT, SERVER, "desk", "laptop", NOW + 600)
    key, kind = slot.AccountKey(SECRET), slot.SlotKind.PASSPHRASE
    params = kdf.Params(3, kdf.M_KIB_MIN, bytes(range(16)))
    gift = pairing.Gift(
        account_key=key,
        vault=b"vault",
        slots=(slot.wrap(key, kind, SECRET, ACCOUNT, SERVER, params, generation=3),),
        sequence=2,
        head=b"\7" * 32,
        device_token="e2d_" + "a" * 32,
        device_seed=b"\x08" * 32,
        server_url="https://mail.example.test",
        ca=None,
    )
    data = pairing.seal(CODE, pair, gift)
    payload = pairing._encode(gift)
    names = _wire.pack(ACCOUNT.encode(), SERVER.encode(), b"desk", b"laptop")
    header = data[: 18 + len(names)]
    nonce_at = len(header)
    own_ca = replace(gift, ca=b"certificate")

    def one(name: str, about: str, message: bytes, expect: str, **other: Any) -> None:
        content = other.pop("content", payload)
        given = {
            "message": b64(message),
            "words": " ".join(pairing.to_words(CODE)),
            "account": ACCOUNT,
            "server_name": SERVER,
            "now": NOW,
        }
        gives: dict[str, Any] = {}
        if expect == "ok":
            gives = {
                "id": pairing.message_id(CODE).hex(),
                "old_device": "desk",
                "new_device": "laptop",
                "expires": NOW + 600,
                "payload": content.decode(),
            }
        case("pairing", name, about, given | other, expect, **gives)

    def around(content: bytes) -> bytes:
        return _box.seal(pairing._key(CODE, pair), pairing._LABEL, header, content)

    one("pairing", "all that a new device needs", data, "ok")
    made = pairing.seal(CODE, pair, own_ca)
    one("own-ca", "with the server's own authority", made, "ok", content=pairing._encode(own_ca))
    one("last-second", "", data, "ok", now=NOW + 599)
    one("expired", "the time has come", data, "Expired", now=NOW + 600)
    wrong = " ".join(pairing.to_words(bytes(16)))
    one("wrong-code", "", data, "WrongSecret", words=wrong)
    one("wrong-code-expired", "the code first", data, "WrongSecret", words=wrong, now=NOW + 900)
    one("mistyped", "", data, "WordsInvalid", words="zoo")
    one("other-account", "asked for as bob's", data, "OtherAccount", account=OTHER)
    one("other-server", "asked for elsewhere", data, "OtherAccount", server_name="x.test")
    one("version-2", "a later format", forged(data, 9, b"\x02"), "UnknownVersion")
    later = forged(data, 10, (NOW + 900).to_bytes(8))
    one("expiry-moved", "its time made longer", later, "WrongSecret")
    one("device-renamed", "", forged(data, nonce_at - 6, b"LAPTOP"), "WrongSecret")
    one("device-control", "a control in a name", forged(data, nonce_at - 6, b"\x1b"), "Damaged")
    one("nonce-changed", "", forged(data, nonce_at, WRONG[:24]), "Damaged")
    one("commitment-changed", "", forged(data, nonce_at + 24, WRONG), "WrongSecret")
    one("content-changed", "", forged(data, nonce_at + 60, b"\0\0\0"), "Damaged")
    one("bit-flip", "an accident", flipped(data, nonce_at + 24), "Damaged")
    one("checksum-flip", "", flipped(data, len(data) - 1), "Damaged")
    one("cut", "the last octet is missing", data[:-1], "Damaged")
    one("empty", "", b"", "Damaged")
    one("octet-behind", "", data + b"\0", "Damaged")
    one("octet-behind-forged", "", _wire.finish(data[:-8] + b"\0"), "Damaged")
    more = payload.replace(b'{"account', b'{"a":1,"account', 1)
    one("unknown-field", "", around(more), "Damaged")
    one("not-canonical", "", around(payload.replace(b":", b": ", 1)), "Damaged")
    huge = forged(gift.slots[0], gift.slots[0].index(params.encode()) + 5, b"\xff" * 4)
    costly = pairing._encode(replace(gift, slots=(huge,)))
    one("slot-memory-huge", "4 TiB", around(costly), "KdfRefused")
    foreign = slot.wrap(key, kind, SECRET, OTHER, SERVER, params, generation=3)
    of_bob = pairing._encode(replace(gift, slots=(foreign,)))
    one("slot-of-another", "bob's", around(of_bob), "OtherAccount")
    short = payload.replace(b64(b"\x08" * 32).encode(), b64(b"\x08" * 31).encode())
    one("short-seed", "a seed of 31 octets", around(short), "Damaged")


if __name__ == "__main__":
    write()
