"""Recorded changes: octets, what stood there, what stands there now. Never a pattern."""

from collections.abc import Iterable, Iterator, Sequence
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
    return b"".join(_pieces(octets, ((c.offset, c.removed, c.inserted) for c in changes)))


def invert(octets: bytes, changes: Sequence[Change]) -> bytes:
    """The octets before apply(). Raises BadChange as apply() does."""
    return b"".join(_pieces(octets, _inverse(changes)))


def restores(octets: bytes, changes: Sequence[Change], wanted: bytes) -> bool:
    """Whether invert() gives exactly `wanted`; compares in place, large mail is not copied."""
    position = 0
    try:
        for piece in _pieces(octets, _inverse(changes)):
            if not wanted.startswith(piece, position):
                return False
            position += len(piece)
    except BadChange:
        return False
    return position == len(wanted)


def _inverse(changes: Sequence[Change]) -> Iterable[tuple[int, bytes, bytes]]:
    grown = 0  # how much longer the changed octets are than the delivered, up to this change
    for change in changes:
        yield change.offset + grown, change.inserted, change.removed
        grown += len(change.inserted) - len(change.removed)


def _pieces(
    octets: bytes, edits: Iterable[tuple[int, bytes, bytes]]
) -> Iterator[bytes | memoryview]:
    view = memoryview(octets)
    position = 0
    for offset, old, new in edits:
        end = offset + len(old)
        if offset < position or end > len(octets) or view[offset:end] != old:
            raise BadChange("a recorded change does not fit the octets")
        yield view[position:offset]
        yield new
        position = end
    yield view[position:]
