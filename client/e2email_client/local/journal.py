"""The journal: changes that programs were promised and the server does not have yet.

Each entry is on the disk (state.db, synchronous=FULL) before a program hears OK, and leaves only
with the server's OK. Changes are relative, so that doing one twice does no harm. The states, the
order and every failure: docs/specs/journal.md.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlcipher3 import dbapi2

from e2email_client.failure import LocalFault
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox, pack, unpack
from e2email_client.local.pending import Effect
from e2email_client.local.reserve import Reserve
from e2email_protocol.imap.sequence import parse_set, render_set

# A program that was told NO, or nothing, tries again within minutes or when it is next opened.
RETRY_SECONDS = 24 * 3600
# A row of UIDs stays readable at once; a mailbox of a million messages is some of them.
UIDS_A_ROW = 10_000

Seal = Callable[[bytes], bytes]


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

    @property
    def effect(self) -> Effect:
        return Effect(self.added, self.removed, gone=self.kind is Kind.DELETE)

    @property
    def when(self) -> datetime:
        return datetime.fromtimestamp(self.internal_date, UTC)


@dataclass(frozen=True, slots=True)
class Sending:
    """An APPEND on its way: its row, and the octets as they go up."""

    id: int
    octets: bytes = field(repr=False)
    again: bool  # what became of an earlier attempt is not known


_COLUMNS = (
    "id, state, kind, mailbox, object_id, uidvalidity, uids, added, removed, internal_date,"
    " since, reason, coalesce(length(octets), 0)"
)


class Journal:
    """Of one account. Blocks; thread-safe. LocalFault: it is not on the disk, promise nothing."""

    def __init__(
        self, state: Database, reserve: Reserve, clock: Callable[[], float] = time.time
    ) -> None:
        self._state = state
        self._reserve = reserve
        self._clock = clock
        self._under_way: set[int] = set()  # appends of this program that it still works at
        with _kept():
            ((self._key,),) = state.read("SELECT octets FROM journal_key")
        self._save_room()

    def __repr__(self) -> str:
        return f"Journal({self._state.path.parent.name})"

    # promises

    def flags(self, place: Place, changes: Iterable[Change]) -> list[int]:
        rows = [
            (place, Kind.FLAGS, part, one.added, one.removed)
            for one in changes
            for part in _parts(one.uids)
        ]
        return self._promise(rows)

    def delete(self, place: Place, uids: Sequence[int]) -> list[int]:
        nothing: frozenset[str] = frozenset()
        return self._promise(
            [(place, Kind.DELETE, part, nothing, nothing) for part in _parts(uids)]
        )

    def _promise(self, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        def insert(writer: Any) -> list[int]:
            return [self._insert(writer, State.PENDING, *row) for row in rows]

        return self._durably(insert)

    def queue_append(
        self,
        place: Place,
        octets: bytes,
        flags: Collection[str],
        when: datetime,
        imported: bytes | None = None,
    ) -> int:
        """`octets`: the record as it goes up. For our own client, which waits for no UID.

        `imported`: its import_digest, remembered in the same transaction.
        """
        with _kept(), self._state.write() as writer:
            if imported is not None:
                writer.execute("INSERT OR IGNORE INTO imported VALUES (?)", (imported,))
            return self._insert_append(writer, State.PENDING, place, octets, flags, when)

    def import_digest(self, place: Place, mail: bytes) -> bytes:
        """What a mail that is imported into a mailbox is known by."""
        octets = place.name.encode() + b"\0" + mail
        return hashlib.blake2b(octets, key=self._key, person=b"import").digest()

    def was_imported(self, digest: bytes) -> bool:
        with _kept():
            return bool(self._state.read("SELECT 1 FROM imported WHERE digest = ?", (digest,)))

    def begin_append(
        self, place: Place, mail: bytes, seal: Seal, flags: Collection[str], when: datetime
    ) -> Sending:
        """Before an APPEND is sent. The octets of an earlier attempt, where nobody was told OK."""
        key = hashlib.blake2b(place.name.encode() + b"\0" + mail, key=self._key).digest()
        known = self._earlier(key)
        if known is None:
            sealed = seal(mail)
            with _kept(), self._state.write() as writer:
                row = self._insert_append(writer, State.SENDING, place, sealed, flags, when, key)
            known = Sending(row, sealed, again=False)
        self._under_way.add(known.id)
        return known

    def _earlier(self, key: bytes) -> Sending | None:
        self._forget_old()
        with _kept():
            rows = self._state.read(
                "SELECT id, octets FROM journal WHERE state = ? AND retry_key = ? ORDER BY id",
                (State.SENDING, key),
            )
        # two programs that store the same mail at once want two of it
        found = (Sending(row, octets, again=True) for row, octets in rows)
        return next((one for one in found if one.id not in self._under_way), None)

    def _forget_old(self) -> None:
        before = int(self._clock()) - RETRY_SECONDS
        with _kept(), self._state.write() as writer:
            writer.execute(
                "DELETE FROM journal WHERE state = ? AND since < ?", (State.SENDING, before)
            )

    def gave_up(self, sending: Sending) -> None:
        """The program was told NO, or hung up: its next attempt finds these octets."""
        self._under_way.discard(sending.id)

    def _insert_append(
        self,
        writer: Any,
        state: State,
        place: Place,
        octets: bytes,
        flags: Collection[str],
        when: datetime,
        key: bytes | None = None,
    ) -> int:
        row = self._insert(writer, state, place, Kind.APPEND, (), flags, ())
        writer.execute(
            "UPDATE journal SET octets = ?, internal_date = ?, retry_key = ? WHERE id = ?",
            (octets, int(when.timestamp()), key, row),
        )
        return row

    def _insert(
        self,
        writer: Any,
        state: State,
        place: Place,
        kind: Kind,
        uids: Sequence[int],
        added: Collection[str],
        removed: Collection[str],
    ) -> int:
        row: int = writer.execute(
            "INSERT INTO journal (state, kind, mailbox, object_id, uidvalidity, uids, added,"
            " removed, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                state,
                kind,
                place.name,
                place.object_id,
                place.uidvalidity,
                render_set(uids).decode("ascii") if uids else "",
                pack(added),
                pack(removed),
                int(self._clock()),
            ),
        ).fetchone()[0]
        return row

    def _durably(self, act: Callable[[Any], list[int]]) -> list[int]:
        """A transaction that is on the disk; on a full one, in the place kept free for it."""
        try:
            promised = self._commit(act)
        except dbapi2.OperationalError:
            self.make_room()
            with _kept():
                promised = self._commit(act)
        if not self._reserve.held:
            self._save_room()
        return promised

    def make_room(self) -> None:
        """Free what is kept free, for a promise and for showing it."""
        self._reserve.give()

    def _save_room(self) -> None:
        """A promise lets the log grow by pages, and the file by octets."""
        with suppress(dbapi2.OperationalError):
            self._state.fold_log()

    def _commit(self, act: Callable[[Any], list[int]]) -> list[int]:
        with self._state.write() as writer:
            return act(writer)

    # what became of them

    def done(self, ids: Collection[int]) -> None:
        """The server said OK, or nothing was promised after all."""
        with _kept(), self._state.write() as writer:
            writer.executemany("DELETE FROM journal WHERE id = ?", [(one,) for one in ids])
        self._under_way.difference_update(ids)
        self._reserve.hold()

    def refuse(self, ids: Collection[int], reason: str) -> None:
        """It can never be done."""
        with _kept(), self._state.write() as writer:
            writer.executemany(
                "UPDATE journal SET state = ?, reason = ? WHERE id = ?",
                [(State.REFUSED, reason, one) for one in ids],
            )

    # reading

    def pending(self) -> list[Entry]:
        return self.entries(State.PENDING)

    def anything_pending(self) -> bool:
        with _kept():
            rows = self._state.read(
                "SELECT 1 FROM journal WHERE state = ? LIMIT 1", (State.PENDING,)
            )
        return bool(rows)

    def entries(self, state: State) -> list[Entry]:
        """In the order in which they were promised."""
        with _kept():
            rows = self._state.read(
                f"SELECT {_COLUMNS} FROM journal WHERE state = ? ORDER BY id", (state,)
            )
        return [_entry(row) for row in rows]

    def octets(self, entry: int) -> bytes | None:
        """Of an append: the sealed record. None: it is not there any more."""
        with _kept():
            rows = self._state.read("SELECT octets FROM journal WHERE id = ?", (entry,))
        return rows[0][0] if rows else None

    def effects(self, name: str, object_id: str, uidvalidity: int) -> Mapping[int, Effect]:
        """See local/pending.py."""
        with _kept():
            rows = self._state.read(
                f"SELECT {_COLUMNS} FROM journal WHERE state = ? AND kind <> ? AND uidvalidity = ?"
                " AND CASE WHEN object_id = '' OR ? = '' THEN mailbox = ? ELSE object_id = ? END"
                " ORDER BY id",
                (State.PENDING, Kind.APPEND, uidvalidity, object_id, name, object_id),
            )
        return together(_entry(row) for row in rows)

    def foreign_version(self) -> int:
        """Changes whenever another program promised something."""
        return self._state.foreign_version()


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


def _parts(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    ordered = sorted(uids)
    return (ordered[at : at + UIDS_A_ROW] for at in range(0, len(ordered), UIDS_A_ROW))


def _entry(row: Sequence[Any]) -> Entry:
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
    ranges = parse_set(text.encode("ascii")) if text else ()
    return tuple(uid for low, high in ranges for uid in range(low, high + 1))


@contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except dbapi2.OperationalError as fault:
        raise LocalFault(f"The journal on this machine cannot be written: {fault}.") from fault
