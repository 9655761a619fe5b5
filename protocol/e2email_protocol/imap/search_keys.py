"""Search keys: the tree that a search-key becomes (RFC 3501 §9); search_parse.py reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from .sequence import Ranges
from .session import TextSearch, When


@dataclass(frozen=True, slots=True)
class And:
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Or:
    one: Key
    other: Key


@dataclass(frozen=True, slots=True)
class Not:
    key: Key


@dataclass(frozen=True, slots=True)
class All:
    pass


@dataclass(frozen=True, slots=True)
class HasFlag:
    flag: str


@dataclass(frozen=True, slots=True)
class Recent:
    pass


@dataclass(frozen=True, slots=True)
class Uids:
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Numbers:
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Larger:
    size: int


@dataclass(frozen=True, slots=True)
class Smaller:
    size: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """The day of INTERNALDATE, as it is shown."""

    when: When
    day: date


@dataclass(frozen=True, slots=True)
class Saved:
    """The day when it came into this mailbox; where that was not noted, of INTERNALDATE."""

    when: When
    day: date


@dataclass(frozen=True, slots=True)
class SaveDates:
    """SAVEDATESUPPORTED: does the mailbox note when messages come (RFC 8514 §4.3)? All do."""


@dataclass(frozen=True, slots=True)
class Modseq:
    """This modseq or a higher one (RFC 7162 §3.1.5)."""

    least: int


@dataclass(frozen=True, slots=True)
class Within:
    """OLDER, YOUNGER: INTERNALDATE is that many seconds ago, or longer, or less (RFC 5032)."""

    seconds: int
    older: bool


@dataclass(frozen=True, slots=True)
class EmailId:
    """RFC 8474 §4.2."""

    email_id: str


@dataclass(frozen=True, slots=True)
class ThreadId:
    """RFC 8474 §4.2: no message has one here."""


@dataclass(frozen=True, slots=True)
class InText:
    """The backend's to answer."""

    search: TextSearch


Flagged = HasFlag | Recent | Modseq
Meta = Larger | Smaller | Arrived | Saved | Within | EmailId
Leaf = All | SaveDates | Uids | Numbers | ThreadId | Flagged | Meta | InText
Key = And | Or | Not | Leaf

# What a backend must have for a key to be accepted
REQUIRES: dict[type[Key], bytes] = {
    Modseq: b"CONDSTORE",
    EmailId: b"OBJECTID",
    ThreadId: b"OBJECTID",
    Within: b"WITHIN",
    Saved: b"SAVEDATE",
    SaveDates: b"SAVEDATE",
}


def leaves(key: Key) -> Iterator[Leaf]:
    waiting = [key]
    while waiting:
        match waiting.pop():
            case And(keys):
                waiting += keys
            case Or(one, other):
                waiting += (one, other)
            case Not(inner):
                waiting.append(inner)
            case leaf:
                yield leaf
