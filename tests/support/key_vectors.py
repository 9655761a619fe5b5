"""Writing and bending portable vectors of the key formats; docs/specs/keys.md, "Vectors"."""

import base64
import json
from pathlib import Path
from typing import Any

from e2email_crypto import _wire

VECTORS = Path(__file__).parents[1] / "vectors"
ACCOUNT, SERVER, OTHER = "alice@example.test", "mail.example.test", "bob@example.test"
SECRET, WRONG = bytes(range(32)), bytes(range(1, 33))
NAMES_END = 10 + 8 + len(ACCOUNT) + len(SERVER)  # head and names, without what a kind adds


def case(
    kind: str, name: str, about: str, given: dict[str, Any], expect: str, **gives: Any
) -> None:
    """Writes one file, once: a published vector stays what it is (nonces are fresh)."""
    path = VECTORS / kind / f"{name}.json"
    if path.exists():
        return
    value = {"format": kind, "about": about, "given": given, "expect": expect, "gives": gives}
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def flipped(data: bytes, at: int) -> bytes:
    """One bit changed, the checksum left as it was."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def forged(data: bytes, at: int, octets: bytes) -> bytes:
    """Octets replaced and the checksum made new: what somebody does on purpose."""
    body = data[:-8]
    return _wire.finish(body[:at] + octets + body[at + len(octets) :])
