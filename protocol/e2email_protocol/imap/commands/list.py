"""LIST (RFC 3501 §6.3.8) with LIST-EXTENDED (RFC 5258), SPECIAL-USE (6154), LIST-STATUS (5819)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..errors import BadCommand, Refused
from ..fair import Turns
from ..limits import LETTERS, NAME
from ..names import name_matcher
from ..session import DELIMITER, MailboxInfo
from . import status

_SELECTIONS = frozenset({b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"})
_RETURNS = frozenset({b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE"})
PATTERNS = 32  # each is tried on every mailbox


@dataclass(frozen=True, slots=True)
class List:
    reference: bytes
    patterns: tuple[bytes, ...]
    selections: frozenset[bytes]
    returns: frozenset[bytes]
    items: tuple[bytes, ...]  # of LIST-STATUS
    extended: bool

    async def run(self, context: Context) -> Steps:
        if self.patterns == (b"",) and not self.extended:
            yield b'* LIST (\\Noselect) "/" ""\r\n'
            yield Ok()
            return
        status.check(context, self.items)
        tree = Tree(await context.session.list_mailboxes())
        patterns = [context.name(self.reference + pattern) for pattern in self.patterns]
        out = Chunks()
        for info in self._chosen(tree, await _fitting(tree, patterns)):
            out.add(self._line(context, tree, info))
            if self.items and info.selectable and self._selected(tree, info):
                out.add(await self._status(context, info.name))
            if out.full:
                yield out.take()
        yield out.take()
        yield Ok()

    def _chosen(self, tree: Tree, fits: set[str]) -> Iterator[MailboxInfo]:
        for name in sorted(fits, key=_inbox_first):
            info = tree.names[name]
            if self._selected(tree, info) or self._has_hidden_child(tree, name, fits):
                yield info

    def _selected(self, tree: Tree, info: MailboxInfo) -> bool:
        if b"SUBSCRIBED" in self.selections:
            wanted = info.subscribed
        else:
            wanted = info.exists or info.name in tree.parents
        if b"SPECIAL-USE" in self.selections:
            wanted = wanted and info.special_use is not None
        return wanted

    def _has_hidden_child(self, tree: Tree, name: str, fits: set[str]) -> bool:
        """RECURSIVEMATCH: below it is something selected that will not be shown itself."""
        return b"RECURSIVEMATCH" in self.selections and any(
            child not in fits and self._selected(tree, tree.names[child])
            for child in tree.below(name)
        )

    def _line(self, context: Context, tree: Tree, info: MailboxInfo) -> bytes:
        attributes = tree.attributes(info, self.extended or context.rev2)
        if info.subscribed and b"SUBSCRIBED" in self.selections | self.returns:
            attributes.append(b"\\Subscribed")
        line = _line(context, attributes, info.name)
        if b"RECURSIVEMATCH" in self.selections and any(
            self._selected(tree, tree.names[child]) for child in tree.below(info.name)
        ):
            line += b' ("CHILDINFO" ("SUBSCRIBED"))'
        return line + b"\r\n"

    async def _status(self, context: Context, name: str) -> bytes:
        try:
            return status.render(context, name, await context.session.status(name), self.items)
        except Refused:
            return b""  # RFC 5819 §2: the STATUS reply is left out


async def _fitting(tree: Tree, patterns: Sequence[str]) -> set[str]:
    matchers, turns = [name_matcher(pattern) for pattern in patterns], Turns(LETTERS)
    fits = set()
    for name in tree.names:
        if any(match(name) for match in matchers):
            fits.add(name)
        await turns.spend(len(name) * len(matchers))
    return fits


class Tree:
    """All names, with the missing parents that have to be shown, and who has children."""

    def __init__(self, infos: Iterable[MailboxInfo]):
        self.names = {info.name: info for info in infos}
        self.parents: set[str] = set()
        for info in list(self.names.values()):
            for parent in parents(info.name):
                if info.exists:
                    self.parents.add(parent)
                missing = MailboxInfo(parent, subscribed=False, exists=False, selectable=False)
                self.names.setdefault(parent, missing)
        self._sorted = sorted(self.names)

    def attributes(self, info: MailboxInfo, extended: bool) -> list[bytes]:
        """`extended`: the client knows \\NonExistent."""
        found = []
        if not info.exists:
            found.append(b"\\NonExistent" if extended else b"\\Noselect")
        elif not info.selectable:
            found.append(b"\\Noselect")
        found.append(b"\\HasChildren" if info.name in self.parents else b"\\HasNoChildren")
        if info.special_use is not None:
            found.append(info.special_use.encode())
        return found

    def below(self, name: str) -> Iterator[str]:
        prefix = name + DELIMITER
        for place in range(bisect_left(self._sorted, prefix), len(self._sorted)):
            other = self._sorted[place]
            if not other.startswith(prefix):
                break
            yield other


def _line(context: Context, attributes: list[bytes], name: str) -> bytes:
    """Without its end."""
    return b"* LIST (" + b" ".join(attributes) + b') "/" ' + context.quote(name)


async def list_line(context: Context, name: str) -> bytes:
    """The one reply that SELECT gives in IMAP4rev2 (RFC 9051 §6.3.2)."""
    tree = Tree(await context.session.list_mailboxes())
    info = tree.names.get(name, MailboxInfo(name))
    return _line(context, tree.attributes(info, extended=True), name) + b"\r\n"


def parents(name: str) -> Iterator[str]:
    at = name.rfind(DELIMITER)
    while at > 0:
        yield name[:at]
        at = name.rfind(DELIMITER, 0, at)


def _inbox_first(name: str) -> tuple[bool, str]:
    return (name != "INBOX", name)


# list = "LIST" [SP "(" [select-opt *(SP select-opt)] ")"] SP mailbox SP mbox-or-pat
#        [SP "RETURN" SP "(" [return-opt *(SP return-opt)] ")"]
# mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"
def parse(cursor: Cursor) -> List:
    cursor.space()
    selections: frozenset[bytes] = frozenset()
    extended = cursor.peek() == b"("
    if extended:
        selections = frozenset(_options(cursor, _SELECTIONS))
        cursor.space()
    if (
        selections
        and selections <= {b"RECURSIVEMATCH", b"REMOTE"}
        and b"RECURSIVEMATCH" in selections
    ):
        raise BadCommand(b"RECURSIVEMATCH needs something to match")
    reference = cursor.astring()
    cursor.space()
    extended = extended or cursor.peek() == b"("
    patterns = _patterns(cursor)
    returns: set[bytes] = set()
    items: tuple[bytes, ...] = ()
    if not cursor.at_end():
        extended = True
        cursor.expect(b" RETURN ")
        returns, items = _returns(cursor)
    cursor.end()
    return List(reference, patterns, selections, frozenset(returns), items, extended)


def _patterns(cursor: Cursor) -> tuple[bytes, ...]:
    if not cursor.take(b"("):
        return (_pattern(cursor),)
    patterns = [_pattern(cursor)]
    while not cursor.take(b")"):
        cursor.space()
        patterns.append(_pattern(cursor))
        if len(patterns) > PATTERNS:
            raise BadCommand(b"too many patterns")
    return tuple(patterns)


def _pattern(cursor: Cursor) -> bytes:
    pattern = cursor.list_pattern()
    if len(pattern) > NAME:
        raise BadCommand(b"pattern too long")
    return pattern


def _options(cursor: Cursor, known: frozenset[bytes]) -> Iterator[bytes]:
    cursor.expect(b"(")
    first = True
    while not cursor.take(b")"):
        if not first:
            cursor.space()
        first = False
        option = cursor.word()
        if option not in known:
            raise BadCommand(b"unknown option")
        yield option


def _returns(cursor: Cursor) -> tuple[set[bytes], tuple[bytes, ...]]:
    returns: set[bytes] = set()
    items: tuple[bytes, ...] = ()
    for option in _options(cursor, _RETURNS | {b"STATUS"}):
        if option == b"STATUS":
            cursor.space()
            items = status.parse_items(cursor)
        else:
            returns.add(option)
    return returns, items
