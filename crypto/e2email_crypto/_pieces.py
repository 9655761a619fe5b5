"""Octets that come in pieces of any size, read as one stream."""

from collections.abc import Iterable


class Pieces:
    """Takes octets off the front; views, so that a 50 MB piece is not copied whole."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._view = memoryview(b"")

    def take(self, size: int) -> bytes:
        """`size` octets, fewer only at the end."""
        taken: list[memoryview] = []
        while size:
            piece = self.some(size)
            if not piece:
                break
            taken.append(piece)
            size -= len(piece)
        return b"".join(taken)

    def some(self, most: int) -> memoryview:
        """What is at hand, at least one octet and at most so many; nothing at the end."""
        while not self._view:
            piece = next(self._pieces, None)
            if piece is None:
                return memoryview(b"")
            self._view = memoryview(piece)
        taken, self._view = self._view[:most], self._view[most:]
        return taken
