"""Signatures of a primary key over its own parts, versions 4 and 6 (RFC 9580, 5.2.3 and 5.2.4).

No library writes all that an edit needs: PGPy knows version 4 only and drops what it does not know,
pysequoia adds and revokes no subkey, rpgp neither. The arithmetic is `cryptography`'s; both Rust
libraries must accept every signature made here before anybody sees it (keyproof).
"""

import hashlib
import os
from collections.abc import Iterable

from . import _openssl, packets
from .errors import BadKey
from .keytree import CREATED, FLAGS, ISSUER, ISSUER_FINGERPRINT, KEY_LIFETIME, LIFETIME
from .secretpacket import SecretPacket

_SHA512 = 10
_SALT = 32  # RFC 9580, 9.5: of a version 6 signature over SHA-512
# A program that does not understand these must not take the signature for more than it is.
_CRITICAL = frozenset({LIFETIME, KEY_LIFETIME, FLAGS})


class Signer:
    """The secret primary key of an edit, and the time that its signatures say."""

    __slots__ = ("_key", "created")

    def __init__(self, primary: SecretPacket, created: int) -> None:
        """`created` in seconds since 1970. Raises BadKey for a key that cannot sign."""
        if primary.algorithm not in _openssl.SIGNING:
            raise BadKey("a primary key that cannot sign")
        self._key, self.created = primary, created

    def __repr__(self) -> str:
        return "Signer(…)"

    def over(self, kind: int, part: bytes, says: Iterable[tuple[int, bytes]]) -> packets.Packet:
        """A signature packet of this type over the primary key and `part` (see `of_key`, …).

        `says` are the hashed subpackets beside time and issuer.
        """
        version, facts = self._key.version, packets.key_facts(self._key.public)
        issuer = bytes([version]) + bytes.fromhex(facts.fingerprint)
        area = _area([
            (CREATED, self.created.to_bytes(4)), (ISSUER_FINGERPRINT, issuer), *says,
        ])  # fmt: skip
        # old programs look a signer up by this alone; version 6 forbids it
        loose = _area([(ISSUER, bytes.fromhex(facts.key_id))]) if version == 4 else b""
        width = 2 if version == 4 else 4
        head = bytes([version, kind, self._key.algorithm, _SHA512]) + len(area).to_bytes(width)
        head += area
        salt = os.urandom(_SALT) if version == 6 else b""
        trailer = bytes([version, 0xFF]) + len(head).to_bytes(4)
        digest = hashlib.sha512(salt + of_key(self._key.public) + part + head + trailer).digest()
        body = head + len(loose).to_bytes(width) + loose + digest[:2]
        body += bytes([len(salt)]) + salt if salt else b""
        body += self._sign(digest)
        return packets.Packet(packets.SIGNATURE, packets.packet(packets.SIGNATURE, body), body)

    def _sign(self, digest: bytes) -> bytes:
        key = self._key
        try:
            return _openssl.sign(key.algorithm, key.fields, key.secret, digest)
        except _openssl.LibraryRefused:
            raise BadKey("a primary key that does not sign") from None


def of_key(public: bytes) -> bytes:
    """What a signature over a key hashes of it."""
    if public[0] == 4:
        return b"\x99" + len(public).to_bytes(2) + public
    return b"\x9b" + len(public).to_bytes(4) + public


def of_user_id(user_id: bytes) -> bytes:
    return b"\xb4" + len(user_id).to_bytes(4) + user_id


def _area(subpackets: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(_subpacket(kind, value) for kind, value in subpackets)


def _subpacket(kind: int, value: bytes) -> bytes:
    marked = kind | 0x80 if kind in _CRITICAL else kind
    size = len(value) + 1
    if size < 192:
        return bytes([size, marked]) + value
    return b"\xff" + size.to_bytes(4) + bytes([marked]) + value
