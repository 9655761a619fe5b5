"""Header fields from a summary: which questions the published ones answer without the header.

Pure functions. The summary has the published fields themselves and the names of all others
(docs/specs/sealed-message.md §4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from e2email_protocol.mime.header import fields
from e2email_protocol.sealed.summary import PUBLISHED


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
    names = {name.lower() for name in asked}
    found = [
        octets[one.start : one.end] for one in fields(octets) if (one.name.lower() in names) is keep
    ]
    if found and not found[-1].endswith(b"\n"):  # the mail was cut there
        found.append(b"\r\n")
    return b"".join(found) + b"\r\n"
