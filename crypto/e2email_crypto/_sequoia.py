"""The only door to pysequoia: plain values in and out, one error, no library text.

pysequoia can raise PanicException, which is a BaseException, and its error text carries a Rust and
C backtrace when RUST_BACKTRACE is set; both end here.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

# Backtraces cost up to 0.1 s an error and would be copied into every error text. Read by the
# Rust code when it first builds an error, so it must be gone before that.
os.environ.pop("RUST_BACKTRACE", None)

import pysequoia

T = TypeVar("T")

# Parsed certificates by value. A parsed one is some tens of KiB; 1,024 covers a small firm.
PARSED_CERTS = 1024

_WEAK_HASHES = (
    pysequoia.packet.HashAlgorithm.MD5,
    pysequoia.packet.HashAlgorithm.SHA1,
    pysequoia.packet.HashAlgorithm.RipeMD,
)


class LibraryRefused(Exception):
    """pysequoia failed or panicked. Carries nothing of the cause on purpose."""


def _call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    try:
        return function(*args, **kwargs)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:  # noqa: BLE001  # PanicException derives from BaseException only
        raise LibraryRefused from None


@dataclass(frozen=True, slots=True)
class Standing:
    """What pysequoia's policy says of a certificate at this moment."""

    revoked: bool
    bound: bool  # the policy accepts a self-signature
    expires: int | None  # seconds since 1970; None: never, or not bound
    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """What a signature claims of itself, unverified."""

    issuer: str  # upper-case hex: fingerprint if stated, else key id, else ""
    created: int | None
    expires: int | None
    weak_hash: bool


def standing(cert: bytes, *, with_user_ids: bool = False) -> Standing:
    """The standing of a certificate whose size and packet count were checked before."""
    parsed = _call(pysequoia.Cert.from_bytes, cert)
    revoked = bool(_call(lambda: parsed.is_revoked))
    try:
        expires = _call(lambda: parsed.expiration)
    except LibraryRefused:
        return Standing(revoked, False, None, ())
    names: tuple[str, ...] = ()
    if with_user_ids:
        names = tuple(_call(lambda: [str(u) for u in parsed.user_ids]))
    return Standing(revoked, True, int(expires.timestamp()) if expires else None, names)


@lru_cache(maxsize=PARSED_CERTS)
def _parsed(cert: bytes) -> Any:
    return _call(pysequoia.Cert.from_bytes, cert)


def encrypt(plaintext: bytes, reduced: Sequence[bytes]) -> bytes:
    """A binary message to every given reduced certificate. Never compressed, never signed."""
    certs = [_parsed(cert) for cert in reduced]
    return bytes(_call(pysequoia.encrypt, plaintext, certs, armor=False))


def signature_facts(signature: bytes) -> SignatureFacts:
    """The claims of one binary signature packet."""
    parsed = _call(pysequoia.Sig.from_bytes, signature)
    return _call(_signature_facts, parsed)


def _signature_facts(parsed: Any) -> SignatureFacts:
    issuer = parsed.issuer_fingerprint or parsed.issuer_key_id or ""
    created, expires = parsed.created, parsed.expiration
    return SignatureFacts(
        issuer.upper(),
        int(created.timestamp()) if created else None,
        int(expires.timestamp()) if expires else None,
        parsed.hash_algorithm in _WEAK_HASHES,
    )


def verify(data: bytes, signature: bytes, certs: Sequence[bytes]) -> tuple[str, str]:
    """(certificate fingerprint, signing key fingerprint) of the certificate that signed `data`.

    Raises LibraryRefused if none of `certs` did, or the policy refuses signature or certificate.
    """
    parsed = _call(pysequoia.Sig.from_bytes, signature)
    known = [_parsed(cert) for cert in certs]
    result = _call(pysequoia.verify, bytes=data, store=lambda _key_ids: known, signature=parsed)
    return _call(_signer, result)


def _signer(result: Any) -> tuple[str, str]:
    valid = result.valid_sigs[0]
    return valid.certificate.upper(), valid.signing_key.upper()
