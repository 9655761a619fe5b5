"""Comparing keys with their owner: words that both read the same, or a code that is scanned.

docs/specs/verification.md. Each side's half is a function of its keys alone, and the halves are put
in order, so both people see the same sixteen words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from e2email_crypto import words

LABEL: Final = b"e2email v1 verification"
HALF: Final = 8  # words: 88 bits of each side
# Somebody who looks for other keys with the same words pays this for each try: 2^100 in all.
ROUNDS: Final = 4096
_SCHEME: Final = "OPENPGP4FPR:"
_SCANNED: Final = re.compile(r"openpgp4fpr:([0-9a-f]{64}|[0-9a-f]{40})(?:#.*)?", re.IGNORECASE)


def half(fingerprints: Iterable[str]) -> tuple[str, ...]:
    """Of all keys that one side's mail is encrypted to; fingerprints in upper-case hex."""
    return _half(tuple(sorted(set(fingerprints))))


@lru_cache  # one's own half is part of every comparison
def _half(fingerprints: tuple[str, ...]) -> tuple[str, ...]:
    keys = b"".join(len(one).to_bytes(1) + bytes.fromhex(one) for one in fingerprints)
    digest = LABEL
    for _ in range(ROUNDS):
        digest = hashlib.sha256(digest + keys).digest()
    return words.encode(digest[: words.SECRET_SIZE], words.PAIRING_COUNT, LABEL)[:HALF]


def both(mine: Iterable[str], theirs: Iterable[str]) -> tuple[str, ...]:
    """What both people compare: the same sixteen words, whoever looks."""
    first, second = sorted((half(mine), half(theirs)))
    return first + second


def code(fingerprint: str) -> str:
    """The text of a QR code that other OpenPGP programs know, too."""
    return _SCHEME + fingerprint


def scanned(text: str) -> str | None:
    """The fingerprint that such a code names; None: it is another code."""
    found = _SCANNED.fullmatch(text.strip())
    return found[1].upper() if found else None
