"""What a server says of the selected mailbox without being asked, kept until it is written down.

It may say it at any time, also in the middle of the answer to something else (RFC 9051, section 7).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from e2email_client.local.keywords import without_reserved
from e2email_protocol.imap.response_types import (
    Condition,
    Exists,
    Expunge,
    Fetch,
    Response,
    Vanished,
)
from e2email_protocol.imap.sequence import STAR

# Changes that are kept between two looks; where there are more, all messages are compared.
MOST_CHANGES = 100_000
_HIGHEST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class News:
    """`flags`: (uid, flags, MODSEQ or 0), the last word on each; `gone`: ranges of UIDs."""

    flags: Sequence[tuple[int, frozenset[str], int]] = field(default=(), repr=False)
    gone: Sequence[tuple[int, int]] = ()
    grown: bool = False  # there may be new messages
    unclear: bool = False  # something was said of messages that cannot be told: compare all

    def __bool__(self) -> bool:
        return bool(self.flags or self.gone or self.grown or self.unclear)


class Hearing:
    """The listener of one connection."""

    def __init__(self) -> None:
        self._flags: dict[int, tuple[frozenset[str], int]] = {}
        self._gone: list[tuple[int, int]] = []
        self._grown = False
        self._unclear = False
        self._apart = False

    def heard(self, response: Response) -> None:
        match response:
            case Exists():
                self._grown = True
            case Vanished():
                self._gone += [_ascending(*ends) for ends in response.uids]
            case Expunge():
                self._unclear = True  # by number: which it was is not kept track of
            case Fetch():
                self._fetched(response)
            case Condition(code=code) if code is not None and code.name == b"CLOSED":
                self.clear()  # of the mailbox that was selected before (RFC 7162, 3.2.11)
        if len(self._flags) + len(self._gone) > MOST_CHANGES:
            self._flags.clear()
            self._gone.clear()
            self._unclear = True

    def _fetched(self, reply: Fetch) -> None:
        uid, modseq = reply.uid, reply.modseq or 0  # of every reply: a false one ends it all
        if b"EMAILID" in reply.items:
            # an answer to `skeletons`, which takes its flags; what came before is older
            if uid is not None:
                self._flags.pop(uid, None)
        elif reply.flags is None or self._apart:
            return  # it says nothing of flags, or whoever asked reads it
        elif uid is None:
            self._unclear = True
        else:
            known = self._flags.get(uid)
            if known is None or modseq >= known[1]:
                self._flags[uid] = believed(reply.flags), modseq

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Flags are read by who asked for them, those that come unasked among them, too."""
        self._apart = True
        try:
            yield
        finally:
            self._apart = False

    def clear(self) -> None:
        self._flags.clear()
        self._gone.clear()
        self._grown = self._unclear = False

    def selected(self) -> None:
        """The EXISTS so far was part of SELECT."""
        self._grown = False

    def take(self) -> News:
        flags = tuple((uid, flags, modseq) for uid, (flags, modseq) in self._flags.items())
        news = News(flags, tuple(self._gone), self._grown, self._unclear)
        self.clear()
        return news


@lru_cache(1024)  # many messages have the same ones
def believed(flags: frozenset[str]) -> frozenset[str]:
    """Without what only this client says: a program at the server's own port can store anything."""
    return without_reserved(flags) - {"\\Recent"}


def _ascending(one: int, other: int) -> tuple[int, int]:
    """`*` is the highest that can be; a range may be given either way (RFC 9051, section 9)."""
    ends = [_HIGHEST if end == STAR else end for end in (one, other)]
    return min(ends), max(ends)
