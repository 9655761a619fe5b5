"""Tells the service manager how far a program is (sd_notify(3)); without one nothing happens."""

from __future__ import annotations

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> None:
    """`READY=1` or `STOPPING=1`. A manager that does not listen is no reason to fail."""
    where = os.environ.get(VARIABLE, "")
    if not where.startswith(("/", "@")):
        return
    address = "\0" + where[1:] if where[0] == "@" else where
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto(state.encode("ascii"), address)
    except OSError:
        return
