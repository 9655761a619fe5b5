"""The highest that a server ever said of each mailbox: one that says less went back in time.

Kept in state.db, by name, for that is how mail programs know a mailbox. A program that was told a
name, a UIDVALIDITY and a UID shows its own copy of that mail for ever. So where the server may have
given a UID to other mail, programs are told another UIDVALIDITY from then on, always a higher one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import notices
from .carried import Carried
from .cipher import Database
from .mailboxes import Mailbox
from .notices import Kind

log = logging.getLogger(__name__)

_HIGHEST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Counters:
    """What a server says of a mailbox. `modseq` 0 and `object_id` "": it does not say."""

    uidvalidity: int
    uidnext: int
    modseq: int
    object_id: str


@dataclass(frozen=True, slots=True)
class _Row:
    object_id: str
    uidvalidity: int
    shown: int
    uidnext: int
    modseq: int
    gone: bool

    def is_other(self, said: Counters) -> bool:
        """Another mailbox under this name, beyond doubt."""
        return bool(self.object_id and said.object_id and self.object_id != said.object_id)

    def is_above(self, said: Counters) -> bool:
        if self.is_other(said):
            return False
        if said.uidvalidity != self.uidvalidity:
            return said.uidvalidity < self.uidvalidity
        return said.uidnext < self.uidnext or 0 < said.modseq < self.modseq


_TEXTS = {
    Kind.WENT_BACK: (
        "The server's mailbox is as it was some time ago, as after a restored backup:"
        " UIDVALIDITY {was.uidvalidity}, UIDNEXT {was.uidnext} and HIGHESTMODSEQ {was.modseq} were"
        " seen, {said.uidvalidity}, {said.uidnext} and {said.modseq} are there now. It was read"
        " anew, and mail programs will fetch it anew. Mail that is only on this machine is kept"
        " here until this notice is acknowledged."
    ),
    Kind.REPLACED: (
        "It is another mailbox than before, or was numbered anew: UIDVALIDITY {was.uidvalidity}"
        " was seen, {said.uidvalidity} is there now. It was read anew."
    ),
}


class Seen:
    """Of one account. Blocks; thread-safe."""

    def __init__(self, state: Database) -> None:
        self._state = state
        self.carried = Carried(state)

    def above(self, name: str, said: Counters, local: Mailbox | None = None) -> bool:
        """Whether more than this was seen of the same mailbox. `local`: what is listed here."""
        rows = self._state.read(f"{_SELECT} WHERE mailbox = ?", (name,))
        known = _with(_row(rows[0]) if rows else None, local)
        return known is not None and known.is_above(said)

    def look(
        self, name: str, said: Counters, local: Mailbox | None = None, *, reused: bool = False
    ) -> int:
        """The UIDVALIDITY for programs; what is wrong is kept as a notice.

        `reused`: a UID names another mail than before, whatever the counters say.
        """
        with self._state.write() as writer:
            found = writer.execute(f"{_SELECT} WHERE mailbox = ?", (name,)).fetchone()
            had = _row(found) if found else None
            known = _with(had, local)
            row, kind = _judged(known, said, reused=reused)
            if row != had:
                _put(writer, name, row)
            if kind is not None:
                notices.write(writer, kind, name, _TEXTS[kind].format(was=known, said=said))
        if kind is not None:
            log.warning("a mailbox is not what it was (%s); e2email status says more", kind)
        return row.shown

    def told(self, name: str) -> tuple[int, int] | None:
        """The UIDVALIDITY that programs were told, and the server's own then."""
        rows = self._state.read(f"{_SELECT} WHERE mailbox = ?", (name,))
        return (_row(rows[0]).shown, _row(rows[0]).uidvalidity) if rows else None

    def caught_up(self) -> None:
        """All mailboxes are here as the server has them."""
        with self._state.write() as writer:
            writer.execute("INSERT OR REPLACE INTO synced VALUES (1, ?)", (int(time.time()),))

    def keeps(self) -> bool:
        """Mail that the server has no more is kept: the user was told so, and did not answer."""
        return any(one.kind is Kind.WENT_BACK for one in notices.pending(self._state))

    def gone(self, names: Iterable[str]) -> None:
        """They were deleted: what comes under their names is another mailbox."""
        with self._state.write() as writer:
            writer.executemany(
                "UPDATE seen SET gone = 1 WHERE mailbox = ?", [(name,) for name in names]
            )

    def renamed(self, names: Mapping[str, str]) -> None:
        """Old name → new, all at once: two may have changed places."""
        with self._state.write() as writer:
            rows = {
                row[0]: _row(row[1:])
                for row in writer.execute(_SELECT.replace("SELECT", "SELECT mailbox,"))
            }
            for old in names.keys() & rows.keys():
                _put(writer, old, replace(rows[old], gone=True))
            for old, new in names.items():
                if old in rows:
                    # programs may know the new name from before
                    last = rows.get(new)
                    row = rows[old]
                    shown = row.shown if last is None else max(row.shown, last.shown + 1)
                    _put(writer, new, replace(row, shown=shown, gone=False))


_SELECT = "SELECT object_id, uidvalidity, shown, uidnext, modseq, gone FROM seen"


def _with(row: _Row | None, local: Mailbox | None) -> _Row | None:
    """New messages are listed here before their counters are kept: a write for each is too much."""
    if row is None or local is None or local.server_validity != row.uidvalidity:
        return row
    return replace(row, uidnext=max(row.uidnext, local.uidnext))


def _judged(was: _Row | None, said: Counters, *, reused: bool) -> tuple[_Row, Kind | None]:
    fresh = _Row(
        said.object_id, said.uidvalidity, said.uidvalidity, said.uidnext, said.modseq, gone=False
    )
    if was is None:
        return fresh, None
    object_id = said.object_id or was.object_id
    if was.uidvalidity == said.uidvalidity and not was.is_other(said):
        if reused or was.is_above(said):
            return replace(fresh, object_id=object_id, shown=_higher(was, said)), Kind.WENT_BACK
        highest = max(was.modseq, said.modseq)
        return replace(fresh, object_id=object_id, shown=was.shown, modseq=highest), None
    row = replace(fresh, object_id=object_id, shown=_higher(was, said))
    if was.is_above(said):
        return row, Kind.WENT_BACK
    return row, None if was.gone else Kind.REPLACED


def _higher(was: _Row, said: Counters) -> int:
    """RFC 9051, section 2.3.1.1: a new UIDVALIDITY is higher than all before it under this name."""
    shown = said.uidvalidity if said.uidvalidity > was.shown else was.shown + 1
    return min(shown, _HIGHEST)


def _row(values: Any) -> _Row:
    object_id, uidvalidity, shown, uidnext, modseq, gone = values
    return _Row(object_id, uidvalidity, shown, uidnext, modseq, bool(gone))


def _put(writer: Any, name: str, row: _Row) -> None:
    writer.execute(
        "INSERT OR REPLACE INTO seen (mailbox, object_id, uidvalidity, shown, uidnext, modseq,"
        " gone) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (name, row.object_id, row.uidvalidity, row.shown, row.uidnext, row.modseq, row.gone),
    )
