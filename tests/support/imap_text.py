"""A strict little reader of IMAP data in parentheses, to compare servers' answers by meaning."""

import re

_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_ATOM = re.compile(rb"BODY(?:\.PEEK)?\[[^\]]*\]|[A-Za-z0-9.]+")
Value = bytes | int | None | list["Value"]


def read(data: bytes, position: int = 0) -> tuple[Value, int]:
    """(value, where it ends); NIL is None, a number an int, a list a list. Raises ValueError."""
    if data[position : position + 1] == b"(":
        return _read_list(data, position + 1)
    if match := _QUOTED.match(data, position):
        return re.sub(rb"\\(.)", rb"\1", match[1]), match.end()
    if match := _LITERAL.match(data, position):
        end = match.end() + int(match[1])
        text = data[match.end() : end]
        if len(text) != int(match[1]) or b"\x00" in text:
            raise ValueError(f"literal at {position}")
        return text, end
    if match := _ATOM.match(data, position):
        atom = match[0]
        return (None if atom == b"NIL" else int(atom) if atom.isdigit() else atom), match.end()
    raise ValueError(f"no value at {position}: {data[position : position + 20]!r}")


def _read_list(data: bytes, position: int) -> tuple[list[Value], int]:
    values: list[Value] = []
    while data[position : position + 1] != b")":
        if values and data[position : position + 1] == b" ":
            position += 1
        elif values and not isinstance(values[-1], list):
            raise ValueError(f"no space at {position}")
        value, position = read(data, position)
        values.append(value)
    return values, position + 1


def parsed(data: bytes) -> Value:
    """The one value that the data is. Raises ValueError."""
    value, end = read(data)
    if end != len(data):
        raise ValueError(f"text after the value at {end}")
    return value
