"""Words, recovery keys, pairing messages and backups read from docs/specs, not by our code."""

import base64
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mnemonic import Mnemonic
from nacl import bindings

from support.reference_reader import hkdf, open_box, pack, secret_of_words, unpack

VECTORS = Path(__file__).parents[1] / "vectors"
WORDS = Mnemonic("english").wordlist


def vector(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = json.loads((VECTORS / name).read_text())
    return found["given"], found["gives"]


@pytest.mark.parametrize("name", ["plain", "zero", "ones", "other-account"])
def test_recovery_keys_and_words(name: str) -> None:
    given, gives = vector(f"recovery/{name}.json")
    secret = secret_of_words(gives["words"].split(), b"e2email v1 recovery words", WORDS)
    assert secret.hex() == given["secret"]
    names = given["account"].encode(), given["server_name"].encode()
    for part, label in (("auth", "auth"), ("wrap", "wrap"), ("seed", "sign")):
        assert hkdf(secret, f"e2email v1 recovery {label}".encode(), *names).hex() == gives[part]
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(gives["seed"]))
    assert key.public_key().public_bytes_raw().hex() == gives["public"]


def test_pairing() -> None:
    given, gives = vector("pairing/pairing.json")
    code = secret_of_words(given["words"].split(), b"e2email v1 pairing words", WORDS)
    assert hkdf(code, b"e2email v1 pairing id").hex() == gives["id"]
    message = base64.b64decode(given["message"])
    assert message[:10] == b"e2email\0P\x01"
    assert struct.unpack(">Q", message[10:18]) == (gives["expires"],)
    names, end = unpack(message, 18, 4)
    assert [one.decode() for one in names] == [
        given["account"], given["server_name"], gives["old_device"], gives["new_device"],
    ]  # fmt: skip
    key = hkdf(code, b"e2email v1 pairing key", *names, message[10:18])
    assert open_box(message, end, key, b"e2email v1 pairing").decode() == gives["payload"]


def mail_of(blob: bytes, key: bytes, aad: bytes) -> bytes:
    """keys.md, "Blob"."""
    assert blob[:10] == b"e2email\0B\x01"
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, blob[10:34], key)
    ad, plain, tag = pack(blob[:10], aad), b"", 0
    for at in range(34, len(blob), 64 * 1024 + 17):
        frame = blob[at : at + 64 * 1024 + 17]
        chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(state, frame, ad)
        plain += chunk
    assert tag == bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
    return plain


def read_mails(stream: bytes) -> list[dict[str, Any]]:
    """backup.md, "Mail"."""
    found, at = [], 0
    while stream[at] == 1:
        (mailbox, flags), at = unpack(stream, at + 1, 2)
        (time,), record_id = struct.unpack_from(">Q", stream, at), stream[at + 8 : at + 24]
        (octets,), at = unpack(stream, at + 24, 1)
        found.append(
            {
                "mailbox": mailbox.decode(),
                "flags": flags.decode().split(),
                "time": time,
                "id": record_id.hex(),
                "octets": base64.b64encode(octets).decode(),
            }
        )
    assert stream[at:] == b"\0" + struct.pack(">Q", len(found))
    return found


@pytest.mark.parametrize("name", ["mail", "no-mail"])
def test_backup(name: str) -> None:
    given, gives = vector(f"backup/{name}.json")
    data = base64.b64decode(given["file"])
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    assert data[:10] == b"e2email\0K\x01"
    has_mail, created = struct.unpack(">BQ", data[10:19])
    assert (bool(has_mail), created) == (gives["mail"] is not None, gives["created"])
    names, at = unpack(data, 19, 2)
    assert [one.decode() for one in names] == [gives["account"], gives["server_name"]]
    slots, at = unpack(data, at + 1, data[at])
    (size,) = struct.unpack_from(">I", data, at)
    front = data[: at + 4 + size]

    (recovery,) = (one for one in slots if one[10] == 2)
    wrap = hkdf(bytes.fromhex(given["secret"]), b"e2email v1 recovery wrap", *names)
    head = b"e2email\0S\x02\x02" + recovery[11:19] + pack(*names) + pack(b"")
    assert recovery.startswith(head)
    account_key = open_box(recovery, len(head), wrap, b"e2email v1 slot recovery")
    content = open_box(front, at + 4, account_key, b"e2email v1 backup")
    assert content.decode() == gives["content"]
    if has_mail:
        key = hkdf(account_key, b"e2email v1 backup mail")
        stream = mail_of(data[len(front) : -32], key, hashlib.sha256(front).digest())
        assert read_mails(stream) == gives["mail"]
    else:
        assert len(data) == len(front) + 32


def test_paper() -> None:
    given, gives = vector("paper/three.json")
    chunks = []
    for number, text in enumerate(given["parts"], 1):
        _, version, place, set_id, body = text.split(":")
        octets = base64.b32decode(body + "=" * (-len(body) % 8))
        chunk, check = octets[:-5], octets[-5:]
        assert (version, place) == ("1", f"{number}/3")
        made = hashlib.sha256(pack(place.encode(), set_id.encode(), chunk)).digest()
        assert made[:5] == check
        chunks.append(chunk)
    data = b"".join(chunks)
    assert base64.b32encode(hashlib.sha256(data).digest()[:5]).decode() == set_id
    assert data.hex() == gives["data"]
