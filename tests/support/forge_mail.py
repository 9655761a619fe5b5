"""OpenPGP messages made by hand: any packets at all inside a proper SEIPD version 1."""

import hashlib
import os
import zlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    from cryptography.hazmat.primitives.ciphers.modes import CFB
from openpgp import _openpgp as rpgp

from .forge import packet


def literal(data: bytes, kind: bytes = b"b") -> bytes:
    return packet(11, kind + b"\0" + bytes(4) + data)


def cfb(key: bytes, data: bytes) -> bytes:
    made = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
    return made.update(data) + made.finalize()


def pkesk(cert: bytes, session_key: bytes) -> bytes:
    """A PKESK packet for the first encryption subkey of `cert`."""
    key = rpgp.SignedPublicKey.from_bytes(cert)
    made = rpgp.encrypt_session_key_to_recipient(session_key, key, version="seipd-v1")
    return made.to_bytes()


def seipd1(session_key: bytes, inner: bytes, *, mdc: bool = True) -> bytes:
    prefix = os.urandom(16)
    clear = prefix + prefix[-2:] + inner
    if mdc:
        clear += b"\xd3\x14"
        clear += hashlib.sha1(clear).digest()
    return packet(18, b"\1" + cfb(session_key, clear))


def sealed(cert: bytes, inner: bytes, *, mdc: bool = True) -> bytes:
    """PKESK and SEIPD around the packets `inner`."""
    session_key = os.urandom(32)
    return pkesk(cert, session_key) + seipd1(session_key, inner, mdc=mdc)


def sed(cert: bytes, inner: bytes) -> bytes:
    """The old encryption without integrity protection (RFC 9580, 5.7), in all else right."""
    session_key = os.urandom(32)
    prefix = os.urandom(16)
    first = cfb(session_key, prefix + prefix[-2:])
    made = Cipher(algorithms.AES(session_key), CFB(first[2:18])).encryptor()
    body = first + made.update(inner) + made.finalize()
    return pkesk(cert, session_key) + packet(9, body)


def deflated(inner: bytes, algorithm: int = 1) -> bytes:
    """`inner` in a compressed data packet: 1 raw deflate, 2 zlib."""
    made = zlib.compressobj(9, wbits=-15 if algorithm == 1 else 15)
    return packet(8, bytes([algorithm]) + made.compress(inner) + made.flush())


def bomb(octets: int, rounds: int = 2) -> bytes:
    """A literal packet of `octets` zeros (whole MiB), deflated `rounds` times; quickly made."""
    made = zlib.compressobj(9, wbits=-15)
    head = bytes([0xCB, 255]) + (octets + 6).to_bytes(4) + b"b\0" + bytes(4)
    start = made.compress(head) + made.flush(zlib.Z_FULL_FLUSH)
    # after a full flush nothing refers to what came before: the same block fits any number of times
    block = made.compress(bytes(1 << 20)) + made.flush(zlib.Z_FULL_FLUSH)
    inner = packet(8, b"\1" + start + block * (octets >> 20) + made.flush())
    for _ in range(rounds - 1):
        inner = deflated(inner)
    return inner
