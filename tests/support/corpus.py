"""Real messages that nobody on this project wrote, read from outside the project."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("E2EMAIL_CORPUS", ROOT.parent / "shared" / "corpus"))
_BARE_LF = re.compile(rb"(?<!\r)\n")


def as_sent(octets: bytes) -> bytes:
    """What an SMTP client sends of a stored file: CRLF lines, a final CRLF, else unchanged."""
    octets = _BARE_LF.sub(b"\r\n", octets)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def messages() -> Iterator[tuple[str, bytes]]:
    """(name, octets as sent) of every corpus message; skips the test where there is no corpus."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}; set E2EMAIL_CORPUS")
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and path.parent != CORPUS:
            yield str(path.relative_to(CORPUS)), as_sent(path.read_bytes())
