"""SORT and UID SORT (RFC 5256)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand
from ..extensions import Outline
from ..limits import SORT_KEYS
from ..outline import base_subject
from ..search_keys import Key
from .search import admit, highest, modseq_asked, numbers_reply, outlines, parse_criteria

# What is looked at of an Outline, and the value by which is sorted.
KEYS: dict[bytes, tuple[str, Callable[[Outline], int | str]]] = {
    b"ARRIVAL": ("arrived", lambda outline: outline.arrived),
    b"CC": ("cc", lambda outline: outline.cc.casefold()),
    b"DATE": ("sent", lambda outline: outline.sent),
    b"FROM": ("sender", lambda outline: outline.sender.casefold()),
    b"SIZE": ("size", lambda outline: outline.size),
    b"SUBJECT": ("subject", lambda outline: base_subject(outline.subject)[0]),
    b"TO": ("to", lambda outline: outline.to.casefold()),
}


@dataclass(frozen=True, slots=True)
class Criterion:
    name: bytes
    reverse: bool


@dataclass(frozen=True, slots=True)
class Sort:
    criteria: tuple[Criterion, ...]
    key: Key
    uid: bool

    async def run(self, context: Context) -> Steps:
        context.require((b"SORT",))
        yield admit(context, self.key)
        fields = {KEYS[criterion.name][0] for criterion in self.criteria}
        found = await outlines(context, self.key, fields)
        # by the last criterion first: sorting is stable, and numbers ascend to begin with
        for criterion in reversed(self.criteria):
            _, value = KEYS[criterion.name]
            found.sort(key=lambda pair: value(pair[1]), reverse=criterion.reverse)
        messages = [message for message, _ in found]
        numbers = [m.entry.uid if self.uid else m.number for m in messages]
        modseq = highest(messages) if modseq_asked(self.key) else b""
        for octets in numbers_reply(b"SORT", numbers, modseq):
            yield octets
        yield Ok()


# sort = "SORT" SP "(" sort-criterion *(SP sort-criterion) ")" SP charset 1*(SP search-key)
# sort-criterion = ["REVERSE" SP] sort-key
def parse(cursor: Cursor, uid: bool) -> Sort:
    cursor.space()
    cursor.expect(b"(")
    criteria = [_parse_criterion(cursor)]
    while not cursor.take(b")"):
        cursor.space()
        criteria.append(_parse_criterion(cursor))
        if len(criteria) > SORT_KEYS:
            raise BadCommand(b"too many sort keys")
    cursor.space()
    return Sort(tuple(criteria), parse_criteria(cursor), uid)


def _parse_criterion(cursor: Cursor) -> Criterion:
    reverse = cursor.take(b"REVERSE ")
    name = cursor.word()
    if name not in KEYS:
        raise BadCommand(b"unknown sort key")
    return Criterion(name, reverse)
