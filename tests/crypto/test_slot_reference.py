"""Slots and vaults opened from docs/specs/keys.md alone, with other libraries than ours."""

import base64
import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VECTORS = Path(__file__).parents[1] / "vectors"


def pack(*fields: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)


def hkdf(key: bytes, *info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=pack(*info)).derive(key)


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """draft-irtf-cfrg-xchacha, section 2.2."""
    words = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def turn(a: int, b: int, c: int, d: int) -> None:
        for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            words[x] = (words[x] + words[y]) & 0xFFFFFFFF
            mixed = words[z] ^ words[x]
            words[z] = (mixed << by | mixed >> (32 - by)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            turn(column, column + 4, column + 8, column + 12)
        for start in range(4):
            turn(start, 4 + (start + 1) % 4, 8 + (start + 2) % 4, 12 + (start + 3) % 4)
    return struct.pack("<8I", *words[:4], *words[12:])


def open_box(data: bytes, header_size: int, key: bytes, label: bytes) -> bytes:
    assert hashlib.sha256(data[:-8]).digest()[:8] == data[-8:]
    header, rest = data[:header_size], data[header_size:-8]
    nonce, commitment, inner = rest[:24], rest[24:56], rest[56:]
    assert hmac.compare_digest(commitment, hkdf(key, label, b"commitment"))
    aead = ChaCha20Poly1305(hchacha20(hkdf(key, label, b"key"), nonce[:16]))
    return aead.decrypt(bytes(4) + nonce[16:], inner, header)


def given(name: str) -> tuple[dict[str, str], dict[str, Any], bytes]:
    vector = json.loads((VECTORS / name).read_text())
    names = pack(vector["given"]["account"].encode(), vector["given"]["server_name"].encode())
    return vector["given"], vector["gives"], names


def test_passphrase_slot() -> None:
    case, gives, names = given("slot/passphrase.json")
    data = base64.b64decode(case["slot"])
    start = (
        b"e2email\0S\x02\x01" + struct.pack(">Q", gives["generation"]) + names + b"\0\0\0\x19\x01"
    )
    assert data.startswith(start)
    size = len(start) + 24
    t, m = struct.unpack(">II", data[size - 24 : size - 16])
    salt = data[size - 16 : size]
    root = Argon2id(salt=salt, length=32, iterations=t, lanes=1, memory_cost=m).derive(
        case["passphrase"].encode()
    )
    label = pack(b"e2email v1 passphrase wrap") + names
    wrap = HKDF(SHA256(), 32, salt=None, info=label).derive(root)
    assert wrap.hex() == case["secret"]
    opened = open_box(data, size, wrap, b"e2email v1 slot passphrase")
    assert opened.hex() == gives["account_key"]


@pytest.mark.parametrize("purpose", ["vault", "state"])
def test_vault_and_state(purpose: str) -> None:
    case, gives, names = given(f"vault/{purpose}.json")
    data, key = base64.b64decode(case["box"]), bytes.fromhex(case["account_key"])
    head = b"e2email\0" + {"vault": b"V\x02", "state": b"T\x01"}[purpose]
    header = head + struct.pack(">Q", gives["counter"]) + names
    assert data.startswith(header)
    label = b"e2email v1 " + purpose.encode()
    assert open_box(data, len(header), key, label).decode() == gives["payload"]
