"""COMPRESS (RFC 4978): from the reply on, both directions are DEFLATE."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import COMPRESS, Context, Ok, Steps
from ..cursor import Cursor
from ..errors import Cannot, Refused


class UnknownAlgorithm(Cannot):
    text = b"only DEFLATE is known here"


class CompressionActive(Refused):
    code = b"COMPRESSIONACTIVE"
    text = b"it is compressed already"


@dataclass(frozen=True, slots=True)
class Compress:
    algorithm: bytes

    async def run(self, context: Context) -> Steps:
        if context.compressed:
            raise CompressionActive
        context.require((COMPRESS,))
        if self.algorithm != b"DEFLATE":
            raise UnknownAlgorithm
        context.compressed = True
        yield Ok(b"DEFLATE from here on")


# compress = "COMPRESS" SP algorithm; algorithm = "DEFLATE"
def parse(cursor: Cursor) -> Compress:
    cursor.space()
    algorithm = cursor.word()
    cursor.end()
    return Compress(algorithm)
