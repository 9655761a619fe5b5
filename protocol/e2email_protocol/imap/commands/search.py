"""SEARCH and UID SEARCH (RFC 3501 §6.4.4), with RETURN (RFC 4731) and MODSEQ (RFC 7162)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand
from ..search_keys import REQUIRES, And, Key, Modseq, leaves, parse_charset, parse_keys
from ..search_run import Search as Run
from ..sequence import render_set
from ..view import Numbered

_RETURNS = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT"})
_SLICE = 5000  # numbers that are put into one piece of the reply


@dataclass(frozen=True, slots=True)
class Search:
    key: Key
    returns: frozenset[bytes] | None  # None: the old SEARCH reply
    uid: bool

    async def run(self, context: Context) -> Steps:
        kinds = {type(leaf) for leaf in leaves(self.key)}
        context.require(REQUIRES[kind] for kind in kinds if kind in REQUIRES)
        by_modseq = Modseq in kinds
        if by_modseq:
            yield context.enable(b"CONDSTORE")
        found = await Run(context.selected).run(self.key)
        numbers = [m.entry.uid if self.uid else m.number for m in found]
        if self.returns is None:
            modseq = _highest(found) if by_modseq else b""
            for octets in _plain(numbers, b" (MODSEQ" + modseq + b")" if modseq else b""):
                yield octets
        else:
            reply = self._extended(context.tag, numbers, self.returns)
            if by_modseq:
                shown = _shown(found, self.returns)
                reply += b" MODSEQ" + _highest(shown) if shown else b""
            yield reply + b"\r\n"
        yield Ok()

    def _extended(self, tag: bytes, numbers: list[int], returns: frozenset[bytes]) -> bytes:
        reply = b'* ESEARCH (TAG "' + tag + b'")' + (b" UID" if self.uid else b"")
        if numbers and b"MIN" in returns:
            reply += b" MIN %d" % numbers[0]
        if numbers and b"MAX" in returns:
            reply += b" MAX %d" % numbers[-1]
        if b"COUNT" in returns:
            reply += b" COUNT %d" % len(numbers)
        if numbers and b"ALL" in returns:
            reply += b" ALL " + render_set(numbers)
        return reply


def _shown(found: list[Numbered], returns: frozenset[bytes]) -> list[Numbered]:
    """Those that the MODSEQ of ESEARCH is about (RFC 7162 §3.1.10)."""
    if found and returns <= {b"MIN", b"MAX"}:
        return [found[0 if name == b"MIN" else -1] for name in returns]
    return found


def _highest(messages: list[Numbered]) -> bytes:
    return b" %d" % max(m.entry.modseq for m in messages) if messages else b""


def _plain(numbers: list[int], modseq: bytes) -> Iterator[bytes]:
    out = Chunks()
    out.add(b"* SEARCH")
    for start in range(0, len(numbers), _SLICE):
        out.add(b"".join(b" %d" % number for number in numbers[start : start + _SLICE]))
        if out.full:
            yield out.take()
    out.add(modseq + b"\r\n")
    yield out.take()


# search = "SEARCH" [SP "RETURN" SP "(" [opt *(SP opt)] ")"]
#          [SP "CHARSET" SP astring] 1*(SP search-key)
def parse(cursor: Cursor, uid: bool) -> Search:
    cursor.space()
    returns = None
    if cursor.take(b"RETURN ("):
        returns = _parse_returns(cursor)
        cursor.space()
    charset = None
    if cursor.take(b"CHARSET "):
        charset = parse_charset(cursor.astring())
        cursor.space()
    keys = parse_keys(cursor, charset)
    cursor.end()
    return Search(And(keys), returns, uid)


def _parse_returns(cursor: Cursor) -> frozenset[bytes]:
    returns: set[bytes] = set()
    first = True
    while not cursor.take(b")"):
        if not first:
            cursor.space()
        first = False
        option = cursor.word()
        if option not in _RETURNS:
            raise BadCommand(b"unknown return option")
        returns.add(option)
    return frozenset(returns or {b"ALL"})
