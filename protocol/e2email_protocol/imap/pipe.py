"""The octets of a connection, both ways: as they are, or through DEFLATE (RFC 4978)."""

from __future__ import annotations

from .deflate import Deflate
from .reader import Reader


class Pipe:
    """receive() from the wire into `reader`; pack() what goes out."""

    def __init__(self, reader: Reader):
        self.reader = reader
        self._deflate: Deflate | None = None

    @property
    def backlog(self) -> int:
        """Octets received and not looked at yet."""
        return self.reader.backlog + (0 if self._deflate is None else self._deflate.backlog)

    def receive(self, data: bytes) -> None:
        if self._deflate is None:
            self.reader.feed(data)
        else:
            self._deflate.receive(data)

    def more(self) -> bool:
        """Feed the reader a little of what is compressed; False: there is none. BadDeflate."""
        if self._deflate is None:
            return False
        octets = self._deflate.inflate()
        self.reader.feed(octets)
        return bool(octets)

    def pack(self, octets: bytes) -> bytes:
        return octets if self._deflate is None else self._deflate.deflate(octets)

    def compress(self) -> None:
        """From here on; what was received and not looked at is compressed already."""
        if self._deflate is None:
            self._deflate = Deflate()
            self._deflate.receive(self.reader.take())
