"""What FETCH asks for: the grammar of fetch-att (RFC 3501 §9 and the extensions' RFCs)."""

from __future__ import annotations

import re

from .cursor import Cursor
from .errors import BadCommand
from .fetch_items import (
    BinaryItem,
    BinarySizeItem,
    Item,
    Items,
    LazyPreviewItem,
    PreviewItem,
    SaveDateItem,
)
from .limits import FETCH_ITEMS
from .session import Need, Section

_PLAIN = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_WHATS = frozenset({"HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"})
_MACROS = {
    b"FAST": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"),
    b"ALL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"),
    b"FULL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"),
}


_SIMPLE = {
    b"EMAILID": Item(b"EMAILID", Need.ID),
    b"THREADID": Item(b"THREADID", Need(0), requires=b"OBJECTID"),
    b"SAVEDATE": SaveDateItem(b"SAVEDATE", Need.SAVED, requires=b"SAVEDATE"),
    b"ENVELOPE": Item(b"ENVELOPE", Need.ENVELOPE),
    b"INTERNALDATE": Item(b"INTERNALDATE", Need.DATE),
    b"BODYSTRUCTURE": Item(b"BODYSTRUCTURE", Need.STRUCTURE),
    b"RFC822.SIZE": Item(b"RFC822.SIZE", Need.SIZE),
    b"RFC822": Item(b"RFC822", Need.BODY, Section(), sets_seen=True),
    b"RFC822.HEADER": Item(b"RFC822.HEADER", Need.HEADER, Section(what="HEADER")),
    b"RFC822.TEXT": Item(b"RFC822.TEXT", Need.BODY, Section(what="TEXT"), sets_seen=True),
}
_BODY = Item(b"BODY", Need.STRUCTURE)
_PREVIEW = PreviewItem(b"PREVIEW", Need.PREVIEW, requires=b"PREVIEW")
_LAZY_PREVIEW = LazyPreviewItem(b"PREVIEW", Need.PREVIEW, requires=b"PREVIEW")


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
        if cursor.take(macro):
            if cursor.peek() not in (b"", b" "):
                raise BadCommand(b"unknown FETCH item")
            return [_SIMPLE.get(name, _BODY if name == b"BODY" else name) for name in names]
    return [_parse_item(cursor)]


# fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
#             "BODY" ["STRUCTURE"] / "UID" / "BODY" [".PEEK"] section ["<" number "." nz-number ">"]
#             / "EMAILID" / "THREADID" ; RFC 8474 §7
#             / "BINARY" [".PEEK"] section-binary [partial] ; RFC 3516
#             / "BINARY.SIZE" section-binary
#             / "PREVIEW" [SP "(" "LAZY" ")"] ; RFC 8970 §6
#             / "MODSEQ" ; RFC 7162 §7
#             / "SAVEDATE" ; RFC 8514 §5
def _parse_item(cursor: Cursor) -> Item | bytes:
    name = cursor.item()
    if name in (b"UID", b"FLAGS", b"MODSEQ"):
        return name
    if name in (b"BODY", b"BODY.PEEK") and cursor.take(b"["):
        return _parse_body(cursor, sets_seen=name == b"BODY")
    if name == b"BODY":
        return _BODY
    if name.startswith(b"BINARY"):
        return _parse_binary(cursor, name)
    if name == b"PREVIEW":
        return _LAZY_PREVIEW if cursor.take(b" (LAZY)") else _PREVIEW
    if name not in _SIMPLE:
        raise BadCommand(b"unknown FETCH item")
    return _SIMPLE[name]


def _parse_body(cursor: Cursor, sets_seen: bool) -> Item:
    section = _parse_section(cursor)
    label = b"BODY[" + render_section(section) + b"]"
    partial = _parse_partial(cursor)
    if partial is not None:
        label += b"<%d>" % partial[0]
    top_header = not section.path and section.what.startswith("HEADER")
    need = Need.HEADER if top_header else Need.BODY
    return Item(label, need, section, partial, sets_seen)


# partial = "<" number "." nz-number ">"
def _parse_partial(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.take(b"<"):
        return None
    first = cursor.number(2**63 - 1)
    cursor.expect(b".")
    count = cursor.number(2**63 - 1)
    cursor.expect(b">")
    if not count:
        raise BadCommand(b"nothing of a part asked for")
    return (first, count)


# section-binary = "[" [nz-number *("." nz-number)] "]"
def _parse_binary(cursor: Cursor, name: bytes) -> Item:
    if name not in (b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE"):
        raise BadCommand(b"unknown FETCH item")
    cursor.expect(b"[")
    section = _parse_section(cursor)
    if section.what:
        raise BadCommand(b"BINARY has only numbers")
    inside = b"[" + render_section(section) + b"]"
    if name == b"BINARY.SIZE":
        return BinarySizeItem(name + inside, Need.BODY, section, requires=b"BINARY")
    label, partial = b"BINARY" + inside, _parse_partial(cursor)
    if partial is not None:
        label += b"<%d>" % partial[0]
    peek = name == b"BINARY.PEEK"
    return BinaryItem(label, Need.BODY, section, partial, not peek, requires=b"BINARY")


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
