"""What is known of each sealed record: first nothing, then its summary, then its octets.

A record lies in any number of mailboxes and is opened once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from . import keywords, mailboxes, words
from .cipher import Database
from .mailboxes import IN_CHUNK


class State(IntEnum):
    """How much of a record is here. Only `READY` and above has values that will not change."""

    UNKNOWN = 0  # listed, nothing opened
    CLOSED = 1  # envelope opened; the sender's encryption inside must be opened before it is shown
    READY = 2  # summary final
    OPENED = 3  # octets here
    UNREADABLE = 4  # can never be opened; octets are a notice with the original attached


@dataclass(frozen=True, slots=True)
class Security:
    """What the client says about a record's protection. Words as in docs/specs/threat-model.md."""

    encryption: str  # "encrypted by the sender" | "sealed on arrival" | "sealed by you"
    origin: str  # "smtp", "append:<program>", "device"; "unproven" without a valid signature
    signature: str = "none"  # "none", "valid", "invalid", "unknown-signer", "refused-policy"
    signer: str = ""  # fingerprint
    alarms: tuple[str, ...] = ()
    verdicts: dict[str, str] = field(default_factory=dict)

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Security:
        value = json.loads(text)
        return cls(**{**value, "alarms": tuple(value["alarms"])})


@dataclass(frozen=True, slots=True)
class Summary:
    """What lists and IMAP's ENVELOPE, BODYSTRUCTURE, RFC822.SIZE and PREVIEW are answered from."""

    state: State
    size: int
    envelope: bytes
    structure: bytes
    fields: bytes
    preview: str
    date: int
    subject: str
    sender: str
    recipients: str
    attachments: int
    security: Security

    def __repr__(self) -> str:
        return f"Summary(state={self.state.name}, size={self.size})"


@dataclass(frozen=True, slots=True)
class Body:
    """The octets of one mail. `delivered` is the original, `view` what mail programs are shown."""

    view: bytes
    delivered: bytes
    trace_length: int
    header: bytes  # of the view
    text: str

    def __repr__(self) -> str:
        return f"Body({len(self.view)} octets)"


SUMMARY_COLUMNS = (
    "state, size, envelope, structure, fields, preview, date, subject, sender, recipients,"
    " attachments, security"
)


def put_summaries(database: Database, found: Iterable[tuple[str, Summary]]) -> None:
    """(email id, summary) of newly opened envelopes; a record already READY keeps what it has."""
    with database.write() as writer:
        changed = [_put(writer, email_id, one, State.READY) for email_id, one in found]
        mailboxes.touch(writer, [mail_id for mail_id in changed if mail_id is not None])


def put_bodies(database: Database, found: Iterable[tuple[str, Summary, Body]]) -> None:
    """Opened mail: its summary as recomputed from the octets, the octets, and its words."""
    with database.write() as writer:
        changed = []
        for email_id, one, content in found:
            mail_id = _put(writer, email_id, one, State.UNREADABLE + 1)
            if mail_id is None:
                continue  # expunged while it was being opened
            changed.append(mail_id)
            _put_body(writer, mail_id, content)
            words.put(writer, mail_id, one.subject, one.sender, one.recipients, content.text)
        mailboxes.touch(writer, changed)


def _put(writer: Any, email_id: str, summary: Summary, below: int) -> int | None:
    """Write a summary over one of a state lower than `below`; the row's id if there was one."""
    rows = writer.execute(
        "UPDATE mail SET state=?, size=?, envelope=?, structure=?, fields=?, preview=?, date=?,"
        " subject=?, sender=?, recipients=?, attachments=?, security=?, keywords=?"
        " WHERE email_id=? AND state < ? RETURNING id",
        (
            *_values(summary),
            mailboxes.pack(keywords.keywords(summary.security)),
            email_id,
            int(below),
        ),
    ).fetchall()
    return rows[0][0] if rows else None


def _put_body(writer: Any, mail_id: int, content: Body) -> None:
    writer.execute(
        "INSERT OR REPLACE INTO body (mail_id, view, delivered, trace_length, header, text)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            mail_id,
            content.view,
            None if content.delivered == content.view else content.delivered,
            content.trace_length,
            content.header,
            content.text,
        ),
    )


def wanting(database: Database, mailbox_id: int, below: State) -> list[tuple[int, str]]:
    """(uid, email id) of messages known less well than `below`, newest first.

    What is CLOSED needs its octets, not its envelope again: for `below` CLOSED it is left out.
    """
    return [
        (uid, email_id)
        for uid, email_id in database.read(
            "SELECT m.uid, a.email_id FROM message m JOIN mail a ON a.id = m.mail_id"
            " WHERE m.mailbox_id = ? AND a.state < ? ORDER BY m.uid DESC",
            (mailbox_id, int(below)),
        )
    ]


def lacking(
    database: Database, mailbox_id: int, uids: Sequence[int], state: State
) -> list[tuple[int, str]]:
    """Of these messages, (uid, email id) of those known less well than `state`."""
    found = []
    for chunk in _chunks(uids):
        found += database.read(
            "SELECT m.uid, a.email_id FROM message m JOIN mail a ON a.id = m.mail_id"
            f" WHERE m.mailbox_id = ? AND a.state < ? AND m.uid IN ({_marks(chunk)})",
            (mailbox_id, int(state), *chunk),
        )
    return [(uid, email_id) for uid, email_id in found]


def sizes(database: Database, mailbox_id: int) -> dict[int, int]:
    """uid → octets of the mail as far as its summary says, else 0."""
    return dict(
        database.read(
            "SELECT m.uid, coalesce(a.size, 0) FROM message m JOIN mail a ON a.id = m.mail_id"
            " WHERE m.mailbox_id = ?",
            (mailbox_id,),
        )
    )


def summary(database: Database, email_id: str) -> Summary | None:
    """None while nothing of it was opened."""
    rows = database.read(
        f"SELECT {SUMMARY_COLUMNS} FROM mail WHERE email_id = ? AND state > 0",
        (email_id,),
    )
    return summary_of(rows[0]) if rows else None


def body(database: Database, email_id: str) -> Body | None:
    """None while the octets are not here."""
    rows = database.read(
        "SELECT b.view, b.delivered, b.trace_length, b.header, b.text FROM body b"
        " JOIN mail a ON a.id = b.mail_id WHERE a.email_id = ?",
        (email_id,),
    )
    if not rows:
        return None
    view, delivered, trace_length, header, text = rows[0]
    return Body(view, view if delivered is None else delivered, trace_length, header, text)


@dataclass(frozen=True, slots=True)
class Known:
    """A message as far as it is known; `octets` are None where none were asked for or are here."""

    uid: int
    received: int
    email_id: str
    state: State
    summary: Summary | None
    octets: bytes | None

    def __repr__(self) -> str:
        return f"Known({self.uid}, {self.state.name})"


class Octets(StrEnum):
    """What a read brings beside the summaries."""

    NONE = "NULL"
    HEADER = "b.header"
    VIEW = "b.view"


def known(
    database: Database, mailbox_id: int, uids: Sequence[int], octets: Octets = Octets.NONE
) -> list[Known]:
    """One wide read of these messages, by UID; the caller bounds how many octets that is."""
    columns = f"m.uid, m.internal_date, a.email_id, a.state, {SUMMARY_COLUMNS}, {octets}"
    join = "" if octets is Octets.NONE else " LEFT JOIN body b ON b.mail_id = a.id"
    rows: list[Any] = []
    for chunk in _chunks(uids):
        rows += database.read(
            f"SELECT {columns} FROM message m JOIN mail a ON a.id = m.mail_id{join}"
            f" WHERE m.mailbox_id = ? AND m.uid IN ({_marks(chunk)}) ORDER BY m.uid",
            (mailbox_id, *chunk),
        )
    return [_known(row) for row in rows]


def _known(row: Sequence[Any]) -> Known:
    state = State(row[3])
    summary = summary_of(row[4:16]) if state > State.UNKNOWN else None
    return Known(row[0], row[1], row[2], state, summary, row[16])


def texts(
    database: Database, mailbox_id: int, uids: Sequence[int]
) -> Iterator[tuple[int, bytes, str]]:
    """(uid, header, decoded text of the body) of messages that are opened."""
    for chunk in _chunks(uids):
        yield from database.read(
            "SELECT m.uid, b.header, b.text FROM message m JOIN body b ON b.mail_id = m.mail_id"
            f" WHERE m.mailbox_id = ? AND m.uid IN ({_marks(chunk)}) ORDER BY m.uid",
            (mailbox_id, *chunk),
        )


def _chunks(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (uids[at : at + IN_CHUNK] for at in range(0, len(uids), IN_CHUNK))


def _marks(chunk: Sequence[int]) -> str:
    return ",".join("?" * len(chunk))


def _values(summary: Summary) -> tuple[Any, ...]:
    return (
        int(summary.state),
        summary.size,
        summary.envelope,
        summary.structure,
        summary.fields,
        summary.preview,
        summary.date,
        summary.subject,
        summary.sender,
        summary.recipients,
        summary.attachments,
        summary.security.encode(),
    )


def summary_of(row: Sequence[Any]) -> Summary:
    """Of a row of SUMMARY_COLUMNS."""
    values: Any = (State(row[0]), *row[1:-1], Security.decode(row[-1]))
    return Summary(*values)
