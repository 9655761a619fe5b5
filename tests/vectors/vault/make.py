"""Writes the missing vectors beside it: `PYTHONPATH=tests python tests/vectors/vault/make.py`."""

from dataclasses import replace
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
        custody=vault.Custody.PARANOID,
        recovery=bytes(range(16)),
        recipients=(b"certificate of another device",),
        accepted=(b"\5" * 32,),
    )
    newborn = replace(
        value, custody=vault.Custody.CAUTIOUS, recovery=None, recipients=(), accepted=()
    )
    data = vault.seal_vault(value, key, ACCOUNT, SERVER)
    state = vault.seal_state(b"contacts", 9, key, ACCOUNT, SERVER)
    nonce_at = NAMES_END + 8
    payload = vault._encode(value)

    def one(
        name: str,
        about: str,
        data: bytes,
        expect: str,
        secret: bytes = SECRET,
        content: bytes = payload,
        **other: Any,
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
            gives = {"counter": 7, "payload": content.decode()}
        elif expect == "ok":
            gives = {"counter": 9, "payload": "contacts"}
        case("vault", name, about, given, expect, **gives)

    def around(content: bytes) -> bytes:
        return vault._seal(vault.Purpose.VAULT, content, 7, key, ACCOUNT, SERVER)

    one("vault", "all fields", data, "ok")
    young = vault.seal_vault(newborn, key, ACCOUNT, SERVER)
    one("newborn", "what may be empty is", young, "ok", content=vault._encode(newborn))
    one("seen-before", "the counter that was seen last", data, "ok", at_least=7)
    one("rolled-back", "a later counter was seen", data, "RolledBack", at_least=8)
    one("state-rolled-back", "", state, "RolledBack", purpose="state", at_least=10)
    one("state", "any octets", state, "ok", purpose="state")
    one("wrong-key", "another account key", data, "WrongSecret", WRONG)
    one("other-account", "asked for as bob's", data, "OtherAccount", account=OTHER)
    one("other-server", "asked for elsewhere", data, "OtherAccount", server_name="x.test")
    one("version-3", "a later format", forged(data, 9, b"\x03"), "UnknownVersion")
    two = forged(state, 9, b"\x02")
    one("state-version-2", "a later format", two, "UnknownVersion", purpose="state")
    one("state-as-vault", "a state box where a vault belongs", state, "Damaged")
    one("state-renamed", "type and version changed", forged(state, 8, b"V\x02"), "WrongSecret")
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
        around(payload.replace(b'{"accepted', b'{"a":1,"accepted', 1)),
        "Damaged",
    )
    one("not-json", "", around(b"tsk"), "Damaged")
    trustful = payload.replace(b'"paranoid"', b'"trustful"')
    one("unknown-custody", "there is no third one", around(trustful), "Damaged")
    short = payload.replace(b64(bytes(range(16))).encode(), b64(bytes(range(15))).encode())
    one("short-recovery", "a recovery secret of 15 octets", around(short), "Damaged")
    one(
        "short-store-key",
        "a store key of 31 octets",
        around(payload.replace(b64(b"\1" * 32).encode(), b64(b"\1" * 31).encode())),
        "Damaged",
    )


if __name__ == "__main__":
    write()
