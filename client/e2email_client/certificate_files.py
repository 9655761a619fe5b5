"""Certificates in what a file or a key directory holds: armored or binary, one or several."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from e2email_client.failure import LocalFault
from e2email_crypto import packets
from e2email_crypto.armor import dearmor
from e2email_crypto.errors import BadArmor, BadMessage, TooLarge

# A keyring of a family; one certificate has at most 64 KiB.
FILE_MAX: Final = 1024 * 1024
_PACKETS_MAX: Final = 10_000
_BLOCK: Final = re.compile(
    rb"-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----.*?-----END PGP \1 KEY BLOCK-----", re.DOTALL
)
_STARTS: Final = frozenset({packets.PUBLIC_KEY, packets.SECRET_KEY})


def read_key_file(path: Path) -> bytes:
    """LocalFault: it cannot be read, or is larger than a file of keys is."""
    try:
        with path.open("rb") as file:
            octets = file.read(FILE_MAX + 1)
    except OSError as fault:
        raise LocalFault(f"{path} cannot be read: {fault.strerror}.") from fault
    if len(octets) > FILE_MAX:
        raise LocalFault(f"{path} is too large for a file of keys (1 MiB).")
    return octets


def certificates_in(octets: bytes) -> list[bytes]:
    """Each by itself, binary, unjudged; what cannot be told apart is given as it is."""
    blocks = [(one[0], b"%b KEY BLOCK" % one[1]) for one in _BLOCK.finditer(octets)]
    if not blocks:
        return _apart(octets)
    return [one for armored, kind in blocks for one in _apart(_binary(armored, kind))]


def _binary(armored: bytes, kind: bytes) -> bytes:
    try:
        return dearmor(armored, kind, FILE_MAX)
    except (BadArmor, TooLarge):
        return armored  # no certificate, and judged as such


def _apart(octets: bytes) -> list[bytes]:
    try:
        found = packets.split(octets, _PACKETS_MAX)
    except (BadMessage, TooLarge):
        return [octets]
    keys: list[bytearray] = []
    for packet in found:
        if packet.tag in _STARTS or not keys:
            keys.append(bytearray())
        keys[-1] += packet.raw
    return [bytes(one) for one in keys] or [octets]
