"""What is known of each sealed record: first nothing, then its summary, then its octets.

A record lies in any number of mailboxes and is opened once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from . import announced, contents, keywords, large, outlines, words
from .chunks import Gone
from .cipher import Database
from .many import chunks, marks


class State(IntEnum):
    """How much of a record is here. Only `READY` and above has values that will not change."""

    UNKNOWN = 0  # listed, nothing opened
    CLOSED = 1  # envelope opened; the sender's encryption inside must be opened before it is shown
    READY = 2  # summary final
    OPENED = 3  # octets here
    UNREADABLE = 4  # can never be opened; octets are a notice with the original attached


_ENCODER = json.JSONEncoder(separators=(",", ":"))


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
        members = {name: getattr(self, name) for name in self.__slots__}
        return _ENCODER.encode(members)

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
    names: bytes | None = None  # of the unpublished fields, as local/published.py writes them

    def __repr__(self) -> str:
        return f"Summary(state={self.state.name}, size={self.size})"


@dataclass(frozen=True, slots=True)
class Body:
    """The octets of one mail. `delivered` is the original, `view` what mail programs are shown."""

    view: bytes
    delivered: bytes
    trace_length: int
    header: bytes  # of the view
    # what search looks through, decoded and as local/fold.py folds it; not read back
    text: str = ""
    header_text: str = ""

    def __repr__(self) -> str:
        return f"Body({len(self.view)} octets)"


# After this many failures of a worker a mail is opened only when it is asked for.
MOST_TRIES = 3

# of mail and summary
SUMMARY_COLUMNS = (
    "state, size, envelope, structure, fields, preview, date, subject, sender, recipients,"
    " attachments, security, names"
)


_SUMMARY_TABLE = (
    "envelope, structure, fields, preview, date, subject, sender, recipients, attachments,"
    " security, names"
)
_EXCLUDED = ", ".join(f"excluded.{column}" for column in _SUMMARY_TABLE.split(", "))
# Most summaries come twice, from the envelope and from the octets, and are the same: what is not
# written again is not encrypted again.
_PUT_SUMMARY = (
    f"INSERT INTO summary (mail_id, {_SUMMARY_TABLE}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
    f" ON CONFLICT DO UPDATE SET ({_SUMMARY_TABLE}) = ({_EXCLUDED})"
    f" WHERE ({_SUMMARY_TABLE}) IS NOT ({_EXCLUDED})"
)


def put_summaries(database: Database, found: Iterable[tuple[str, Summary]]) -> None:
    """(email id, summary) of newly opened envelopes; a record already READY keeps what it has."""
    with database.write() as writer:
        put = [_put(writer, email_id, one, State.READY) for email_id, one in found]
        announced.touch(writer, [one for one in put if one is not None])


def put_bodies(database: Database, found: Iterable[tuple[str, Summary, Body]]) -> None:
    """Opened mail: its summary as recomputed from the octets, the octets, and its text."""
    with large.placed(database, found, _octets) as placed, database.write() as writer:
        known = []
        for (email_id, one, content), files in placed:
            put = _put(writer, email_id, one, State.UNREADABLE + 1)
            if put is None:
                continue  # expunged while it was being opened
            known.append(put)
            _put_body(writer, put[0], content, files)
            words.put_off(writer, put[0])
        announced.touch(writer, known)


def _octets(mail: tuple[str, Summary, Body]) -> dict[str, bytes]:
    content = mail[2]
    if content.delivered == content.view:
        return {large.VIEW: content.view}
    return {large.VIEW: content.view, large.DELIVERED: content.delivered}


def put_off(
    database: Database,
    email_ids: Iterable[str],
    held: Iterable[str] = (),
    gone: Iterable[str] = (),
) -> None:
    """These could not be opened this time (opening.Later).

    Those `held` take keys that come later, as does all new mail behind them: programs are not told
    of it before, for some never ask again for a mail that was not to be had once. Those `gone`
    take keys that nobody may have any more: they hold back nothing.
    """
    missing = [(1, one) for one in held] + [(2, one) for one in gone]
    with database.write() as writer:
        writer.executemany("UPDATE mail SET held = ? WHERE email_id = ?", missing)
        tried = [
            writer.execute(
                "UPDATE mail SET tries = tries + 1 WHERE email_id = ? RETURNING id", (email_id,)
            ).fetchone()
            for email_id in email_ids
        ]
        announced.touch(writer, [(row[0], False) for row in tried if row])


def try_again(database: Database, vault: int) -> None:
    """With the keys of this version of the vault, what failed before may open."""
    with database.write() as writer:
        changed = writer.execute("UPDATE tried SET vault = ?1 WHERE vault <> ?1", (vault,))
        if changed.rowcount:
            writer.execute("UPDATE mail SET tries = 0, held = 0 WHERE tries > 0")


def _put(writer: Any, email_id: str, summary: Summary, below: int) -> tuple[int, bool] | None:
    """Write a summary over one of a state lower than `below`: the row's id, and whether it has
    other keywords now; None where there was none."""
    row = writer.execute(
        "SELECT id, keywords FROM mail WHERE email_id = ? AND state < ?", (email_id, int(below))
    ).fetchone()
    if row is None:
        return None
    mail_id, had = row
    said = contents.pack(keywords.keywords(summary.security))
    writer.execute(
        "UPDATE mail SET state = ?, size = ?, keywords = ? WHERE id = ?",
        (int(summary.state), summary.size, said, mail_id),
    )
    if writer.execute(_PUT_SUMMARY, (mail_id, *_values(summary))).rowcount:
        outlines.put(writer, mail_id, summary.fields)
    return mail_id, had != said


def _put_body(writer: Any, mail_id: int, content: Body, files: large.Files) -> None:
    same = content.delivered == content.view
    writer.execute("DELETE FROM body WHERE mail_id = ?", (mail_id,))
    writer.execute(
        "INSERT INTO body (mail_id, view, delivered, trace_length) VALUES (?, ?, ?, ?)",
        (
            mail_id,
            None if large.VIEW in files else content.view,
            None if same or large.DELIVERED in files else content.delivered,
            content.trace_length,
        ),
    )
    large.enter(writer, mail_id, files)
    writer.execute(
        "INSERT OR REPLACE INTO header (mail_id, octets, folded) VALUES (?, ?, ?)",
        (mail_id, content.header, content.header_text),
    )
    writer.execute(
        "INSERT OR REPLACE INTO text (mail_id, folded) VALUES (?, ?)",
        (mail_id, content.text),
    )


def wanting(
    database: Database, mailbox_id: int, below: State, after: int = -(2**62)
) -> list[tuple[int, str]]:
    """(uid, email id) of messages known less well than `below` and received after `after`, newest
    first.

    What is CLOSED needs its octets, not its envelope again: for `below` CLOSED it is left out, as
    is what failed too often.
    """
    return [
        (uid, email_id)
        for uid, email_id in database.read(
            # from the few that lack something to where they lie, not the other way round
            "SELECT m.uid, a.email_id FROM mail a INDEXED BY mail_state"
            " CROSS JOIN message m ON m.mail_id = a.id"
            " WHERE m.mailbox_id = ? AND a.state < ? AND a.tries < ? AND m.internal_date > ?"
            " ORDER BY m.uid DESC",
            (mailbox_id, int(below), MOST_TRIES, after),
        )
    ]


def lacking(
    database: Database, mailbox_id: int, uids: Sequence[int], state: State
) -> list[tuple[int, str]]:
    """Of these messages, (uid, email id) of those known less well than `state`."""
    if state > State.READY:
        large.forget_lost(database)
    found = []
    for chunk in chunks(uids):
        found += database.read(
            "SELECT m.uid, a.email_id FROM message m JOIN mail a ON a.id = m.mail_id"
            f" WHERE m.mailbox_id = ? AND a.state < ? AND m.uid IN ({marks(chunk)})",
            (mailbox_id, int(state), *chunk),
        )
    return [(uid, email_id) for uid, email_id in found]


def within(database: Database, mailbox_id: int, wanted: Set[str]) -> list[tuple[int, str]]:
    """(uid, email id) of those of `wanted` that lie in a mailbox, newest first."""
    rows = database.read(
        "SELECT m.uid, a.email_id FROM message m JOIN mail a ON a.id = m.mail_id"
        " WHERE m.mailbox_id = ? ORDER BY m.uid DESC",
        (mailbox_id,),
    )
    return [(uid, email_id) for uid, email_id in rows if email_id in wanted]


def sizes(database: Database, mailbox_id: int, uids: Sequence[int]) -> dict[int, int]:
    """uid → octets of the mail as far as its summary says, else 0."""
    found: dict[int, int] = {}
    for chunk in chunks(uids):
        found |= database.read(
            "SELECT m.uid, coalesce(a.size, 0) FROM message m JOIN mail a ON a.id = m.mail_id"
            f" WHERE m.mailbox_id = ? AND m.uid IN ({marks(chunk)})",
            (mailbox_id, *chunk),
        )
    return found


def summary(database: Database, email_id: str) -> Summary | None:
    """None while nothing of it was opened."""
    rows = database.read(
        f"SELECT {SUMMARY_COLUMNS} FROM mail JOIN summary ON mail_id = id WHERE email_id = ?",
        (email_id,),
    )
    return summary_of(rows[0]) if rows else None


def body(database: Database, email_id: str) -> Body | None:
    """None while the octets are not here."""
    rows = database.read(
        "SELECT b.view, b.delivered, b.trace_length, h.octets, b.mail_id FROM body b"
        " JOIN header h ON h.mail_id = b.mail_id"
        " JOIN mail a ON a.id = b.mail_id WHERE a.email_id = ?",
        (email_id,),
    )
    if not rows:
        return None
    view, delivered, trace_length, header, mail_id = rows[0]
    try:
        files = large.read(database, mail_id)
    except Gone:
        large.forget(database, [mail_id])
        return None
    view = files.get(large.VIEW, view)
    delivered = files.get(large.DELIVERED, delivered)
    if view is None:
        return None  # dropped between the two reads
    return Body(view, view if delivered is None else delivered, trace_length, header)


def view(
    database: Database, mailbox_id: int, uid: int, start: int = 0, count: int | None = None
) -> bytes | None:
    """Octets start … start + count of one message's view, and no more is read of a large one. None
    where it is not here."""
    rows = database.read(
        "SELECT b.view, b.mail_id FROM message m JOIN body b ON b.mail_id = m.mail_id"
        " WHERE m.mailbox_id = ? AND m.uid = ?",
        (mailbox_id, uid),
    )
    if not rows:
        return None
    octets, mail_id = rows[0]
    if octets is not None:
        return bytes(octets[start : None if count is None else start + count])
    try:
        return large.read(database, mail_id, start, count).get(large.VIEW)
    except Gone:
        large.forget(database, [mail_id])
        return None


def _values(summary: Summary) -> tuple[Any, ...]:
    """Of the table `summary`, in the order of _put."""
    return (
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
        summary.names,
    )


def summary_of(row: Sequence[Any]) -> Summary:
    """Of a row of SUMMARY_COLUMNS."""
    values: Any = (State(row[0]), *row[1:-2], Security.decode(row[-2]), row[-1])
    return Summary(*values)
