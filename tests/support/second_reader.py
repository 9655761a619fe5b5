"""Slots, vaults, pairing messages and backups read as docs/specs say it, errors and limits too.

A second implementation: written from the pages alone, and of our code it uses nothing. What went
wrong is `Wrong`, whose text is the name that the pages give the error.
"""

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl import bindings

from support.reference_reader import hchacha20, hkdf, pack

KIB, MIB = 1024, 1024 * 1024
MOST = {"S": 4096, "V": MIB, "T": 8 * MIB, "P": 1408 * KIB, "K": 64 * MIB + 16 * KIB}
VERSIONS = {"S": 2, "V": 2, "T": 1, "P": 1, "K": 1}
KINDS = {1: b"passphrase", 2: b"recovery", 3: b"keyring"}
EXACT, LARGEST = 2**53 - 1, 2**63 - 1
FRAME = 64 * KIB + 17


class Wrong(Exception):
    pass


def need(fact: object, name: str = "Damaged") -> None:
    if not fact:
        raise Wrong(name)


def name(text: str) -> bytes:
    octets = unicodedata.normalize("NFC", text).encode()
    return bytes(octet + 32 if 65 <= octet <= 90 else octet for octet in octets)


class Octets:
    """Takes numbers and fields off the front."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> bytes:
        need(self.at + size <= len(self.data))
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def field(self, most: int | None = None) -> bytes:
        size = self.number(4)
        need(most is None or size <= most)
        return self.take(size)


def start(data: bytes, kind: str) -> Octets:
    """The first rows of "What is wrong with a box"."""
    need(len(data) <= MOST[kind] and data[:9] == b"e2email\0" + kind.encode() and len(data) >= 18)
    need(data[9] == VERSIONS[kind], "UnknownVersion")
    need(hashlib.sha256(data[:-8]).digest()[:8] == data[-8:])
    return Octets(data[:-8], 10)


def content(box: Octets, key: bytes, label: bytes) -> bytes:
    header = box.data[: box.at]
    nonce, commitment = box.take(24), box.take(32)
    inner = box.data[box.at :]
    need(len(inner) >= 16)
    need(commitment == hkdf(key, label, b"commitment"), "WrongSecret")
    aead = ChaCha20Poly1305(hchacha20(hkdf(key, label, b"key"), nonce[:16]))
    try:
        return aead.decrypt(bytes(4) + nonce[16:], inner, header)
    except InvalidTag:
        raise Wrong("Damaged") from None


def names_are(box: Octets, account: str, server_name: str) -> None:
    found = box.field(), box.field()
    need(found == (name(account), name(server_name)), "OtherAccount")


# --- slot ------------------------------------------------------------------------------------


def slot_head(data: bytes, account: str, server_name: str) -> tuple[Octets, int, int]:
    box = start(data, "S")
    kind, generation = box.number(1), box.number(8)
    names_are(box, account, server_name)
    parameters = box.field()
    need(kind in KINDS, "UnknownVersion")
    need(bool(parameters) == (kind == 1))
    need(1 <= generation <= LARGEST)
    if parameters:
        need(parameters[0] == 1, "UnknownVersion")
        need(len(parameters) == 25)
        t, m = int.from_bytes(parameters[1:5], "big"), int.from_bytes(parameters[5:9], "big")
        need(3 <= t <= 10 and 64 * KIB <= m <= KIB * KIB, "KdfRefused")
    return box, kind, generation


def slot(given: dict[str, Any]) -> dict[str, Any]:
    names = given["account"], given["server_name"]
    box, kind, generation = slot_head(base64.b64decode(given["slot"]), *names)
    key = content(box, bytes.fromhex(given["secret"]), b"e2email v1 slot " + KINDS[kind])
    need(len(key) == 32)
    need(generation >= given.get("at_least", 0), "RolledBack")
    return {"account_key": key.hex(), "generation": generation}


# --- canonical JSON --------------------------------------------------------------------------

Check = Callable[[Any], object]


def canonical(octets: bytes, fields: dict[str, Check]) -> Any:
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        raise Wrong("Damaged") from None
    spelt = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    need(spelt == octets)
    check(value, fields)
    return value


def check(value: Any, fields: dict[str, Check]) -> bool:
    need(isinstance(value, dict) and value.keys() == fields.keys())
    for key, fits in fields.items():
        need(fits(value[key]))
    return True


def octets(least: int, most: int) -> Check:
    def fits(value: Any) -> bool:
        try:
            found = base64.b64decode(value, validate=True)
        except (ValueError, TypeError):
            return False
        return base64.b64encode(found).decode() == value and least <= len(found) <= most

    return fits


def number(least: int, most: int) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def printable(most: int) -> Check:
    return lambda value: isinstance(value, str) and 1 <= len(value) <= most and value.isprintable()


def or_null(fits: Check) -> Check:
    return lambda value: value is None or fits(value)


def listed(fits: Check, least: int, most: int) -> Check:
    def good(value: Any) -> bool:
        if not isinstance(value, list) or not least <= len(value) <= most:
            return False
        spelt = {json.dumps(one, sort_keys=True) for one in value}
        return len(spelt) == len(value) and all(fits(one) for one in value)

    return good


def matching(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value)


# --- vault and state -------------------------------------------------------------------------

KEY_FILE = octets(0, 256 * KIB)
VAULT: dict[str, Check] = {
    "accepted": listed(octets(32, 32), 0, 1000),
    "arrival_key": octets(32, 32),
    "custody": lambda value: value in ("cautious", "paranoid"),
    "identities": listed(
        lambda value: check(
            value,
            {
                "certificate": KEY_FILE,
                "fingerprint": matching("[0-9A-F]{40}|[0-9A-F]{64}"),
                "revocation": KEY_FILE,
                "tsk": KEY_FILE,
            },
        ),
        1,
        100,
    ),
    "policy": lambda value: value in ("sealed", "baseline"),
    "recipients": listed(KEY_FILE, 0, 16),
    "recovery": or_null(octets(16, 16)),
    "store_keys": lambda value: check(
        value, dict.fromkeys(("cache_db", "chunks", "state_db"), octets(32, 32))
    ),
}


def vault(given: dict[str, Any]) -> dict[str, Any]:
    purpose = given["purpose"]
    box = start(base64.b64decode(given["box"]), {"vault": "V", "state": "T"}[purpose])
    counter = box.number(8)
    names_are(box, given["account"], given["server_name"])
    need(1 <= counter <= LARGEST)
    key = bytes.fromhex(given["account_key"])
    payload = content(box, key, b"e2email v1 " + purpose.encode())
    if purpose == "vault":
        canonical(payload, VAULT)
    need(counter >= given.get("at_least", 0), "RolledBack")
    return {"counter": counter, "payload": payload.decode()}


# --- pairing ---------------------------------------------------------------------------------

GIFT: dict[str, Check] = {
    "account_key": octets(32, 32),
    "ca": or_null(octets(0, 32 * KIB)),
    "device_seed": octets(32, 32),
    "device_token": printable(200),
    "head": matching("[0-9a-f]{64}"),
    "sequence": number(1, EXACT),
    "server_url": printable(2048),
    "slots": listed(octets(0, 4096), 0, 2),
    "vault": octets(0, MIB),
}


def pairing(given: dict[str, Any], code: bytes) -> dict[str, Any]:
    names = given["account"], given["server_name"]
    box = start(base64.b64decode(given["message"]), "P")
    expires = box.number(8)
    names_are(box, *names)
    devices = box.field(), box.field()
    for device in devices:
        try:
            need(1 <= len(device) <= 200 and device.decode().isprintable())
        except UnicodeDecodeError:
            raise Wrong("Damaged") from None
    bound = (*map(name, names), *devices, expires.to_bytes(8, "big"))
    payload = content(box, hkdf(code, b"e2email v1 pairing key", *bound), b"e2email v1 pairing")
    need(given["now"] < expires, "Expired")
    for one in canonical(payload, GIFT)["slots"]:
        slot_head(base64.b64decode(one), *names)
    return {
        "id": hkdf(code, b"e2email v1 pairing id").hex(),
        "old_device": devices[0].decode(),
        "new_device": devices[1].decode(),
        "expires": expires,
        "payload": payload.decode(),
    }


# --- backup ----------------------------------------------------------------------------------

PORT = number(0, 65535)
BACKUP: dict[str, Check] = {
    "certificates": listed(KEY_FILE, 0, 1000),
    "revocations": listed(KEY_FILE, 0, 100),
    "settings": lambda value: check(
        value,
        {
            "arrival_key": octets(32, 32),
            "ca": or_null(octets(0, 256 * KIB)),
            "server_url": printable(2048),
            **dict.fromkeys(("imap_port", "imaps_port", "smtp_port", "smtps_port"), PORT),
        },
    ),
    "state": or_null(octets(0, 8 * MIB)),
    "state_counter": number(0, LARGEST),
    "statements": listed(octets(0, 128 * KIB), 0, 1000),
    "vault": octets(0, MIB),
}


class Backup:
    """The head of a file; `rest` is what stands between front and digest."""

    def __init__(self, data: bytes) -> None:
        need(data[:9] == b"e2email\0K")
        need(data[9:10] == b"\1", "UnknownVersion" if data[9:10] else "Damaged")
        front = Octets(data, 10)
        mail, self.created = front.number(1), front.number(8)
        spelt = front.field(320), front.field(320)
        count = front.number(1)
        slots = [front.field(4096) for _ in range(min(count, 2))]
        size = front.number(4)
        need(size <= 64 * MIB)
        head_end = front.at
        front.take(size)
        self.front = data[: front.at]
        start(self.front, "K")
        need(mail <= 1 and self.created <= EXACT and 1 <= count <= 2)
        try:
            self.names = spelt[0].decode(), spelt[1].decode()
        except UnicodeDecodeError:
            raise Wrong("Damaged") from None
        need(all(one.isprintable() for one in self.names))
        need(spelt == tuple(map(name, self.names)) and all(spelt))
        heads = {}
        for one in slots:
            box, kind, _ = slot_head(one, *self.names)
            heads[kind] = box
        need(len(heads) == count and heads.keys() <= {1, 2})
        self.has_mail, self.slots = bool(mail), heads
        self.box = Octets(self.front[:-8], head_end)
        self.rest, self.digest = data[len(self.front) : -32], data[-32:]
        self.whole = hashlib.sha256(data[:-32]).digest() == self.digest
        self.whole = self.whole and len(data) >= len(self.front) + 32


def whole(data: bytes) -> bool:
    try:
        return Backup(data).whole
    except Wrong:
        return False


def backup(given: dict[str, Any]) -> dict[str, Any]:
    file = Backup(base64.b64decode(given["file"]))
    names = tuple(map(name, file.names))
    wrap = hkdf(bytes.fromhex(given["secret"]), b"e2email v1 recovery wrap", *names)
    key = content(file.slots[2], wrap, b"e2email v1 slot recovery")
    payload = content(file.box, key, b"e2email v1 backup")
    value = canonical(payload, BACKUP)
    need(state_fits(value))
    mail = None
    if file.has_mail:
        aad = hashlib.sha256(file.front).digest()
        mail = mails(stream(file.rest, hkdf(key, b"e2email v1 backup mail"), aad))
    else:
        need(not file.rest)
    need(file.whole)
    return {
        "whole": file.whole,
        "account": file.names[0],
        "server_name": file.names[1],
        "created": file.created,
        "content": payload.decode(),
        "mail": mail,
    }


def state_fits(content_: Any) -> bool:
    return bool((content_["state"] is None) == (content_["state_counter"] == 0))


def stream(blob: bytes, key: bytes, aad: bytes) -> bytes:
    need(blob[:9] == b"e2email\0B" and len(blob) >= 34 + 17)
    need(blob[9] == 1, "UnknownVersion")
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, blob[10:34], key)
    ad, plain = pack(blob[:10], aad), b""
    frames = [blob[at : at + FRAME] for at in range(34, len(blob), FRAME)]
    for number_, frame in enumerate(frames, 1):
        try:
            chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(state, frame, ad)
        except (RuntimeError, ValueError, TypeError):
            raise Wrong("Damaged") from None
        last = number_ == len(frames)
        need(tag == (bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL if last else 0))
        need(chunk or len(frames) == 1)
        plain += chunk
    return plain


def mails(plain: bytes) -> list[dict[str, Any]]:
    octets_, found = Octets(plain), []
    while (mark := octets_.number(1)) == 1:
        try:
            mailbox = octets_.field(1024).decode()
            flags = octets_.field(8192).decode("ascii")
        except UnicodeDecodeError:
            raise Wrong("Damaged") from None
        need(mailbox and (not flags or all(re.fullmatch("[!-~]+", f) for f in flags.split(" "))))
        time = octets_.number(8)
        need(time <= EXACT)
        record_id, mail = octets_.take(16), octets_.field(64 * MIB)
        found.append(
            {
                "mailbox": mailbox,
                "flags": flags.split(),
                "time": time,
                "id": record_id.hex(),
                "octets": base64.b64encode(mail).decode(),
            }
        )
    need(mark == 0 and octets_.number(8) == len(found) and octets_.at == len(plain))
    return found
