"""Opening messages, in a child process that a hostile message may kill.

The library that decrypts inflates without limit and aborts its process when memory ends, so it
runs in a child with a memory limit and a deadline per message. A message that kills the child
fails; the next one meets a fresh child.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import LifoQueue
from types import TracebackType
from typing import Self

from ._child import Answer, Child
from .child_process import ChildGone
from .errors import CryptoError, OpenFailed
from .verify import MAX_CERTS, SignatureState, SignatureVerdict
from .worker import LENGTH, REQUEST

# A 50 MiB message needs up to five times its size; the interpreter and libraries some 60 MiB.
MEMORY = 600 * 1024 * 1024
# 50 MiB take about a second here; a loaded small machine may need ten times that.
DEADLINE = 30.0
MAX_PLAINTEXT = 64 * 1024 * 1024
# MAX_PLAINTEXT with its wrapping, and again as much for a message that others made larger
MAX_MESSAGE = 128 * 1024 * 1024
# open_many keeps this much in flight: enough to hide the pipe, little enough to lose to a bomb.
BATCH, BATCH_OCTETS = 64, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened message. `key_id` opened it; "" where the message hides whose it is."""

    plaintext: bytes
    key_id: str
    key_ids: frozenset[str]
    signatures: tuple[SignatureVerdict, ...]

    def __repr__(self) -> str:
        return f"Opened({len(self.plaintext)} octets, {self.key_id}, {len(self.signatures)} signed)"


class OpenWorker:
    """One child process that holds unprotected secret keys and opens messages, one at a time.

    Thread-safe: callers wait for each other. Use as a context manager, or call `close`.
    """

    def __init__(self, *tsks: bytes, memory: int = MEMORY, deadline: float = DEADLINE) -> None:
        """Start the child; BadKey if a binary secret key cannot be read, else CryptoError.

        `memory` in octets of address space, `deadline` in seconds for each message.
        """
        self._tsks, self._memory, self._deadline = tsks, memory, deadline
        self._lock = threading.Lock()
        self._closed = False
        self._child = self._start()

    def __repr__(self) -> str:
        return f"OpenWorker({len(self._tsks)} keys)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, and with it the only copy of the keys outside the caller's hands."""
        with self._lock:
            self._closed = True
            self._child.end()

    def open(
        self,
        message: bytes,
        max_plaintext: int = MAX_PLAINTEXT,
        certs: Sequence[bytes] = (),
        now: int | None = None,
        *,
        fresh: bool = False,
    ) -> Opened:
        """Open one binary message; OpenFailed for every cause, without a partial plaintext.

        `certs` are those whose signatures in the message are judged, as of `now`. `fresh`: in a
        child that has met no other message.
        """
        if fresh:
            self._renew()
        (result,) = self.open_batch([message], max_plaintext, certs, now)
        if isinstance(result, OpenFailed):
            raise result
        return result

    def hold(self, *tsks: bytes) -> None:
        """Open with these secret keys from the next message on, in a fresh child."""
        with self._lock:
            self._tsks = tsks
            if not self._closed:
                self._child.end()

    def _renew(self) -> None:
        with self._lock:
            if not self._child.fresh:
                self._child.end()  # the next message starts another

    def open_many(
        self,
        messages: Iterable[bytes],
        max_plaintext: int = MAX_PLAINTEXT,
        certs: Sequence[bytes] = (),
        now: int | None = None,
    ) -> Iterator[Opened | OpenFailed]:
        """Open messages in order with several in flight; a failure is a value, the rest go on."""
        for batch in _batches(messages):
            yield from self.open_batch(batch, max_plaintext, certs, now)

    def open_batch(
        self,
        messages: Sequence[bytes],
        max_plaintext: int = MAX_PLAINTEXT,
        certs: Sequence[bytes] = (),
        now: int | None = None,
    ) -> list[Opened | OpenFailed]:
        """All of a small batch; `open_many` cuts longer work into these."""
        with self._lock:
            if self._closed:
                raise ValueError("the worker is closed")
            # the child's clock starts when the request is read, so this is the outer limit
            request = _Request(max_plaintext, certs, now, int(self._deadline) + 1)
            return self._exchange([request.parts(m) for m in messages], max_plaintext)

    def _exchange(self, requests: list[list[bytes]], most: int) -> list[Opened | OpenFailed]:
        """One result for each request. If the child dies, the oldest unanswered one is to blame.

        A child that does not start is nobody's fault, and is not tried again for the rest.
        """
        results: list[Opened | OpenFailed] = []
        while left := len(requests) - len(results):
            answers: list[Answer] = []
            try:
                child = self._alive()
            except CryptoError:
                return results + [OpenFailed(final=False) for _ in range(left)]
            alone = child.fresh and left == 1
            try:
                child.exchange(requests[len(results) :], answers, most)
            except ChildGone:
                results += map(_result, answers)
                results.append(OpenFailed(final=False, alone=alone))
            else:
                results += map(_result, answers)
        return results

    def _alive(self) -> Child:
        if not self._child.is_alive():
            self._child = self._start()
        return self._child

    def _start(self) -> Child:
        try:
            return Child(self._tsks, self._memory, self._deadline)
        except (ChildGone, OSError):
            raise CryptoError("the opening worker does not start") from None


class OpenPool:
    """Several workers with the same keys: one hostile or huge message does not hold up the others.

    Same methods as OpenWorker; each call, and each batch of `open_many`, takes an idle worker.
    """

    def __init__(
        self, size: int, *tsks: bytes, memory: int = MEMORY, deadline: float = DEADLINE
    ) -> None:
        """Start `size` workers; BadKey if a secret key cannot be read."""
        self._workers: list[OpenWorker] = []
        self._idle: LifoQueue[OpenWorker] = LifoQueue()
        try:
            for _ in range(size):
                worker = OpenWorker(*tsks, memory=memory, deadline=deadline)
                self._workers.append(worker)
                self._idle.put(worker)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"OpenPool({len(self._workers)} workers)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def hold(self, *tsks: bytes) -> None:
        """As OpenWorker.hold, for all workers; each finishes the batch it has."""
        for worker in self._workers:
            worker.hold(*tsks)

    def close(self) -> None:
        """End all workers; each finishes the batch it has."""
        for worker in self._workers:
            worker.close()

    def open(
        self,
        message: bytes,
        max_plaintext: int = MAX_PLAINTEXT,
        certs: Sequence[bytes] = (),
        now: int | None = None,
        *,
        fresh: bool = False,
    ) -> Opened:
        """As OpenWorker.open."""
        with self._one() as worker:
            return worker.open(message, max_plaintext, certs, now, fresh=fresh)

    def open_many(
        self,
        messages: Iterable[bytes],
        max_plaintext: int = MAX_PLAINTEXT,
        certs: Sequence[bytes] = (),
        now: int | None = None,
    ) -> Iterator[Opened | OpenFailed]:
        """As OpenWorker.open_many; other callers get their turn between batches."""
        for batch in _batches(messages):
            with self._one() as worker:
                results = worker.open_batch(batch, max_plaintext, certs, now)
            yield from results

    @contextmanager
    def _one(self) -> Iterator[OpenWorker]:
        worker = self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put(worker)


class _Request:
    """The part of a request frame that is the same for a whole batch."""

    def __init__(
        self, max_plaintext: int, certs: Sequence[bytes], now: int | None, seconds: int
    ) -> None:
        self._now = int(time.time()) if now is None else now
        self._most, self._seconds = max_plaintext, seconds
        self._count = len(certs[:MAX_CERTS])
        self._certs = b"".join(LENGTH.pack(len(c)) + c for c in certs[:MAX_CERTS])

    def parts(self, message: bytes) -> list[bytes]:
        if len(message) > MAX_MESSAGE:
            message = b""  # refused by the grammar like anything else that cannot be opened
        head = REQUEST.pack(len(message), self._most, self._seconds, self._now, self._count)
        return [head, message, self._certs]


def _batches(messages: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    octets = 0
    for message in messages:
        batch.append(message)
        octets += len(message)
        if len(batch) == BATCH or octets >= BATCH_OCTETS:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def _result(answer: Answer) -> Opened | OpenFailed:
    if answer.plaintext is None:
        return OpenFailed()
    try:
        signatures = _signatures(answer.verdicts)
    except (ValueError, TypeError, RecursionError):
        # our own code does not write such verdicts: the child is no longer ours
        return OpenFailed()
    return Opened(answer.plaintext, answer.key_id, frozenset(answer.key_ids), signatures)


def _signatures(verdicts: bytes) -> tuple[SignatureVerdict, ...]:
    return tuple(
        SignatureVerdict(SignatureState(state), fingerprint, hint, created)
        for state, fingerprint, hint, created in (json.loads(verdicts) if verdicts else ())
    )
