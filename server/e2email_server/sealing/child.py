"""The server's end of a sealing worker: start it, hand it a mail, end it when it is late.

Bodies go through a socket, never through the disk. The calls block and run in a thread of their
own; they wait without the interpreter's lock.
"""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from e2email_crypto.errors import SealFailed
from e2email_protocol.sealed.record import Record

from .frames import Closed, pack_job, receive, send, unpack_record
from .job import Job

# what the dynamic loader of an unusual installation needs; RUST_BACKTRACE is not among it
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class SealWorker:
    """One worker process, started when first needed and again after it died."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()  # kill() comes from another thread than seal()

    def __repr__(self) -> str:
        return f"SealWorker({self.pid})"

    @property
    def pid(self) -> int | None:
        """None while there is no process."""
        process = self._process
        return None if process is None else process.pid

    def seal(self, job: Job) -> Record:
        """Raises SealFailed: not sealed, or the worker died; the next call starts a fresh one."""
        try:
            sock = self._started()
            send(sock, *pack_job(job))
            frame = receive(sock)
            if frame[0]:
                record = unpack_record(frame)
                if record.record_id == job.record_id:
                    return record
                raise Closed
        except (Closed, OSError, KeyError, TypeError, ValueError):
            self.kill()
            raise SealFailed("the sealing worker died or was late") from None
        raise SealFailed("the mail could not be sealed")

    def _started(self) -> socket.socket:
        with self._lock:
            if self._process is not None and self._process.poll() is None and self._sock:
                return self._sock
            self._end()
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = _spawn(theirs)
            self._sock = ours
        send(ours, {}, self._seed, b"")
        return ours

    def kill(self) -> None:
        """End it at once. A call that waits for it fails."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _spawn(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """A fresh interpreter: it inherits no memory, no descriptor but the socket, no environment."""
    path = [str(Path(entry).absolute()) for entry in sys.path if entry]
    code = f"import sys; sys.path[:] = {path!r}; from e2email_server.sealing import worker; "
    return subprocess.Popen(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-I", "-S", "-c", code + "worker.main()"],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # a Rust panic prints there
        cwd="/",
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,  # Ctrl-C in the terminal is for the server, not for this
    )
