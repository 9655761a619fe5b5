"""Wide reads of what is known of messages: as lists, FETCH and SEARCH go through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from .cipher import Database
from .mails import State
from .many import chunks, marks


class Known(NamedTuple):
    """A message as far as it is known and was asked for; what is not here is None. A tuple, for
    there are many."""

    uid: int
    received: int
    email_id: str
    state: State
    size: int | None
    envelope: bytes | None
    structure: bytes | None
    octets: bytes | None  # the view (of a large one nothing, see view()) or its header
    fields: bytes | None  # the published header fields, in place of a header that is not here
    names: bytes | None  # of the other fields, as published.answers() takes them
    saved: int | None  # when it came into this mailbox

    def __repr__(self) -> str:
        return f"Known({self.uid}, {self.state.name})"


class Octets(StrEnum):
    """What a read brings of the view."""

    NONE = "NULL"
    HEADER = "h.octets"
    VIEW = "b.view"


_OCTETS = {
    Octets.NONE: "",
    Octets.HEADER: " LEFT JOIN header h ON h.mail_id = a.id",
    Octets.VIEW: " LEFT JOIN body b ON b.mail_id = a.id",
}
# looked for only where it is needed: the row is wide
_FIELDS = ", ".join(
    f"CASE WHEN a.state < {int(State.OPENED)}"
    f" THEN (SELECT {column} FROM summary WHERE mail_id = a.id) END"
    for column in ("fields", "names")
)
_STATES = {int(state): state for state in State}


def known(
    database: Database,
    mailbox_id: int,
    uids: Sequence[int],
    octets: Octets = Octets.NONE,
    *,
    summary: bool = True,
) -> list[Known]:
    """One wide read of these messages, by UID; the caller bounds how many octets that is.

    `summary`: with ENVELOPE and BODYSTRUCTURE.
    """
    join = " LEFT JOIN summary s ON s.mail_id = a.id" if summary else ""
    columns = "s.envelope, s.structure" if summary else "NULL, NULL"
    fields = _FIELDS if octets is Octets.HEADER else "NULL, NULL"
    found = []
    for chunk in chunks(uids):
        rows = database.read(
            f"SELECT m.uid, m.internal_date, a.email_id, a.state, a.size, {columns}, {octets},"
            f" {fields}, m.saved"
            f" FROM message m JOIN mail a ON a.id = m.mail_id{join}{_OCTETS[octets]}"
            f" WHERE m.mailbox_id = ? AND m.uid IN ({marks(chunk)}) ORDER BY m.uid",
            (mailbox_id, *chunk),
        )
        found += [Known(u, at, name, _STATES[s], *rest) for u, at, name, s, *rest in rows]
    return found


def previews(database: Database, mailbox_id: int, uids: Sequence[int]) -> dict[int, str]:
    """uid → preview, of those whose summary is final."""
    found: dict[int, str] = {}
    for chunk in chunks(uids):
        found |= database.read(
            "SELECT m.uid, s.preview FROM message m JOIN mail a ON a.id = m.mail_id"
            " JOIN summary s ON s.mail_id = a.id"
            f" WHERE m.mailbox_id = ? AND a.state >= {int(State.READY)}"
            f" AND m.uid IN ({marks(chunk)})",
            (mailbox_id, *chunk),
        )
    return found


class Where(StrEnum):
    """In which folded text a needle is looked for."""

    HEADER = "header"
    BODY = "text"


def containing(database: Database, mailbox_id: int, needle: str, where: Where) -> set[int]:
    """UIDs of the opened messages with a folded needle in them."""
    rows = database.read(
        f"SELECT m.uid FROM message m JOIN {where} t ON t.mail_id = m.mail_id"
        " WHERE m.mailbox_id = ?1 AND instr(t.folded, ?2)",
        (mailbox_id, needle),
    )
    return {uid for (uid,) in rows}


def headers(
    database: Database, mailbox_id: int, uids: Sequence[int]
) -> Iterator[tuple[int, bytes]]:
    """(uid, header) of messages that are opened."""
    for chunk in chunks(uids):
        yield from database.read(
            "SELECT m.uid, t.octets FROM message m JOIN header t ON t.mail_id = m.mail_id"
            f" WHERE m.mailbox_id = ? AND m.uid IN ({marks(chunk)})",
            (mailbox_id, *chunk),
        )
