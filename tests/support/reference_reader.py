"""Our formats read from docs/specs alone, with other libraries than ours where there are any."""

import hashlib
import hmac
import struct
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def pack(*fields: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)


def unpack(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """(fields, where they end)"""
    fields = []
    for _ in range(count):
        (size,) = struct.unpack_from(">I", data, at)
        fields.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return fields, at


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
    """The committing box of keys.md."""
    assert hashlib.sha256(data[:-8]).digest()[:8] == data[-8:]
    header, rest = data[:header_size], data[header_size:-8]
    nonce, commitment, inner = rest[:24], rest[24:56], rest[56:]
    assert hmac.compare_digest(commitment, hkdf(key, label, b"commitment"))
    aead = ChaCha20Poly1305(hchacha20(hkdf(key, label, b"key"), nonce[:16]))
    return aead.decrypt(bytes(4) + nonce[16:], inner, header)


def secret_of_words(typed: Sequence[str], label: bytes, words: Sequence[str]) -> bytes:
    """recovery.md, "Words"; `words` is the list of BIP-39."""
    bits = "".join(f"{words.index(word):011b}" for word in typed)
    secret, check = int(bits[:128], 2).to_bytes(16), bits[128:]
    digest = hashlib.sha256(pack(label, secret)).digest()
    assert "".join(f"{octet:08b}" for octet in digest).startswith(check)
    return secret
