"""Opened mail is parsed in child processes that have no key: MIME, header fields, text for search.

A mail that ends two of them, the second one met with nothing else, has no digest: None in place of
it. All others are not concerned.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from queue import LifoQueue
from typing import TypeVar

from e2email_client.confined import start
from e2email_client.digest import Digest, Heading, digest_of, heading_of
from e2email_client.parsing_frames import REQUEST, Kind
from e2email_protocol.sealed.opened import CopyOfStored

# Seconds for one mail; 50 MiB take about a second, and a loaded small machine is slower.
DEADLINE = 20.0
# Four million letters of text, folded (which may make three of one), and a large structure.
MAX_ANSWER = 96 * 1024 * 1024
# Requests in flight: enough to hide the pipe, few enough that others get their turn.
BATCH = 100
_MAX_SEGMENTS = 32
_START_SECONDS = 30.0  # beside the deadline, for the first answer of a child
_READ = 1024 * 1024
_PIPE = 1024 * 1024  # what Linux gives to anybody; two processes take turns less often
_IOV = 256  # below IOV_MAX everywhere

T = TypeVar("T")
_Request = tuple[Kind, bytes, bytes]


class NoParser(Exception):
    """A child process does not start: nobody's mail is to blame."""


class ChildGone(Exception):
    """The child died, was late, or spoke nonsense; it has been ended."""


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


class _Child:
    """One running child. Not thread-safe."""

    def __init__(self) -> None:
        try:
            self._process = start("parsing_child", 0)
        except OSError:
            raise NoParser from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        for descriptor in (self._to, self._from):
            os.set_blocking(descriptor, False)
        if sys.platform == "linux":
            for descriptor in (self._to, self._from):
                with suppress(OSError):  # as large as it gets: the user may have many
                    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
        self._received = bytearray()
        self._grace = _START_SECONDS

    def __repr__(self) -> str:
        return f"_Child({self._process.pid})"

    def prove(self) -> None:
        """That it works at all. Raises NoParser."""
        try:
            self.exchange([(Kind.HEADING, b"", b"")], [], heading_of)
        except ChildGone:
            raise NoParser from None

    def end(self) -> None:
        """Kill it at once (it holds nothing that is worth saving) and reap it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

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
        unsent = deque(memoryview(part) for part in parts if part)
        due = time.monotonic() + DEADLINE + self._grace
        try:
            while len(answers) < len(requests):
                self._wait(bool(unsent), due)
                self._write(unsent)
                self._read()
                while len(answers) < len(requests) and (segments := self._take()):
                    answers.append(read(segments))
                    self._grace = 0.0
                    due = time.monotonic() + DEADLINE
        except (OSError, ChildGone, ValueError, TypeError, KeyError, RecursionError):
            # what it wrote may be somebody's mail: no cause is kept
            self.end()
            raise ChildGone from None
        except BaseException:
            self.end()  # half of an answer is of no use to the next request
            raise

    def _wait(self, writing: bool, due: float) -> None:
        poll = select.poll()
        poll.register(self._from, select.POLLIN)
        if writing:
            poll.register(self._to, select.POLLOUT)
        if not poll.poll(max(due - time.monotonic(), 0) * 1000):
            raise ChildGone

    def _write(self, unsent: deque[memoryview]) -> None:
        if not unsent:
            return
        try:
            sent = os.writev(self._to, list(islice(unsent, _IOV)))
        except BlockingIOError:
            return
        while sent and sent >= len(unsent[0]):
            sent -= len(unsent.popleft())
        if sent:
            unsent[0] = unsent[0][sent:]

    def _read(self) -> None:
        try:
            chunk = os.read(self._from, _READ)
        except BlockingIOError:
            return
        if not chunk:
            raise ChildGone
        self._received += chunk

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


def _view_of(segments: Sequence[bytes]) -> View | str:
    """Or the sender of a copy of what is stored here."""
    said = json.loads(segments[0])
    if len(segments) == 1:
        return str(said)
    if not isinstance(said, int) or said < 0:
        raise TypeError
    return View(segments[1], said, digest_of(segments[2:]))
