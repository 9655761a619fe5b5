"""One response's parts (text, literal, text, ...) → a typed response (RFC 3501 §9 response)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .errors import BadCommand
from .names import BadName, decode_name
from .response_types import (
    MODSEQ_MAX,
    BadResponse,
    Capability,
    Code,
    Condition,
    Continuation,
    Enabled,
    ESearch,
    Exists,
    Expunge,
    Fetch,
    Flags,
    ListReply,
    Other,
    Recent,
    Response,
    Search,
    StatusReply,
    Tagged,
    Value,
    Vanished,
)
from .sequence import parse_set

DEPTH = 100  # parentheses in parentheses; BODYSTRUCTURE of real mail stays far below

_CODE = r"(?:\[([^\] ]+)(?: ([^\]]*))?\] ?)?(.*)"
_TAGGED = re.compile(rb"([^ ]+) (OK|NO|BAD)(?: |$)" + _CODE.encode(), re.I | re.S)
_CONDITION = re.compile(rb"\* (OK|NO|BAD|BYE|PREAUTH)(?: |$)" + _CODE.encode(), re.I | re.S)
_NUMBERED = re.compile(rb"\* ([0-9]{1,10}) ([A-Za-z]+) ?")
_NAMED = re.compile(rb"\* ([A-Za-z][A-Za-z0-9.=_-]*) ?")
# A section holds spaces and parentheses; it belongs to its item's name. Possessive, so that
# no text makes the matcher go back.
_TOKEN = re.compile(
    rb' *+(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]++|\\.)*+)"'
    rb"|(?P<section>(?:BODY|BINARY(?:\.SIZE)?)"
    rb"\[(?:[^\]\"]++|\"(?:[^\"\\]++|\\.)*+\")*+\](?:<[0-9]++>)?)"
    rb"|(?P<literal>~?\{[0-9]++\+?\}\Z)|(?P<atom>[^\s()\"]++)|(?P<end>\Z))",
    re.I | re.S,
)
# What most items of a FETCH are: an atom, a list of atoms, a string without a backslash.
_ITEM = re.compile(
    rb'([A-Za-z0-9.]++) (?:([^\s()"\[{]++)|\(([^()"\[{\t-\r]*+)\)|"([^"\\\r\n]*+)")(?: |\Z)'
)
_ESCAPED = re.compile(rb"\\(.)", re.S)


def parse(parts: list[bytes]) -> Response:
    """BadResponse where it is none."""
    text = parts[0]
    if not text.startswith(b"* "):
        return _parse_tagged(text)
    numbered = _NUMBERED.match(text)
    if numbered is not None:
        return _parse_numbered(int(numbered[1]), numbered[2].upper(), parts, numbered.end())
    condition = _CONDITION.fullmatch(text)
    if condition is not None:
        return Condition(condition[1].upper(), _code(condition, 2), condition[4])
    named = _NAMED.match(text)
    if named is None:
        raise BadResponse("not a response")
    name = named[1].upper()
    values = parse_values(parts, named.end())
    try:
        return _NAMES[name](name, values) if name in _NAMES else Other(name, values)
    except (LookupError, ValueError, TypeError, BadCommand) as error:
        raise BadResponse("a response of the wrong shape") from error


def _parse_tagged(text: bytes) -> Response:
    if text.startswith(b"+"):
        return Continuation(text[1:].removeprefix(b" "))
    match = _TAGGED.fullmatch(text)
    if match is None:
        raise BadResponse("neither tagged nor untagged")
    return Tagged(match[1], match[2].upper(), _code(match, 3), match[5])


def _code(match: re.Match[bytes], group: int) -> Code | None:
    if match[group] is None:
        return None
    return Code(match[group].upper(), match[group + 1] or b"")


def _parse_numbered(number: int, name: bytes, parts: list[bytes], at: int) -> Response:
    match name:
        case b"FETCH":
            if (items := _items(parts, at)) is not None:
                return Fetch(number, items)
            values = parse_values(parts, at)
            if len(values) != 1 or not isinstance(values[0], list):
                raise BadResponse("a FETCH of the wrong shape")
            return Fetch(number, _pairs(values[0]))
        case b"EXISTS":
            return Exists(number)
        case b"EXPUNGE":
            return Expunge(number)
        case b"RECENT":
            return Recent(number)
        case _:
            return Other(name, [b"%d" % number, *parse_values(parts, at)])


def _items(parts: list[bytes], at: int) -> dict[bytes, Value] | None:
    """What parse_values and _pairs make of a FETCH, in a quarter of the time: a mailbox is listed
    by one for each message. None where it is not as simple as that."""
    text = parts[0]
    end = len(text) - 1
    if len(parts) > 1 or text[at : at + 1] != b"(" or text[end:] != b")" or b"NIL" in text.upper():
        return None
    items: dict[bytes, Value] = {}
    text, at = text[at + 1 : end], 0
    for match in _ITEM.finditer(text):
        if match.start() != at:
            return None
        at = match.end()
        name, atom, atoms, quoted = match.groups()
        if atom is not None:
            items[name.upper()] = atom
        elif atoms is not None:
            items[name.upper()] = list(atoms.split())
        else:
            items[name.upper()] = quoted
    return items if at == len(text) and not text.endswith(b" ") else None


def parse_values(parts: list[bytes], at: int) -> list[Value]:
    """All values from offset `at` of the first part on; lists by a stack, never by recursion."""
    current: list[Value] = []
    stack: list[list[Value]] = []
    for index in range(0, len(parts), 2):
        for kind, token in _tokens(parts[index], at if index == 0 else 0):
            if kind == "atom":
                current.append(None if token.upper() == b"NIL" else token)
            elif kind == "open":
                stack.append(current)
                current = []
                if len(stack) > DEPTH:
                    raise BadResponse("too deep")
            elif kind == "close":
                if not stack:
                    raise BadResponse("a parenthesis too many")
                closed, current = current, stack.pop()
                current.append(closed)
            elif kind == "quoted":
                current.append(_ESCAPED.sub(rb"\1", token) if b"\\" in token else token)
            elif kind == "section":
                current.append(token.upper())
            elif kind == "literal":
                current.append(parts[index + 1])
    if stack:
        raise BadResponse("a parenthesis too few")
    return current


def _tokens(text: bytes, at: int) -> Iterator[tuple[str, bytes]]:
    for match in _TOKEN.finditer(text, at):
        kind = match.lastgroup
        if kind is None or match.start() != at:
            break
        at = match.end()
        if kind != "end":
            yield kind, match[kind]
    if at != len(text):
        raise BadResponse("neither string nor atom")


def _pairs(values: list[Value]) -> dict[bytes, Value]:
    names, rest = values[::2], values[1::2]
    if len(names) != len(rest):
        raise BadResponse("a name without a value")
    pairs: dict[bytes, Value] = {}
    for name, value in zip(names, rest, strict=True):
        pairs[_octets(name).upper()] = value
    return pairs


def _octets(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise BadResponse("a string expected")
    return value


def _number(value: Value) -> int:
    octets = _octets(value)
    if not octets.isdigit() or len(octets) > 20:
        raise BadResponse("a number expected")
    number = int(octets)
    if number > MODSEQ_MAX:  # the highest of all numbers
        raise BadResponse("a number above what IMAP knows")
    return number


def _list(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise BadResponse("a list expected")
    return value


def _flags(value: Value) -> frozenset[str]:
    return frozenset(_octets(flag).decode("latin-1") for flag in _list(value))


def _name(value: Value) -> str:
    """A mailbox name; servers with UTF8=ACCEPT send UTF-8, broken ones anything."""
    wire = _octets(value)
    try:
        return decode_name(wire)
    except BadName:
        return wire.decode("utf-8", "replace")


def _list_reply(kind: bytes, values: list[Value]) -> Response:
    delimiter = None if values[1] is None else _octets(values[1]).decode("latin-1")
    return ListReply(kind, _flags(values[0]), delimiter, _name(values[2]), tuple(values[3:]))


def _status(_: bytes, values: list[Value]) -> Response:
    pairs = _pairs(_list(values[1]))
    items = {
        name: _number(value)
        for name, value in pairs.items()
        if isinstance(value, bytes) and value.isdigit()
    }
    found = pairs.get(b"MAILBOXID")  # in parentheses (RFC 8474)
    mailbox_id = _octets(found[0]).decode("ascii") if isinstance(found, list) and found else ""
    return StatusReply(_name(values[0]), items, mailbox_id)


def _search(_: bytes, values: list[Value]) -> Response:
    modseq = None
    if values and isinstance(values[-1], list):
        modseq = _number(_pairs(values[-1])[b"MODSEQ"]) if values[-1] else None
        values = values[:-1]
    return Search([_number(value) for value in values], modseq)


def _esearch(_: bytes, values: list[Value]) -> Response:
    tag = None
    if values and isinstance(values[0], list):
        tag = _octets(_pairs(values[0]).get(b"TAG"))
        values = values[1:]
    uid = bool(values) and isinstance(values[0], bytes) and values[0].upper() == b"UID"
    return ESearch(tag, uid, _pairs(values[1:] if uid else values))


def _vanished(_: bytes, values: list[Value]) -> Response:
    earlier = isinstance(values[0], list)
    return Vanished(earlier, parse_set(_octets(values[-1])))


def _capability(_: bytes, values: list[Value]) -> Response:
    return Capability(frozenset(_octets(value).upper() for value in values))


def _enabled(_: bytes, values: list[Value]) -> Response:
    return Enabled(frozenset(_octets(value).upper() for value in values))


def _flags_reply(_: bytes, values: list[Value]) -> Response:
    return Flags(_flags(values[0]))


_NAMES: dict[bytes, Callable[[bytes, list[Value]], Response]] = {
    b"CAPABILITY": _capability,
    b"ENABLED": _enabled,
    b"FLAGS": _flags_reply,
    b"LIST": _list_reply,
    b"LSUB": _list_reply,
    b"STATUS": _status,
    b"SEARCH": _search,
    b"ESEARCH": _esearch,
    b"VANISHED": _vanished,
}
