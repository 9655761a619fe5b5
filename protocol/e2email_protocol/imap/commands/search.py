"""SEARCH and UID SEARCH (RFC 3501 §6.4.4), with RETURN (RFC 4731), SAVE (5182), MODSEQ (7162)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Steps, uids
from ..cursor import Cursor
from ..errors import BadCharset, BadCommand
from ..extensions import Outline, OutlinedMailbox
from ..search_keys import REQUIRES, And, Key, Modseq, leaves
from ..search_parse import parse_charset, parse_keys
from ..search_run import Search as Run
from ..sequence import render_set
from ..view import Numbered

_RETURNS = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE"})
_SAVE_ONLY = frozenset({b"SAVE"})
_ALL = frozenset({b"ALL"})  # how RFC 9051 §6.4.4 reads a SEARCH without RETURN
_SLICE = 5000  # numbers that are put into one piece of the reply


@dataclass(frozen=True, slots=True)
class Search:
    key: Key
    returns: frozenset[bytes] | None  # None: not said; to IMAP4rev1 the old SEARCH reply
    uid: bool
    charset: bool = False

    async def run(self, context: Context) -> Steps:
        if self.charset and b"UTF8=ACCEPT" in context.enabled:
            raise BadCommand(b"no CHARSET after UTF8=ACCEPT")  # RFC 6855 §3
        yield admit(context, self.key)
        found = await self._found(context)
        numbers = [m.entry.uid if self.uid else m.number for m in found]
        by_modseq = modseq_asked(self.key)
        returns = _ALL if self.returns is None and context.rev2 else self.returns
        if returns == _SAVE_ONLY:
            pass  # RFC 5182 §2.1: nothing else was asked for
        elif returns is None:
            for octets in numbers_reply(b"SEARCH", numbers, highest(found) if by_modseq else b""):
                yield octets
        else:
            shown = _shown(found, returns - _SAVE_ONLY) if by_modseq else []
            reply = self._extended(context.tag, numbers, returns)
            yield reply + (b" MODSEQ " + highest(shown) if shown else b"") + b"\r\n"
        yield Ok()

    async def _found(self, context: Context) -> list[Numbered]:
        """What matches, saved for "$" where that is wanted; a search that fails saves nothing."""
        if self.returns is None or b"SAVE" not in self.returns:
            return await Run(context.selected, context.now).run(self.key)
        saved: list[int] = []
        try:
            found = await Run(context.selected, context.now).run(self.key)
            saved = sorted(set(uids(_shown(found, self.returns - _SAVE_ONLY))))
        finally:
            context.selected.view.saved = saved
        return found

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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A SEARCH with SAVE in a charset that is not known: it fails, and so saves nothing."""

    async def run(self, context: Context) -> Steps:
        context.selected.view.saved = []
        raise BadCharset
        yield


def _shown(found: list[Numbered], returns: frozenset[bytes]) -> list[Numbered]:
    """Those that MODSEQ is about (RFC 7162 §3.1.10), or that "$" then means (RFC 5182 §2.1)."""
    if found and returns and returns <= {b"MIN", b"MAX"}:
        return [found[0 if name == b"MIN" else -1] for name in returns]
    return found


def highest(messages: list[Numbered]) -> bytes:
    return b"%d" % max(m.entry.modseq for m in messages) if messages else b""


def modseq_asked(key: Key) -> bool:
    return any(isinstance(leaf, Modseq) for leaf in leaves(key))


def admit(context: Context, key: Key) -> bytes:
    """BadCommand for keys that are not to be had here; one for modseqs enables CONDSTORE."""
    kinds = {type(leaf) for leaf in leaves(key)}
    context.require(REQUIRES[kind] for kind in kinds if kind in REQUIRES)
    return context.enable(b"CONDSTORE") if Modseq in kinds else b""


def numbers_reply(name: bytes, numbers: list[int], modseq: bytes) -> Iterator[bytes]:
    """`* SEARCH` or `* SORT`."""
    out = Chunks()
    out.add(b"* " + name)
    for start in range(0, len(numbers), _SLICE):
        out.add(b"".join(b" %d" % number for number in numbers[start : start + _SLICE]))
        if out.full:
            yield out.take()
    out.add((b" (MODSEQ " + modseq + b")" if modseq else b"") + b"\r\n")
    yield out.take()


async def outlines(
    context: Context, key: Key, fields: Collection[str]
) -> list[tuple[Numbered, Outline]]:
    """What matches, ascending, for SORT and THREAD; what is gone meanwhile is left out.

    `fields`: those of an Outline that are looked at.
    """
    found = await Run(context.selected, context.now).run(key)
    if not found:
        return []
    mailbox = context.selected.mailbox
    assert isinstance(mailbox, OutlinedMailbox)
    known = {outline.uid: outline for outline in await mailbox.outlines(uids(found), fields)}
    return [(m, known[m.entry.uid]) for m in found if m.entry.uid in known]


# search-criteria = charset 1*(SP search-key)
def parse_criteria(cursor: Cursor) -> Key:
    """The end of SORT and THREAD."""
    charset = parse_charset(cursor.astring())
    cursor.space()
    keys = parse_keys(cursor, charset)
    cursor.end()
    return And(keys)


# search = "SEARCH" [SP "RETURN" SP "(" [opt *(SP opt)] ")"]
#          [SP "CHARSET" SP astring] 1*(SP search-key)
def parse(cursor: Cursor, uid: bool) -> Search | Unreadable:
    cursor.space()
    returns = None
    if cursor.take(b"RETURN ("):
        returns = _parse_returns(cursor)
        cursor.space()
    charset = None
    if cursor.take(b"CHARSET "):
        try:
            charset = parse_charset(cursor.astring())
        except BadCharset:
            if returns is None or b"SAVE" not in returns:
                raise
            return Unreadable()
        cursor.space()
    keys = parse_keys(cursor, charset)
    cursor.end()
    return Search(And(keys), returns, uid, charset is not None)


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
    return frozenset(returns) or _ALL
