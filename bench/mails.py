"""Seeded messages of three sizes: the same for every server that is measured."""

from __future__ import annotations

import base64
import random

# name: (distinct bodies, octets of text, octets of the attachment before base64)
SIZES = {"4k": (64, 3_500, 0), "50k": (24, 22_000, 20_000), "5m": (3, 4_000, 5_000_000)}
_LETTERS = "etaoinshrdlucmfwypvbgk"


def _text(rng: random.Random, octets: int) -> str:
    words = ["".join(rng.choices(_LETTERS, k=rng.randint(2, 9))) for _ in range(400)]
    lines, size = [], 0
    while size < octets:
        line = " ".join(rng.choices(words, k=10))
        lines.append(line)
        size += len(line) + 2
    return "\r\n".join(lines) + "\r\n"


def _body(rng: random.Random, text: int, attachment: int) -> bytes:
    if not attachment:
        return ("Content-Type: text/plain; charset=utf-8\r\n\r\n" + _text(rng, text)).encode()
    data = base64.encodebytes(rng.randbytes(attachment)).replace(b"\n", b"\r\n")
    head = (
        'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\n--=_b\r\n'
        "Content-Type: text/plain; charset=utf-8\r\n\r\n" + _text(rng, text) + "--=_b\r\n"
        'Content-Type: application/octet-stream; name="data.bin"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="data.bin"\r\n\r\n'
    )
    return head.encode() + data + b"--=_b--\r\n"


class Mails:
    """`mail(i, recipient)` is the i-th of an endless sequence, CRLF lines, dot-stuffed."""

    def __init__(self, size: str) -> None:
        count, text, attachment = SIZES[size]
        rng = random.Random(f"e2email bench {size}")
        self._bodies = [
            _body(rng, text, attachment).replace(b"\r\n.", b"\r\n..") for _ in range(count)
        ]
        self._subjects = [" ".join(_text(rng, 40).split()[:5]) for _ in range(101)]

    def mail(self, i: int, recipient: str) -> bytes:
        head = (
            f"From: Sender {i % 50} <s{i % 50}@sender.test>\r\nTo: <{recipient}>\r\n"
            f"Subject: {i} {self._subjects[i % 101]}\r\n"
            "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{i}@sender.test>\r\nMIME-Version: 1.0\r\n"
        )
        return head.encode() + self._bodies[i % len(self._bodies)]
