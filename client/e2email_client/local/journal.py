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
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlcipher3 import dbapi2

from e2email_client.failure import LocalFault
from e2email_protocol.imap.sequence import render_set

from . import notices
from .cipher import Database
from .contents import pack
from .entries import Change, Entry, Kind, Place, State, entry, marks, parts, together
from .notices import Kind as Notice
from .pending import Effect
from .reserve import Reserve

# A program that was told NO, or nothing, tries again within minutes or when it is next opened.
RETRY_SECONDS = 24 * 3600

Seal = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Sending:
    """An APPEND on its way: its row, and the octets as they go up."""

    id: int
    octets: bytes = field(repr=False)
    again: bool  # what became of an earlier attempt is not known


_COLUMNS = (
    "id, state, kind, mailbox, object_id, uidvalidity, uids, added, removed, internal_date,"
    " since, reason, coalesce(length(octets), 0), marks"
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
            for part in parts(one.uids)
        ]
        return self._promise(rows)

    def delete(
        self, place: Place, uids: Sequence[int], mails: Mapping[int, str] | None = None
    ) -> list[int]:
        """`mails`: uid → email id, as far as it is known: no other mail is deleted for them."""
        nothing: frozenset[str] = frozenset()
        return self._promise(
            [
                (place, Kind.DELETE, part, nothing, nothing, marks(part, mails or {}))
                for part in parts(uids)
            ]
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
            return self._insert_append(writer, State.PENDING, place, octets, flags, when, imported)

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
        which = (State.SENDING, int(self._clock()) - RETRY_SECONDS)
        with _kept():
            old = self._state.read("SELECT id FROM journal WHERE state = ? AND since < ?", which)
        if old:
            self.done([row for (row,) in old])

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
        marked: bytes = b"",
    ) -> int:
        row: int = writer.execute(
            "INSERT INTO journal (state, kind, mailbox, object_id, uidvalidity, uids, added,"
            " removed, since, marks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
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
                marked,
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

    def refuse(self, entries: Collection[Entry], reason: str) -> None:
        """They can never be done, and the user is told."""
        with _kept(), self._state.write() as writer:
            for one in (replace(one, reason=reason) for one in entries):
                writer.execute(
                    "UPDATE journal SET state = ?, reason = ? WHERE id = ?",
                    (State.REFUSED, reason, one.id),
                )
                # what was imported and never came there may be imported again
                writer.execute(
                    "DELETE FROM imported WHERE digest ="
                    " (SELECT retry_key FROM journal WHERE id = ?)",
                    (one.id,),
                )
                notices.write(writer, Notice.REFUSED, one.place.name, one.said)

    def acknowledge(self) -> None:
        """The user was told of what was refused. Messages stay until they are saved."""
        with _kept(), self._state.write() as writer:
            writer.execute(
                "DELETE FROM journal WHERE state = ? AND kind <> ?", (State.REFUSED, Kind.APPEND)
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
        return [entry(row) for row in rows]

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
        return together(entry(row) for row in rows)

    def foreign_version(self) -> int:
        """Changes whenever another program promised something."""
        return self._state.foreign_version()


@contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except dbapi2.OperationalError as fault:
        raise LocalFault(f"The journal on this machine cannot be written: {fault}.") from fault
