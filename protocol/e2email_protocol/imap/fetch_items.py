"""What FETCH asks for: the grammar of fetch-att and how each item's value is had."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .cursor import Cursor
from .dates import render_date_time
from .errors import BadCommand, Cannot
from .limits import FETCH_ITEMS
from .session import Message, Need, Section, Stream

_PLAIN = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_WHATS = frozenset({"HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"})
_MACROS = {
    b"FAST": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"),
    b"ALL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"),
    b"FULL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """An item that needs the message; UID, FLAGS and MODSEQ come from the view."""

    label: bytes
    need: Need
    section: Section | None = None
    partial: tuple[int, int] | None = None
    sets_seen: bool = False
    requires: bytes = b""  # the capability that a backend must have

    async def value(self, message: Message) -> bytes | Stream:
        """What stands behind the label; a Stream is sent as a literal by the caller."""
        if self.section is not None:
            octets = await message.section(self.section, self.partial)
            if octets is None:
                return b"NIL"
            return octets if isinstance(octets, Stream) else literal(octets)
        if self.need is Need.ENVELOPE:
            return await message.envelope()
        if self.need is Need.STRUCTURE:
            return await message.structure(self.label == b"BODYSTRUCTURE")
        return _META[self.need](message)


def _email_id(message: Message) -> bytes:
    """`(objectid)`; unlike THREADID it has no NIL (RFC 8474 §7)."""
    if message.email_id is None:
        raise Cannot
    return b"(%b)" % message.email_id.encode()


_META: dict[Need, Callable[[Message], bytes]] = {
    Need.SIZE: lambda message: b"%d" % message.size,
    Need.DATE: lambda message: render_date_time(message.internal_date),
    Need.ID: _email_id,
}


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(octets), octets)


@dataclass(frozen=True, slots=True)
class Items:
    uid: bool
    flags: bool
    modseq: bool
    others: tuple[Item, ...]

    @property
    def requires(self) -> set[bytes]:
        found = {item.requires for item in self.others if item.requires}
        return found | {b"CONDSTORE"} if self.modseq else found

    @property
    def need(self) -> Need:
        need = Need(0)
        for item in self.others:
            need |= item.need
        return need

    @property
    def sets_seen(self) -> bool:
        return any(item.sets_seen for item in self.others)


_SIMPLE = {
    b"EMAILID": Item(b"EMAILID", Need.ID),
    b"ENVELOPE": Item(b"ENVELOPE", Need.ENVELOPE),
    b"INTERNALDATE": Item(b"INTERNALDATE", Need.DATE),
    b"BODYSTRUCTURE": Item(b"BODYSTRUCTURE", Need.STRUCTURE),
    b"RFC822.SIZE": Item(b"RFC822.SIZE", Need.SIZE),
    b"RFC822": Item(b"RFC822", Need.BODY, Section(), sets_seen=True),
    b"RFC822.HEADER": Item(b"RFC822.HEADER", Need.HEADER, Section(what="HEADER")),
    b"RFC822.TEXT": Item(b"RFC822.TEXT", Need.BODY, Section(what="TEXT"), sets_seen=True),
}
_BODY = Item(b"BODY", Need.STRUCTURE)


# "ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")"
def parse_items(cursor: Cursor, uid: bool) -> Items:
    """`uid`: the command is UID FETCH, whose replies always name the uid."""
    if cursor.take(b"("):
        found = [_parse_item(cursor)]
        while not cursor.take(b")"):
            cursor.space()
            found.append(_parse_item(cursor))
            if len(found) > FETCH_ITEMS:
                raise BadCommand(b"too many items")
    else:
        found = _parse_single(cursor)
    others = dict.fromkeys(item for item in found if isinstance(item, Item))
    return Items(uid or b"UID" in found, b"FLAGS" in found, b"MODSEQ" in found, tuple(others))


def _parse_single(cursor: Cursor) -> list[Item | bytes]:
    for macro, names in _MACROS.items():
        if cursor.take(macro) and cursor.peek() in (b"", b" "):
            return [_SIMPLE.get(name, _BODY if name == b"BODY" else name) for name in names]
    return [_parse_item(cursor)]


# fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
#             "BODY" ["STRUCTURE"] / "UID" / "BODY" [".PEEK"] section ["<" number "." nz-number ">"]
#             / "EMAILID" ; RFC 8474 §7
#             / "MODSEQ" ; RFC 7162 §7
def _parse_item(cursor: Cursor) -> Item | bytes:
    name = cursor.item()
    if name in (b"UID", b"FLAGS", b"MODSEQ"):
        return name
    if name in (b"BODY", b"BODY.PEEK") and cursor.take(b"["):
        return _parse_body(cursor, sets_seen=name == b"BODY")
    if name == b"BODY":
        return _BODY
    if name not in _SIMPLE:
        raise BadCommand(b"unknown FETCH item")
    return _SIMPLE[name]


def _parse_body(cursor: Cursor, sets_seen: bool) -> Item:
    section = _parse_section(cursor)
    label = b"BODY[" + render_section(section) + b"]"
    partial = None
    if cursor.take(b"<"):
        first = cursor.number(2**63 - 1)
        cursor.expect(b".")
        count = cursor.number(2**63 - 1)
        cursor.expect(b">")
        if not count:
            raise BadCommand(b"nothing of a part asked for")
        partial = (first, count)
        label += b"<%d>" % first
    top_header = not section.path and section.what.startswith("HEADER")
    need = Need.HEADER if top_header else Need.BODY
    return Item(label, need, section, partial, sets_seen)


# section = "[" [section-msgtext / (nz-number *("." nz-number) ["." section-text])] "]"
def _parse_section(cursor: Cursor) -> Section:
    """The opening bracket is read; reads the closing one."""
    path: list[int] = []
    what = ""
    while not cursor.take(b"]"):
        if path:
            cursor.expect(b".")
        if cursor.peek().isdigit():
            path.append(cursor.number())
            if not path[-1]:
                raise BadCommand(b"parts count from one")
            continue
        what = cursor.item().decode()
        if what not in _WHATS or (what == "MIME" and not path):
            raise BadCommand(b"unknown section")
        fields = _parse_fields(cursor) if what.startswith("HEADER.") else ()
        cursor.expect(b"]")
        return Section(tuple(path), what, fields)
    return Section(tuple(path))


def _parse_fields(cursor: Cursor) -> tuple[bytes, ...]:
    cursor.expect(b" (")
    fields = [cursor.astring()]
    while not cursor.take(b")"):
        cursor.space()
        fields.append(cursor.astring())
    if any(b"\r" in name or b"\n" in name or b"\0" in name for name in fields):
        raise BadCommand(b"not a field name")  # it is said again in the reply
    return tuple(fields)


def render_section(section: Section) -> bytes:
    pieces = [b"%d" % number for number in section.path]
    if section.what:
        pieces.append(section.what.encode())
    text = b".".join(pieces)
    if section.fields:
        text += b" (" + b" ".join(_astring(name) for name in section.fields) + b")"
    return text


def _astring(name: bytes) -> bytes:
    if _PLAIN.fullmatch(name):
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
