"""OpenPGP version 4 keys, signatures and messages made by hand, right or wrong on purpose.

Independent of every library under test; only the mathematics is `cryptography`'s.
"""

import hashlib
import time
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, utils, x25519

NOW = int(time.time())
DAY = 86_400
SOON = NOW + DAY  # a time at which keys made while the tests run are not from the future
HASHES = {"md5": 1, "sha1": 2, "ripemd160": 3, "sha256": 8, "sha512": 10}
CERTIFY, SIGN, ENCRYPT = 1, 2, 0x0C
_ED25519 = bytes.fromhex("092b06010401da470f01")
_CV25519 = bytes.fromhex("0a2b060104019755010501")


def packet(tag: int, body: bytes) -> bytes:
    """A packet with a new-format header, always in five length octets."""
    return bytes([0xC0 | tag, 255]) + len(body).to_bytes(4) + body


def mpi(value: bytes | int) -> bytes:
    number = value if isinstance(value, int) else int.from_bytes(value)
    bits = number.bit_length()
    return bits.to_bytes(2) + number.to_bytes((bits + 7) // 8)


def sub(kind: int, value: bytes) -> bytes:
    """A signature subpacket."""
    return bytes([len(value) + 1, kind]) + value


def time4(seconds: int) -> bytes:
    return seconds.to_bytes(4)


class Key:
    """A key with its secret; `body` is the public key packet's body."""

    def __init__(self, algorithm: int, created: int, material: bytes, secret: bytes) -> None:
        self.algorithm, self.created = algorithm, created
        self.body = b"\x04" + time4(created) + bytes([algorithm]) + material
        self._secret = secret
        self.fingerprint = hashlib.sha1(self.hashed()).hexdigest().upper()
        self.key_id = self.fingerprint[-16:]

    def hashed(self) -> bytes:
        return b"\x99" + len(self.body).to_bytes(2) + self.body

    def public(self, tag: int) -> bytes:
        return packet(tag, self.body)

    def secret(self, tag: int) -> bytes:
        checksum = (sum(self._secret) & 0xFFFF).to_bytes(2)
        return packet(tag, self.body + b"\0" + self._secret + checksum)

    def raw_sign(self, digest: bytes, hash_name: str) -> bytes:
        raise NotImplementedError


class Ed25519(Key):
    def __init__(self, created: int = NOW - 30 * DAY) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()
        public = b"\x40" + self._key.public_key().public_bytes_raw()
        super().__init__(22, created, _ED25519 + mpi(public), mpi(self._key.private_bytes_raw()))

    def raw_sign(self, digest: bytes, hash_name: str) -> bytes:
        made = self._key.sign(digest)
        return mpi(made[:32]) + mpi(made[32:])


class Cv25519(Key):
    def __init__(self, created: int = NOW - 30 * DAY) -> None:
        key = x25519.X25519PrivateKey.generate()
        raw = bytearray(key.private_bytes_raw())
        raw[0] &= 248
        raw[31] = raw[31] & 127 | 64
        public = b"\x40" + key.public_key().public_bytes_raw()
        material = _CV25519 + mpi(public) + bytes([3, 1, 8, 7])
        super().__init__(18, created, material, mpi(bytes(reversed(raw))))


class Rsa(Key):
    def __init__(self, bits: int, created: int = NOW - 30 * DAY) -> None:
        self._key = rsa.generate_private_key(65537, bits)
        n = self._key.private_numbers()
        public = mpi(n.public_numbers.n) + mpi(n.public_numbers.e)
        secret = mpi(n.d) + mpi(n.q) + mpi(n.p) + mpi(pow(n.q, -1, n.p))
        super().__init__(1, created, public, secret)

    def raw_sign(self, digest: bytes, hash_name: str) -> bytes:
        algorithm = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha512": hashes.SHA512}
        prehashed = utils.Prehashed(algorithm[hash_name]())
        return mpi(self._key.sign(digest, padding.PKCS1v15(), prehashed))


def signature(
    signer: Key,
    kind: int,
    over: bytes,
    hashed: bytes = b"",
    *,
    created: int | None = None,
    hash_name: str = "sha512",
    unhashed: bytes = b"",
) -> bytes:
    """A signature packet of `signer` over the octets `over`."""
    made = signer.created + 1 if created is None else created
    area = sub(2, time4(made)) + sub(33, b"\x04" + bytes.fromhex(signer.fingerprint)) + hashed
    loose = sub(16, bytes.fromhex(signer.key_id)) + unhashed
    head = bytes([4, kind, signer.algorithm, HASHES[hash_name]]) + len(area).to_bytes(2) + area
    trailer = b"\x04\xff" + len(head).to_bytes(4)
    digest = hashlib.new(hash_name, over + head + trailer).digest()
    body = head + len(loose).to_bytes(2) + loose + digest[:2] + signer.raw_sign(digest, hash_name)
    return packet(2, body)


def binding(
    primary: Key,
    subkey: Key,
    flags: int = ENCRYPT,
    *,
    lifetime: int = 0,
    created: int | None = None,
    hash_name: str = "sha512",
    kind: int = 0x18,
    unhashed: bytes = b"",
    hashed: bytes = b"",
) -> bytes:
    area = hashed + (sub(27, bytes([flags])) if flags else b"")
    area += sub(9, time4(lifetime)) if lifetime else b""
    over = primary.hashed() + subkey.hashed()
    return signature(
        primary, kind, over, area, created=created, hash_name=hash_name, unhashed=unhashed
    )


def self_signature(
    primary: Key,
    user_id: bytes,
    *,
    lifetime: int = 0,
    flags: int = CERTIFY | SIGN,
    hash_name: str = "sha512",
    created: int | None = None,
) -> bytes:
    area = sub(27, bytes([flags])) + sub(11, b"\x09\x07") + sub(21, b"\x0a\x08") + sub(30, b"\1")
    area += sub(9, time4(lifetime)) if lifetime else b""
    over = primary.hashed() + b"\xb4" + len(user_id).to_bytes(4) + user_id
    return signature(primary, 0x13, over, area, hash_name=hash_name, created=created)


@dataclass
class Forged:
    """A key as parts that a test may add to, drop or exchange before taking `cert` or `tsk`."""

    primary: Key = field(default_factory=Ed25519)
    user_id: bytes = b"Ann <ann@example.org>"
    direct: bytes = b""  # after the primary key: revocations, direct signatures
    self_sig: bytes | None = None
    subkeys: list[tuple[Key, bytes]] = field(default_factory=list)

    def add(self, subkey: Key | None = None, flags: int = ENCRYPT, **options: object) -> Key:
        """Bind a new encryption subkey (or the one given)."""
        subkey = subkey or Cv25519(self.primary.created)
        self.subkeys.append((subkey, binding(self.primary, subkey, flags, **options)))
        return subkey

    def revoke(self, index: int, **options: object) -> None:
        key, signatures = self.subkeys[index]
        reason = sub(29, b"\0")
        made = binding(self.primary, key, 0, kind=0x28, hashed=reason, **options)
        self.subkeys[index] = (key, made + signatures)

    def revocation(self, reason: int = 0) -> bytes:
        """A revocation of the whole key."""
        return signature(
            self.primary, 0x20, self.primary.hashed(), sub(29, bytes([reason])), created=NOW - DAY
        )

    def _user(self) -> bytes:
        sig = self.self_sig
        if sig is None:
            sig = self_signature(self.primary, self.user_id)
        return packet(13, self.user_id) + sig

    @property
    def cert(self) -> bytes:
        subkeys = b"".join(k.public(14) + s for k, s in self.subkeys)
        return self.primary.public(6) + self.direct + self._user() + subkeys

    @property
    def tsk(self) -> bytes:
        subkeys = b"".join(k.secret(7) + s for k, s in self.subkeys)
        return self.primary.secret(5) + self.direct + self._user() + subkeys


def person() -> Forged:
    """A good key with one encryption subkey."""
    made = Forged()
    made.add()
    return made
