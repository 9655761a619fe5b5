"""COMPRESS=DEFLATE (RFC 4978): both directions of one connection, and what a bomb may cost.

Little comes out at a time and nothing is inflated ahead: the rest waits as it was received.
"""

from __future__ import annotations

import zlib

from .limits import INFLATE, INFLATE_FROM

_RAW = -zlib.MAX_WBITS  # RFC 1951 without a header; the client may look back 32 KiB
_WINDOW = -13  # what we look back, and MEMORY: some 40 KiB a connection, zlib's own are 256
_MEMORY = 5
_LEVEL = 3  # armor is Huffman's work only, searching longer finds nothing


class BadDeflate(Exception):
    """The peer's octets are no DEFLATE, or it ended its stream."""


class Deflate:
    """receive() octets of the wire, inflate() until it gives nothing; deflate() the other way."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._tail = b""  # given to zlib and not taken
        self._more = False  # zlib holds output back
        self._inflater = zlib.decompressobj(_RAW)
        self._deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)

    @property
    def backlog(self) -> int:
        """Octets received and not inflated yet."""
        return len(self._waiting) + len(self._tail)

    def receive(self, data: bytes) -> None:
        self._waiting += data

    def inflate(self) -> bytes:
        """At most INFLATE octets; b"": more input is needed. BadDeflate."""
        while self._more or self._tail or self._waiting:
            octets = self._tail
            if not octets and not self._more:
                octets = bytes(self._waiting[:INFLATE_FROM])
                del self._waiting[: len(octets)]
            try:
                found = self._inflater.decompress(octets, INFLATE)
            except zlib.error as error:
                raise BadDeflate from error
            self._tail = self._inflater.unconsumed_tail
            self._more = len(found) == INFLATE
            if found:
                return found
            if self._inflater.eof:
                raise BadDeflate
        return b""

    def deflate(self, octets: bytes) -> bytes:
        """All of it, to be read at once by the client; nothing of nothing."""
        if not octets:
            return b""
        return self._deflater.compress(octets) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
