"""Opened mail is parsed in child processes that have no key: MIME, header fields, text for search.

A mail that ends two of them, the second one met with nothing else, has no digest: None in place of
it. All others are not concerned.
"""

from __future__ import annotations

import fcntl
import json
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import LifoQueue
from typing import TypeVar

from e2email_client.autocrypt import Offer
from e2email_client.digest import Digest, Heading, digest_of, heading_of
from e2email_client.parsing_frames import REQUEST, Kind
from e2email_crypto.child_process import START_SECONDS, ChildGone, ChildProcess, start
from e2email_protocol.sealed.opened import CopyOfStored

# Seconds for one mail; 50 MiB take about a second, and a loaded small machine is slower.
DEADLINE = 20.0
# Four million letters of text, folded (which may make three of one), and a large structure.
MAX_ANSWER = 96 * 1024 * 1024
# Requests in flight: enough to hide the pipe, few enough that others get their turn.
BATCH = 100
_MAX_SEGMENTS = 32
_CODE = "from e2email_client import parsing_child; parsing_child.main()"
_PIPE = 1024 * 1024  # what Linux gives to anybody; two processes take turns less often

T = TypeVar("T")
_Request = tuple[Kind, bytes, bytes]


class NoParser(Exception):
    """A child process does not start: nobody's mail is to blame."""


@dataclass(frozen=True, slots=True)
class View:
    """What a sender encrypted, as it is shown: `front`, then the entity from `start` on."""

    front: bytes
    start: int
    digest: Digest

    def __repr__(self) -> str:
        return f"View({self.digest!r})"


class Parsing:
    """At most `workers` child processes, started when they are needed. Blocks; thread-safe."""

    def __init__(self, workers: int = 2) -> None:
        self._idle: LifoQueue[_Child | None] = LifoQueue()
        self._closed = False
        for _ in range(workers):
            self._idle.put(None)
        self._workers = workers

    def __repr__(self) -> str:
        return f"Parsing({self._workers} workers)"

    def close(self) -> None:
        """End the children; each finishes the batch it has."""
        self._closed = True
        for _ in range(self._workers):
            child = self._idle.get()
            if child is not None:
                child.end()
            self._idle.put(None)

    def headings(self, headers: Sequence[bytes]) -> list[Heading | None]:
        """Of blocks of header fields. Raises NoParser, as all of these."""
        return self._asked([(Kind.HEADING, one, b"") for one in headers], heading_of)

    def digests(self, mails: Sequence[bytes]) -> list[Digest | None]:
        return self._asked([(Kind.DIGEST, one, b"") for one in mails], digest_of)

    def autocrypt(self, headers: Sequence[bytes]) -> list[Offer | None]:
        asked = self._asked([(Kind.AUTOCRYPT, one, b"") for one in headers], _offers_of)
        return [found[0] if found else None for found in asked]

    def view(self, header: bytes, entity: bytes) -> View | None:
        """Of what a sender encrypted, in a mail with this header. Raises CopyOfStored."""
        (found,) = self._asked([(Kind.VIEW, header, entity)], _view_of)
        if isinstance(found, str):
            raise CopyOfStored(found)
        return found

    def _asked(
        self, requests: Sequence[_Request], read: Callable[[Sequence[bytes]], T]
    ) -> list[T | None]:
        results: list[T | None] = []
        alone = False  # the next one was met by a child that died
        while left := requests[len(results) :][: 1 if alone else BATCH]:
            answers: list[T] = []
            try:
                with self._child() as child:
                    if alone:
                        child.prove()
                    child.exchange(left, answers, read)
                alone = False
            except ChildGone:
                if alone:
                    results.append(None)
                alone = not alone
            results += answers
        return results

    @contextmanager
    def _child(self) -> Iterator[_Child]:
        child = self._idle.get()
        try:
            if self._closed:
                raise ValueError("parsing is closed")
            if child is None:
                child = _Child()
            yield child
        except (ChildGone, NoParser):
            child = None
            raise
        finally:
            self._idle.put(child)


class _Child(ChildProcess):
    """One running child. Not thread-safe."""

    def __init__(self) -> None:
        try:
            super().__init__(start(_CODE, 0))
        except OSError:
            raise NoParser from None
        if sys.platform == "linux":
            for descriptor in (self._to, self._from):
                with suppress(OSError):  # as large as it gets: the user may have many
                    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
        self._grace = START_SECONDS  # beside the deadline, for its first answer

    def prove(self) -> None:
        """That it works at all. Raises NoParser."""
        try:
            self.exchange([(Kind.HEADING, b"", b"")], [], heading_of)
        except ChildGone:
            raise NoParser from None

    def exchange(
        self,
        requests: Sequence[_Request],
        answers: list[T],
        read: Callable[[Sequence[bytes]], T],
    ) -> None:
        """Append what the answers say, in order. Raises ChildGone, after those that came before."""
        # the child's clock starts when the request is read, so ours is the outer limit
        seconds = int(DEADLINE) + 1
        parts: list[bytes] = []
        for kind, first, second in requests:
            parts += REQUEST.pack(kind, seconds, len(first), len(second)), first, second
        try:
            self._converse(
                parts, answers, len(requests), lambda: self._answer(read), DEADLINE, self._grace
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            # what it wrote may be somebody's mail: no cause is kept
            raise ChildGone from None
        self._grace = 0.0

    def _answer(self, read: Callable[[Sequence[bytes]], T]) -> T | None:
        segments = self._take()
        return read(segments) if segments else None

    def _take(self) -> list[bytes] | None:
        """The segments of the first complete answer. ChildGone if it claims more than it may."""
        received = self._received
        if len(received) < 4:
            return None
        (count,) = struct.unpack_from("!I", received)
        if not 0 < count <= _MAX_SEGMENTS:
            raise ChildGone
        at = 4 + 4 * count
        if len(received) < at:
            return None
        lengths = struct.unpack_from(f"!{count}I", received, 4)
        end = at + sum(lengths)
        if end > MAX_ANSWER:
            raise ChildGone
        if len(received) < end:
            return None
        segments = []
        with memoryview(received) as view:
            for length in lengths:
                segments.append(bytes(view[at : at + length]))
                at += length
        del received[:end]
        return segments


def _offers_of(segments: Sequence[bytes]) -> Sequence[Offer]:
    """One or none. An answer is never None: that would mean that it is not complete yet."""
    said = json.loads(segments[0])
    if said is None:
        return ()
    address, date = said
    if not isinstance(address, str) or not isinstance(date, int):
        raise TypeError
    return (Offer(address, date, segments[1]),)


def _view_of(segments: Sequence[bytes]) -> View | str:
    """Or the sender of a copy of what is stored here."""
    said = json.loads(segments[0])
    if len(segments) == 1:
        return str(said)
    if not isinstance(said, int) or said < 0:
        raise TypeError
    return View(segments[1], said, digest_of(segments[2:]))
