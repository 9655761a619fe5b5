"""Writes the missing vectors beside it: `PYTHONPATH=tests python tests/vectors/vault/make.py`."""

from typing import Any

from e2email_crypto import _wire, slot, statement, vault
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
    key = slot.AccountKey(SECRET)
    value = vault.Vault(
        counter=7,
        identities=(
            vault.Identity(
                "0123456789ABCDEF" * 2 + "01234567", b"tsk", b"certificate", b"revocation"
            ),
        ),
        store_keys=vault.StoreKeys(b"\1" * 32, b"\2" * 32, b"\3" * 32),
        arrival_key=b"\4" * 32,
        policy=statement.Policy.SEALED,
    )
    data = vault.seal_vault(value, key, ACCOUNT, SERVER)
    state = vault.seal_state(b"contacts", 9, key, ACCOUNT, SERVER)
    nonce_at = NAMES_END + 8
    payload = vault._encode(value)

    def one(
        name: str, about: str, data: bytes, expect: str, secret: bytes = SECRET, **other: Any
    ) -> None:
        given = {
            "box": b64(data),
            "purpose": "vault",
            "account_key": secret.hex(),
            "account": ACCOUNT,
            "server_name": SERVER,
        }
        given |= other
        gives: dict[str, Any] = {}
        if expect == "ok" and given["purpose"] == "vault":
            gives = {"counter": 7, "payload": payload.decode()}
        elif expect == "ok":
            gives = {"counter": 9, "payload": "contacts"}
        case("vault", name, about, given, expect, **gives)

    def around(content: bytes) -> bytes:
        return vault._seal(vault.Purpose.VAULT, content, 7, key, ACCOUNT, SERVER, vault.VAULT_MAX)

    one("vault", "all fields", data, "ok")
    one("state", "any octets", state, "ok", purpose="state")
    one("wrong-key", "another account key", data, "WrongSecret", WRONG)
    one("other-account", "asked for as bob's", data, "OtherAccount", account=OTHER)
    one("other-server", "asked for elsewhere", data, "OtherAccount", server_name="x.test")
    one("version-2", "a later format", forged(data, 9, b"\x02"), "UnknownVersion")
    one("state-as-vault", "a state box where a vault belongs", state, "Damaged")
    one("state-renamed", "its type changed on purpose", forged(state, 8, b"V"), "WrongSecret")
    one(
        "counter-raised",
        "an old vault made to look new",
        forged(data, 10, (8).to_bytes(8)),
        "Damaged",
    )
    one(
        "account-renamed",
        "alice's box with bob's name",
        _wire.finish(data[:18] + _wire.pack(OTHER.encode()) + data[22 + len(ACCOUNT) : -8]),
        "Damaged",
        account=OTHER,
    )
    one("nonce-changed", "", forged(data, nonce_at, WRONG[:24]), "Damaged")
    one("commitment-changed", "no key fits", forged(data, nonce_at + 24, WRONG), "WrongSecret")
    one("content-changed", "", forged(data, nonce_at + 60, b"\0\0\0"), "Damaged")
    one("bit-flip", "an accident: told from a wrong key", flipped(data, nonce_at + 24), "Damaged")
    one("cut", "the last octet is missing", data[:-1], "Damaged")
    one("octet-behind", "", data + b"\0", "Damaged")
    one("empty", "no octet", b"", "Damaged")
    one("not-canonical", "a space in the JSON", around(payload.replace(b":", b": ", 1)), "Damaged")
    one(
        "unknown-field",
        "no later version's field in this version",
        around(payload.replace(b'{"arrival', b'{"a":1,"arrival', 1)),
        "Damaged",
    )
    one("not-json", "", around(b"tsk"), "Damaged")
    one(
        "short-store-key",
        "a store key of 31 octets",
        around(payload.replace(b64(b"\1" * 32).encode(), b64(b"\1" * 31).encode())),
        "Damaged",
    )


if __name__ == "__main__":
    write()
