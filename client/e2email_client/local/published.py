"""Header fields from a summary: which questions the published ones answer without the header.

Pure functions. The summary has the published fields themselves and the names of all others
(docs/specs/sealed-message.md §4).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from e2email_protocol.mime.header import MAX_HEADER, fields
from e2email_protocol.sealed.summary import PUBLISHED

_PLAIN = re.compile(rb"[!-9;-~\x80-\xff]+")
# where a header ends
_BLANK = re.compile(rb"^\r*$", re.MULTILINE)


def pack(names: Iterable[bytes] | None) -> bytes | None:
    """Lower-case names as the cache keeps them: each with a line end, which none has inside."""
    return None if names is None else b"".join(name + b"\n" for name in names)


def answers(names: bytes | None, asked: Collection[bytes]) -> bool:
    """Whether the published fields of a mail are all that it has of the fields `asked` (in any
    case). `names` are those of its other fields as pack() makes them; None: not known."""
    others = {name.lower() for name in asked} - PUBLISHED
    if not others:
        return True
    return names is not None and others.isdisjoint(names.split(b"\n")[:-1])


def chosen(octets: bytes, asked: Collection[bytes], *, keep: bool = True) -> bytes:
    """HEADER.FIELDS (`keep`) or HEADER.FIELDS.NOT of a header: the fields as they are, each ending
    in a line end, and an empty line. The same from the published fields, where they answer(), as
    from the header."""
    names = frozenset(name.lower() for name in asked)
    found = _kept(octets, names) if keep and len(octets) <= MAX_HEADER else None
    if found is None:
        found = [
            octets[one.start : one.end]
            for one in fields(octets)
            if (one.name.lower() in names) is keep
        ]
    if found and not found[-1].endswith(b"\n"):  # the mail was cut there
        found.append(b"\r\n")
    return b"".join(found) + b"\r\n"


def _kept(octets: bytes, names: frozenset[bytes]) -> list[bytes] | None:
    """What fields() finds of these names in a header that it looks at wholly, by one expression:
    ten thousand headers are asked for at once. None: not names that this can be said of."""
    if not names or not all(map(_PLAIN.fullmatch, names)):
        return None
    blank = _BLANK.search(octets)
    return _named(names).findall(octets, 0, blank.start() if blank else len(octets))


@lru_cache(maxsize=100)
def _named(names: frozenset[bytes]) -> re.Pattern[bytes]:
    either = b"|".join(re.escape(name) for name in sorted(names))
    return re.compile(
        rb"^(?:%b)[ \t\r]*:[^\n]*(?:\n[ \t][^\n]*)*\n?" % either, re.MULTILINE | re.IGNORECASE
    )
