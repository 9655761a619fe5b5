"""IMAP's BODY out of a prepared BODYSTRUCTURE: what it has beyond BODY is left out."""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(
    rb'(?P<mark>[()])|"(?:[^"\\]|\\.)*+"|\{(?P<literal>[0-9]{1,9})\}\r\n|[^ ()"{]++'
)
_DEPTH = 200  # above the scan's nesting limit; each level's text is copied once
_TEXT, _OTHER = 8, 7  # how many values a part has in BODY
_ENVELOPE = 7  # where an attached message has it, and then its own structure and its lines


class _Value(NamedTuple):
    """`text`: as it stands; `body`: of a list, as it were a structure."""

    text: bytes
    body: bytes | None = None


def body(structure: bytes) -> bytes | None:
    """`structure` is a list as quote.is_list() knows it. None: it is no BODYSTRUCTURE."""
    stack: list[tuple[int, list[_Value]]] = []
    values: list[_Value] = []
    at = 0
    while match := _TOKEN.match(structure, at):
        start, at = at, match.end()
        if match["literal"]:
            at += int(match["literal"])
        if match["mark"] == b"(":
            stack.append((start, values))
            values = []
            if len(stack) > _DEPTH:
                return None
        elif match["mark"]:
            if not stack:
                return None
            inner = values
            begin, values = stack.pop()
            values.append(_Value(structure[begin:at], _short(inner)))
        else:
            values.append(_Value(structure[start:at]))
        at += structure[at : at + 1] == b" "
    if stack or at != len(structure) or len(values) != 1:
        return None
    return values[0].body


def _short(values: list[_Value]) -> bytes:
    """Of a list with these values; of one that is no structure, anything."""
    parts = [value.body for value in values]
    count = next((n for n, part in enumerate(parts) if part is None), len(parts))
    if count:
        return b"(%b %b)" % (b"".join(filter(None, parts[:count])), _text(values, count))
    if len(values) > _ENVELOPE and parts[_ENVELOPE] is not None:
        inner = parts[_ENVELOPE + 1] if len(parts) > _ENVELOPE + 1 else None
        shown = [value.text for value in values[: _ENVELOPE + 1]]
        return b"(%b)" % b" ".join([*shown, inner or b"", _text(values, _ENVELOPE + 2)])
    kept = _TEXT if _text(values, 0).lower() == b'"text"' else _OTHER
    return b"(%b)" % b" ".join(value.text for value in values[:kept])


def _text(values: list[_Value], at: int) -> bytes:
    return values[at].text if at < len(values) else b""
