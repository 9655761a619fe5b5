"""What an entry of the journal says: of which mailbox, which messages, what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from e2email_protocol.imap.sequence import parse_set

from .contents import unpack
from .mailboxes import Mailbox
from .pending import Effect

# A row of UIDs stays readable at once; a mailbox of a million messages is some of them.
UIDS_A_ROW = 10_000
_MARK = 8  # octets
# What the server says, in words.
_REASONS = {
    "CANNOT": "the server cannot do it",
    "LIMIT": "a limit of the server",
    "NONEXISTENT": "the mailbox is gone",
    "NOPERM": "the server does not allow it",
    "OVERQUOTA": "there is no room on the server",
    "TOOBIG": "it is too large for the server",
    "TRYCREATE": "the mailbox is gone",
}


class State(StrEnum):
    PENDING = "pending"  # the next connection does it
    SENDING = "sending"  # an APPEND nobody was told OK for: kept for the program's next attempt
    REFUSED = "refused"  # can never be done; kept until a person has seen it


class Kind(StrEnum):
    FLAGS = "flags"
    DELETE = "delete"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class Place:
    """A mailbox, and not another one that has its name by now.

    `object_id` is '' if it is not known; `uidvalidity` is the one that programs are told.
    """

    name: str
    object_id: str
    uidvalidity: int

    @classmethod
    def of(cls, local: Mailbox) -> Place:
        return cls(local.name, local.object_id, local.uidvalidity)

    def names(self, local: Mailbox) -> bool:
        if self.object_id and local.object_id:
            return self.object_id == local.object_id
        return self.name == local.name


@dataclass(frozen=True, slots=True)
class Change:
    """Flags to add to and to remove from messages."""

    uids: tuple[int, ...]
    added: frozenset[str]
    removed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, without the octets of an append (`Journal.octets`)."""

    id: int
    state: State
    kind: Kind
    place: Place
    uids: tuple[int, ...]
    added: frozenset[str]  # of an append: the flags it has
    removed: frozenset[str]
    internal_date: int
    since: int
    reason: str
    size: int  # of an append's octets
    marks: bytes = field(repr=False)  # of a deletion: marks() of its UIDs; or nothing

    @property
    def effect(self) -> Effect:
        return Effect(self.added, self.removed, gone=self.kind is Kind.DELETE)

    def fits(self, mails: Mapping[int, str]) -> bool:
        """Whether none of the UIDs names another mail than it did; `mails`: uid → email id of those
        that are there."""
        known = [self.marks[at : at + _MARK] for at in range(0, len(self.marks), _MARK)]
        said = marks(self.uids, mails)
        return all(
            uid not in mails or mark in (bytes(_MARK), said[at * _MARK : (at + 1) * _MARK])
            for at, (uid, mark) in enumerate(zip(self.uids, known, strict=False))
        )

    @property
    def when(self) -> datetime:
        return datetime.fromtimestamp(self.internal_date, UTC)

    @property
    def said(self) -> str:
        """For the user: what it was, and why it was refused."""
        count = "a message" if len(self.uids) == 1 else f"{len(self.uids)} messages"
        what = {
            Kind.FLAGS: f"The flags of {count} could not be changed on the server",
            Kind.DELETE: f"{count.capitalize()} could not be deleted on the server",
            Kind.APPEND: "A message could not be stored on the server, and e2email repair --save"
            " writes it to a file",
        }[self.kind]
        return f"{what}: {_REASONS.get(self.reason, self.reason)}."


def together(entries: Iterable[Entry]) -> dict[int, Effect]:
    """What entries of one mailbox, in order, come to for each message."""
    found: dict[int, Effect] = {}
    for entry in entries:
        effect = entry.effect
        for uid in entry.uids:
            found[uid] = found[uid].then(effect) if uid in found else effect
    return found


def differences(
    shown: Iterable[tuple[int, frozenset[str]]], flags: frozenset[str]
) -> Iterator[Change]:
    """What a STORE FLAGS means for messages that a program sees with the flags `shown`."""
    alike: dict[tuple[frozenset[str], frozenset[str]], list[int]] = {}
    for uid, had in shown:
        alike.setdefault((flags - had, had - flags), []).append(uid)
    for (added, removed), uids in alike.items():
        if added or removed:
            yield Change(tuple(uids), added, removed)


def marks(uids: Iterable[int], mails: Mapping[int, str]) -> bytes:
    """By which mails are known again: a hash of the email id of each, zeros where it is not known.
    Short, for a full disk has little room."""
    found = (mails.get(uid) for uid in uids)
    return b"".join(
        blake2b(one.encode(), digest_size=_MARK).digest() if one else bytes(_MARK) for one in found
    )


def parts(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    ordered = sorted(uids)
    return (ordered[at : at + UIDS_A_ROW] for at in range(0, len(ordered), UIDS_A_ROW))


def entry(row: Sequence[Any]) -> Entry:
    number, state, kind, name, object_id, uidvalidity, uids, added, removed, *rest = row
    return Entry(
        number,
        State(state),
        Kind(kind),
        Place(name, object_id, uidvalidity),
        _uids(uids),
        unpack(added),
        unpack(removed),
        *rest,
    )


def _uids(text: str) -> tuple[int, ...]:
    if text.isdecimal():
        return (int(text),)  # mostly, and there may be thousands
    ranges = parse_set(text.encode("ascii")) if text else ()
    return tuple(uid for low, high in ranges for uid in range(low, high + 1))
