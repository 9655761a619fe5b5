"""Transcripts: `C:` what the client sends, `S:` what the engine says, `X:` what happens meanwhile,
`P:` that many octets of padding. And ways of cutting what is sent.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Turn:
    """One thing that happens, and what the engine says to it."""

    octets: bytes = b""
    action: list[str] = field(default_factory=list)
    expected: bytes = b""


def turns(lines: list[str]) -> list[Turn]:
    found: list[Turn] = []
    sending = False
    for line in lines:
        kind, text = line[:2], line[3:]
        if kind in ("C:", "P:"):
            if not sending:
                found.append(Turn())
            found[-1].octets += text.encode() + b"\r\n" if kind == "C:" else b"x" * int(text)
        elif kind == "X:":
            found.append(Turn(action=text.split()))
        elif kind == "S:":
            found[-1].expected += text.encode() + b"\r\n"
        elif not line.startswith("#"):
            raise ValueError(f"what is this line: {line!r}")
        sending = kind in ("C:", "P:")
    return found


def options(lines: list[str]) -> dict[str, str]:
    """The words of `# setup:`: name, or name=value."""
    words = next((line for line in lines if line.startswith("# setup:")), "# setup:")[8:].split()
    return dict(word.partition("=")[::2] for word in words)


def read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def whole(octets: bytes) -> list[bytes]:
    return [octets]


def single(octets: bytes) -> list[bytes]:
    return [octets[at : at + 1] for at in range(len(octets))]


def at_random(seed: int):
    rng = random.Random(seed)

    def cut(octets: bytes) -> list[bytes]:
        places = sorted(rng.sample(range(len(octets) + 1), min(3, len(octets))))
        return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]

    return cut
