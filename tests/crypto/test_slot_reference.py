"""Slots and vaults opened from docs/specs/keys.md alone, with other libraries than ours."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from support.reference_reader import open_box, pack

VECTORS = Path(__file__).parents[1] / "vectors"


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
