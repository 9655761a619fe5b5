"""THREAD and UID THREAD (RFC 5256)."""

from __future__ import annotations

from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..forest import render
from ..search_keys import Key
from ..threads import ALGORITHMS, FIELDS
from .search import admit, outlines, parse_criteria


@dataclass(frozen=True, slots=True)
class Thread:
    algorithm: bytes
    key: Key
    uid: bool

    async def run(self, context: Context) -> Steps:
        context.require((b"THREAD=" + self.algorithm,))
        yield admit(context, self.key)
        found = await outlines(context, self.key, FIELDS[self.algorithm])
        roots = ALGORITHMS[self.algorithm](
            [(m.entry.uid if self.uid else m.number, outline) for m, outline in found]
        )
        out = Chunks()
        out.add(b"* THREAD" + (b" " if roots else b""))
        for root in roots:
            out.add(render(root))
            if out.full:
                yield out.take()
        out.add(b"\r\n")
        yield out.take()
        yield Ok()


# thread = "THREAD" SP thread-alg SP charset 1*(SP search-key)
def parse(cursor: Cursor, uid: bool) -> Thread:
    cursor.space()
    algorithm = cursor.word()
    cursor.space()
    return Thread(algorithm, parse_criteria(cursor), uid)
