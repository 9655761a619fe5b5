"""Many small replies leave as few large writes, and never as one huge one."""

from __future__ import annotations

from .limits import CHUNK


class Chunks:
    """add() pieces; once `full`, take() the octets so far."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def full(self) -> bool:
        return self._size >= CHUNK

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def take(self) -> bytes:
        octets = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        return octets
