"""Recorded changes: octets, what stood there, what stands there now. Never a pattern."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# One for each Content-* field that is moved and four more; beyond it the mail is wrapped instead.
MAX_CHANGES = 64


class BadChange(ValueError):
    """The recorded changes do not belong to these octets."""


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """At `offset` of the delivered octets `removed` was taken out and `inserted` put in."""

    offset: int
    removed: bytes
    inserted: bytes

    def __repr__(self) -> str:
        """Place and lengths only: the octets are header text."""
        return f"<Change at {self.offset}: -{len(self.removed)} +{len(self.inserted)}>"


def apply(octets: bytes, changes: Sequence[Change]) -> bytes:
    """The changed octets. Raises BadChange when out of order, out of bounds or not found."""
    return _run(octets, ((c.offset, c.removed, c.inserted) for c in changes))


def invert(octets: bytes, changes: Sequence[Change]) -> bytes:
    """The octets before apply(). Raises BadChange as apply() does."""
    return _run(octets, _inverse(changes))


def _inverse(changes: Sequence[Change]) -> Iterable[tuple[int, bytes, bytes]]:
    grown = 0  # how much longer the changed octets are than the delivered, up to this change
    for change in changes:
        yield change.offset + grown, change.inserted, change.removed
        grown += len(change.inserted) - len(change.removed)


def _run(octets: bytes, edits: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    pieces: list[bytes | memoryview] = []
    view = memoryview(octets)
    position = 0
    for offset, old, new in edits:
        end = offset + len(old)
        if offset < position or end > len(octets) or view[offset:end] != old:
            raise BadChange("a recorded change does not fit the octets")
        pieces += [view[position:offset], new]
        position = end
    pieces.append(view[position:])
    return b"".join(pieces)
