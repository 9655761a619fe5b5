"""The parent's end of the opening worker: start it, talk over two pipes, end it when it is late.

The child is a fresh interpreter, not a fork: it inherits no memory, no descriptor and, but for what
it needs to load libraries, no environment.
"""

import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from .errors import BadKey
from .worker import ANSWER, LENGTH, NO_KEY, OPENED

T = TypeVar("T")

# what the dynamic loader of an unusual installation needs; RUST_BACKTRACE is not among it
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
# 16 signatures with fingerprints in JSON are 3 KiB
MAX_VERDICTS = 64 * 1024
_READ = 1024 * 1024
_IOV = 256  # below IOV_MAX everywhere
_KEY_ID = 8
_START_SECONDS = 30.0


class ChildGone(Exception):
    """The child died, was late, or spoke nonsense; it has been ended."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer frame; `plaintext` is None if the message was refused."""

    plaintext: bytes | None
    key_id: str
    key_ids: tuple[str, ...]
    verdicts: bytes

    def __repr__(self) -> str:
        return f"Answer({'refused' if self.plaintext is None else len(self.plaintext)})"


_REFUSED = Answer(None, "", (), b"")


class Child:
    """One running worker child. Not thread-safe."""

    def __init__(self, tsks: Sequence[bytes], memory: int, deadline: float) -> None:
        """Start it and hand the keys over its pipe.

        Raises BadKey if it cannot read one of them, ChildGone or OSError if it does not start.
        """
        self._deadline = max(deadline, _START_SECONDS)
        self._received = bytearray()
        self.fresh = True  # no message was sent to it yet
        path = [str(Path(p).absolute()) for p in sys.path if p]
        code = f"import sys; sys.path[:] = {path!r}; from e2email_crypto import worker; "
        # -I -S: no user site, no environment, no start-up hooks between us and the worker's code
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and code
            [sys.executable, "-I", "-S", "-c", code + f"worker.main({int(memory)})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a Rust panic prints there
            bufsize=0,
            cwd="/",
            env={k: os.environ[k] for k in _ENVIRONMENT if k in os.environ},
            start_new_session=True,  # Ctrl-C in the terminal is for the program, not for this
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        for descriptor in (self._to, self._from):
            os.set_blocking(descriptor, False)
        self._hand_over(tsks)
        self._deadline = deadline

    def _hand_over(self, tsks: Sequence[bytes]) -> None:
        frames = [LENGTH.pack(len(tsks))]
        frames += (part for tsk in tsks for part in (LENGTH.pack(len(tsk)), tsk))
        read: list[int] = []
        self._converse(frames, read, 1, self._take_length)
        if read != [len(tsks)]:
            self.end()
            raise BadKey("a secret key that cannot be read")

    def is_alive(self) -> bool:
        """False after `end`, or if something ended it meanwhile."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it at once (it holds nothing that is worth saving) and reap it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def exchange(
        self, requests: Sequence[Sequence[bytes]], answers: list[Answer], most: int
    ) -> None:
        """Send all requests; append their answers in order, none with more than `most` octets.

        Raises ChildGone; what was answered before that is in `answers`.
        """
        self.fresh = False
        parts = [part for request in requests for part in request]
        self._converse(parts, answers, len(requests), lambda: self._take_answer(most))

    def _converse(
        self, parts: Sequence[bytes], taken: list[T], wanted: int, take: Callable[[], T | None]
    ) -> None:
        """Write and read until `wanted` frames are taken; the deadline starts anew at each."""
        unsent = deque(memoryview(part) for part in parts if part)
        due = time.monotonic() + self._deadline
        try:
            while len(taken) < wanted:
                self._wait(bool(unsent), due)
                self._write(unsent)
                self._read()
                while len(taken) < wanted and (frame := take()) is not None:
                    taken.append(frame)
                    due = time.monotonic() + self._deadline
        except (OSError, ChildGone):
            self.end()
            raise ChildGone from None

    def _wait(self, writing: bool, due: float) -> None:
        left = max(due - time.monotonic(), 0)  # what has come is taken, however late we look
        poll = select.poll()
        poll.register(self._from, select.POLLIN)
        if writing:
            poll.register(self._to, select.POLLOUT)
        if not poll.poll(left * 1000):
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

    def _take_length(self) -> int | None:
        if len(self._received) < LENGTH.size:
            return None
        (value,) = LENGTH.unpack_from(self._received)
        del self._received[: LENGTH.size]
        return int(value)

    def _take_answer(self, most: int) -> Answer | None:
        """The first complete answer received; ChildGone if it claims more than it may."""
        if len(self._received) < ANSWER.size:
            return None
        status, count, index, size, signed = ANSWER.unpack_from(self._received)
        if size > most or signed > MAX_VERDICTS or not (index < count or index == NO_KEY):
            raise ChildGone
        ids_end = ANSWER.size + count * _KEY_ID
        end = ids_end + size + signed
        if len(self._received) < end:
            return None
        with memoryview(self._received) as view:
            ids = view[ANSWER.size : ids_end].hex().upper()
            plaintext, verdicts = (
                bytes(view[ids_end : ids_end + size]),
                bytes(view[end - signed : end]),
            )
        del self._received[:end]
        if status != OPENED:
            return _REFUSED
        key_ids = tuple(ids[i : i + 2 * _KEY_ID] for i in range(0, len(ids), 2 * _KEY_ID))
        return Answer(plaintext, "" if index == NO_KEY else key_ids[index], key_ids, verdicts)
