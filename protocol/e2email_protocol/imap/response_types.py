"""What a server can say to a client (RFC 3501 §7 and the extensions that sync uses)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .sequence import Ranges

# RFC 9051, section 9: nz-number of a UID; RFC 7162, section 7: mod-sequence-value.
UID_MAX = 2**32 - 1
MODSEQ_MAX = 2**63 - 1

# A parsed value: string, atom or number as bytes, NIL as None, a parenthesised list
Value = bytes | None | list["Value"]


class BadResponse(Exception):
    """The server broke the grammar or a bound; the message quotes nothing of what it sent."""


@dataclass(frozen=True, slots=True)
class Code:
    """A response code: name in upper case, its arguments as sent."""

    name: bytes
    arguments: bytes = b""


@dataclass(frozen=True, slots=True)
class Tagged:
    tag: bytes
    status: bytes  # OK, NO, BAD
    code: Code | None
    text: bytes


@dataclass(frozen=True, slots=True)
class Condition:
    """An untagged OK, NO, BAD, BYE or PREAUTH; the greeting is one."""

    status: bytes
    code: Code | None
    text: bytes


@dataclass(frozen=True, slots=True)
class Continuation:
    text: bytes


@dataclass(frozen=True, slots=True)
class Exists:
    count: int


@dataclass(frozen=True, slots=True)
class Recent:
    count: int


@dataclass(frozen=True, slots=True)
class Expunge:
    number: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """RFC 7162 §3.2.10; `earlier`: they went before this session asked."""

    earlier: bool
    uids: Ranges


@dataclass(frozen=True, slots=True)
class Fetch:
    """`items`: name in upper case as sent ("BODY[]", "UID") → value. Its repr shows names only."""

    number: int
    items: Mapping[bytes, Value] = field(repr=False)

    def __repr__(self) -> str:
        return f"Fetch(number={self.number}, items={sorted(self.items)})"

    @property
    def uid(self) -> int | None:
        return self._number(self.items.get(b"UID"), UID_MAX)

    @property
    def modseq(self) -> int | None:
        value = self.items.get(b"MODSEQ")
        return self._number(value[0], MODSEQ_MAX) if isinstance(value, list) and value else None

    @property
    def flags(self) -> frozenset[str] | None:
        value = self.items.get(b"FLAGS")
        if not isinstance(value, list):
            return None
        return frozenset(flag.decode("latin-1") for flag in value if isinstance(flag, bytes))

    @staticmethod
    def _number(value: Value, most: int) -> int | None:
        if value is None:
            return None
        if not isinstance(value, bytes) or not value.isdigit() or len(value) > 20:
            raise BadResponse("a number expected")
        number = int(value)
        if number > most:
            raise BadResponse("a number above what IMAP knows")
        return number


@dataclass(frozen=True, slots=True)
class ListReply:
    """LIST or LSUB. Names tell much about a person: the repr hides them."""

    kind: bytes
    attributes: frozenset[str]
    delimiter: str | None
    name: str = field(repr=False)
    extended: Sequence[Value] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class StatusReply:
    name: str = field(repr=False)
    items: Mapping[bytes, int] = field(default_factory=dict)
    mailbox_id: str = ""  # MAILBOXID (RFC 8474)


@dataclass(frozen=True, slots=True)
class Search:
    numbers: Sequence[int] = field(repr=False)
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class ESearch:
    """RFC 4731; `items`: MIN, MAX, COUNT, ALL (a sequence-set as sent), MODSEQ."""

    tag: bytes | None
    uid: bool
    items: Mapping[bytes, Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Capability:
    names: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Enabled:
    names: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Flags:
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Other:
    """An untagged response that nobody here needs: its name and its values."""

    name: bytes
    values: Sequence[Value] = field(repr=False)


Response = (
    Tagged
    | Condition
    | Continuation
    | Exists
    | Recent
    | Expunge
    | Vanished
    | Fetch
    | ListReply
    | StatusReply
    | Search
    | ESearch
    | Capability
    | Enabled
    | Flags
    | Other
)
