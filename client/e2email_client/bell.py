"""How one program tells another, on the same machine, that it put something into the journal.

A datagram to a socket in the account's folder, which the program that syncs listens on. It says
nothing but that: what is to be done stands in the journal. Where it cannot be sent or heard (a
path too long for a socket's name, another file system), the journal is looked at every second.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)


class Bell:
    """Of one account."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ring(self) -> None:
        """For whoever listens; nobody has to."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            one.sendto(b"\0", str(self._path))

    @contextmanager
    def listening(self, heard: Callable[[], None]) -> Iterator[None]:
        """For the one program that holds the account's lock: it takes the place of a dead one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            try:
                self._bind(one)
            except OSError as fault:
                log.info("no bell: %s", fault.strerror or fault)
                yield
                return
            loop = asyncio.get_running_loop()
            loop.add_reader(one, _drain, one, heard)
            try:
                yield
            finally:
                loop.remove_reader(one)
                self._path.unlink(missing_ok=True)

    def _bind(self, one: socket.socket) -> None:
        self._path.unlink(missing_ok=True)
        # on Linux the socket file is made with the mode of the socket itself
        os.fchmod(one.fileno(), 0o600)
        one.bind(str(self._path))
        self._path.chmod(0o600)


def _drain(one: socket.socket, heard: Callable[[], None]) -> None:
    with suppress(BlockingIOError):
        while True:
            one.recv(1)
            heard()
