"""One session's numbered view of a mailbox: what this client has been told, and what it has not.

Sequence numbers are places in `entries`. A message that another session expunged keeps its
place until the client may be told (RFC 3501 §7.4.1, RFC 2180 §4.1.2).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from .errors import BadCommand
from .flags import SYSTEM, keywords, render_flags, render_recent
from .sequence import SAVED, Ranges, Spans, between, common, normal, runs, vanished_lines
from .session import Changes, Entry, Snapshot

_uid = attrgetter("uid")


class Numbered(NamedTuple):
    number: int  # message sequence number
    entry: Entry


class View:
    """`since` is what the backend is to be asked changes from; `gone` is not told yet."""

    def __init__(self, snapshot: Snapshot, recent_from: int):
        self._own: list[Entry] | None = None  # None: the entries are shared with other sessions
        self.entries: Sequence[Entry] = snapshot.entries
        if not isinstance(snapshot.entries, tuple):
            self._mine()
        self.since = snapshot.modseq
        self.known = snapshot.modseq  # all that happened up to here has been told
        self.uidnext = snapshot.uidnext
        self.saved: list[int] = []  # uids that "$" stands for
        self.gone: set[int] = set()
        self._modseqs = False  # the client is told modseqs: CONDSTORE is enabled
        self._by_uid = False  # and expunges as VANISHED: QRESYNC
        self._tell_recent = True  # not to a client of IMAP4rev2, which has no such thing
        self._recent_from = recent_from
        self._told = len(self.entries)
        self._changed: set[int] = set()  # uids whose flags the client does not know
        self._spelling: dict[str, str] = {}
        self._new_keywords = False
        for flags in {entry.flags for entry in self.entries}:
            self._learn_keywords(flags)
        self._new_keywords = False

    def _mine(self) -> list[Entry]:
        """The entries, to be changed."""
        if self._own is None:
            self.entries = self._own = list(self.entries)
        return self._own

    def share(self, now: Snapshot) -> None:
        """Let go of an own copy that says the same as everybody's: the client knows all of it."""
        if (
            now.modseq == self.since
            and len(now.entries) == len(self.entries) == self._told
            and not (self.gone or self._changed)
        ):
            self.entries, self._own = now.entries, None

    def tell(self, enabled: Collection[bytes]) -> None:
        """What the client has enabled decides what it is told."""
        self._modseqs = b"CONDSTORE" in enabled
        self._by_uid = b"QRESYNC" in enabled
        self._tell_recent = b"IMAP4rev2" not in enabled

    # messages

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def recent(self) -> int:
        return len(self.entries) - bisect_left(self.entries, self._recent_from, key=_uid)

    def is_recent(self, uid: int) -> bool:
        return uid >= self._recent_from

    def flags(self, entry: Entry) -> bytes:
        """The FLAGS value without parentheses, \\Recent included."""
        if self._tell_recent and entry.uid >= self._recent_from:
            return render_recent(entry.flags)
        return render_flags(entry.flags)

    def by_number(self, ranges: Ranges) -> list[Numbered]:
        """BadCommand for a number that no message has; "*" of nothing is nothing."""
        if ranges == SAVED:
            return self._pick_saved()
        total = len(self.entries)
        if not total and all(0 in pair for pair in ranges):
            return []
        spans = normal(ranges, total)
        if spans[-1][1] > total:
            raise BadCommand(b"no message has that number")
        return self._pick((low - 1, high) for low, high in spans)

    def by_uid(self, ranges: Ranges) -> list[Numbered]:
        """Uids that do not exist mean nothing (RFC 3501 §6.4.8)."""
        if ranges == SAVED:
            return self._pick_saved()
        if not self.entries:
            return []
        return self._pick(
            (bisect_left(self.entries, low, key=_uid), bisect_right(self.entries, high, key=_uid))
            for low, high in normal(ranges, self.entries[-1].uid)
        )

    def _pick(self, spans: Iterable[tuple[int, int]]) -> list[Numbered]:
        return [
            Numbered(number, entry)
            for start, end in spans
            for number, entry in enumerate(self.entries[start:end], start + 1)
        ]

    def _pick_saved(self) -> list[Numbered]:
        """Those of them that are still there (RFC 5182 §2.1)."""
        places = (self._place(uid) for uid in self.saved)
        return [Numbered(place + 1, self.entries[place]) for place in places if place is not None]

    def spans(self, ranges: Ranges) -> Spans:
        """The uids that are meant, whether they are there or not."""
        return runs(self.saved) if ranges == SAVED else normal(ranges, self.uidnext - 1)

    def missing(self, changes: Changes, among: Spans) -> Spans:
        """The uids `among` those given that are gone, as far as this client was told already."""
        if changes.complete:
            gone = (uid for uid in changes.vanished if self._place(uid) is None)
            return common(runs(uid for uid in gone if uid < self.uidnext), among)
        return common(between((entry.uid for entry in self.entries), self.uidnext), among)

    def renderer(self, uid: bool, flags: bool, modseq: bool) -> Callable[[Numbered], bytes]:
        """What writes a FETCH reply out of the view alone."""
        show = self.flags
        if uid and flags and not modseq:  # what every client asks of every message
            return lambda m: (
                b"* %d FETCH (UID %d FLAGS (%b))\r\n" % (m.number, m.entry.uid, show(m.entry))
            )

        def render(message: Numbered) -> bytes:
            number, entry = message
            items = []
            if uid:
                items.append(b"UID %d" % entry.uid)
            if flags:
                items.append(b"FLAGS (%b)" % show(entry))
            if modseq:
                items.append(b"MODSEQ (%d)" % entry.modseq)
            return b"* %d FETCH (%b)\r\n" % (number, b" ".join(items))

        return render

    def _place(self, uid: int) -> int | None:
        place = bisect_left(self.entries, uid, key=_uid)
        found = place < len(self.entries) and self.entries[place].uid == uid
        return place if found else None

    def number(self, uid: int) -> int | None:
        place = self._place(uid)
        return None if place is None else place + 1

    # keywords

    def spell(self, flags: Iterable[str]) -> frozenset[str]:
        """Keywords are the same in any case: take the spelling that the mailbox has."""
        return frozenset(self._spelling.get(flag.lower(), flag) for flag in flags)

    def _learn_keywords(self, flags: frozenset[str]) -> None:
        for keyword in keywords(flags):
            if keyword.lower() not in self._spelling:
                self._spelling[keyword.lower()] = keyword
                self._new_keywords = True

    def flags_line(self) -> bytes:
        """The untagged FLAGS reply."""
        known = [*SYSTEM, *sorted(self._spelling.values())]
        return b"* FLAGS (" + " ".join(known).encode() + b")\r\n"

    def keyword_news(self) -> bytes:
        """FLAGS again when there are keywords that the client has not seen."""
        if not self._new_keywords:
            return b""
        self._new_keywords = False
        return self.flags_line()

    # learning and telling

    def learn(self, changes: Changes) -> None:
        """Take in what happened since; news() tells it."""
        last = self.entries[-1].uid if self.entries else 0
        for entry in changes.entries:
            if entry.uid > last:
                self._learn_keywords(entry.flags)
                self._mine().append(entry)
            elif self.replace(entry):
                self._changed.add(entry.uid)
        self.gone.update(changes.vanished)
        self.since = max(self.since, changes.modseq)
        if self.entries:
            self.uidnext = max(self.uidnext, self.entries[-1].uid + 1)

    def replace(self, entry: Entry) -> bool:
        """Note a message's new state; is that news? The caller tells the client."""
        place = self._place(entry.uid)
        if place is None:
            return False
        known = self.entries[place]
        if entry.modseq < known.modseq:
            return False
        self._mine()[place] = entry
        if known.flags == entry.flags:
            return self._modseqs and known.modseq != entry.modseq
        self._learn_keywords(entry.flags)
        return True

    def counts(self) -> bytes:
        """EXISTS, and RECENT where it is known."""
        exists = b"* %d EXISTS\r\n" % len(self.entries)
        return exists + b"* %d RECENT\r\n" % self.recent if self._tell_recent else exists

    def lose(self, uids: Sequence[int]) -> None:
        self.gone.update(uids)

    def unsure(self, uid: int) -> None:
        """The client may hold other flags of this message than it has: tell them."""
        self._changed.add(uid)

    def news(self, expunges: bool) -> Iterator[bytes]:
        """Untagged replies that bring the client up to date; `expunges`: numbers may change."""
        if expunges and self.gone:
            yield from self._tell_gone()
        if len(self.entries) != self._told:
            self._told = len(self.entries)
            yield self.counts()
        yield self.keyword_news()
        if self._changed:
            yield from self._tell_changed()
        if not self.gone:
            self.known = self.since

    def _tell_gone(self) -> Iterator[bytes]:
        """Highest first: each number is right when read, and deleting from the end is cheap."""
        vanished = []
        for uid in sorted(self.gone, reverse=True):
            place = self._place(uid)
            if place is None:
                continue
            del self._mine()[place]
            if place >= self._told:
                continue
            self._told -= 1
            if self._by_uid:
                vanished.append(uid)
            else:
                yield b"* %d EXPUNGE\r\n" % (place + 1)
        yield from vanished_lines(runs(vanished))
        self._changed -= self.gone
        self.gone = set()

    def _tell_changed(self) -> Iterator[bytes]:
        render = self.renderer(uid=True, flags=True, modseq=self._modseqs)
        for uid in sorted(self._changed):
            place = self._place(uid)
            if place is not None:
                yield render(Numbered(place + 1, self.entries[place]))
        self._changed = set()
