"""A child process and the two pipes to it: start it, talk in frames, end it when it is late.

It is a fresh interpreter, not a fork: it inherits no memory, no descriptor and, but for what it
needs to load libraries, no environment. What the frames say is for others.
"""

import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

START_SECONDS = 30.0  # for the first answer, on a loaded small machine
# what the dynamic loader of an unusual installation needs; RUST_BACKTRACE is not among it
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_READ = 1024 * 1024
_IOV = 256  # below IOV_MAX everywhere


class ChildGone(Exception):
    """The child died, was late, or spoke nonsense; it has been ended."""


def start(code: str, buffered: int = 0) -> subprocess.Popen[bytes]:
    """Run `code` in an interpreter of its own, with our modules. Raises OSError.

    `buffered` as subprocess has it: 0 where the pipes are read and written by descriptor.
    """
    path = [str(Path(entry).absolute()) for entry in sys.path if entry]
    # -I -S: no user site, no environment, no start-up hooks between us and the child's code
    return subprocess.Popen(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path[:] = {path!r}; {code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a Rust panic prints there, and a traceback would quote mail
        bufsize=buffered,
        cwd="/",
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,  # Ctrl-C in the terminal is for the program, not for this
    )


class ChildProcess:
    """One running child with unbuffered pipes. Not thread-safe."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._received = bytearray()
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()
        for descriptor in (self._to, self._from):
            os.set_blocking(descriptor, False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._process.pid})"

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

    def _converse(
        self,
        parts: Sequence[bytes],
        taken: list[T],
        wanted: int,
        take: Callable[[], T | None],
        seconds: float,
        first: float = 0.0,
    ) -> None:
        """Write and read until `wanted` frames are taken; each may be `seconds` after the last.

        The first has `first` seconds more. Raises ChildGone; whatever `take` raises ends the child.
        """
        unsent = deque(memoryview(part) for part in parts if part)
        due = time.monotonic() + seconds + first
        try:
            while len(taken) < wanted:
                self._wait(bool(unsent), due)
                self._write(unsent)
                self._read()
                while len(taken) < wanted and (frame := take()) is not None:
                    taken.append(frame)
                    due = time.monotonic() + seconds
        except (OSError, ChildGone):
            self.end()
            raise ChildGone from None
        except BaseException:
            self.end()  # half of an answer is of no use to the next request
            raise

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
