"""Ports on this machine: which are asked for, and who has one that is taken."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"  # linux/net/tcp_states.h, in /proc/net/tcp


@dataclass(frozen=True, slots=True)
class Ports:
    """0: any that is free; None: not offered."""

    imap: int | None = 1143
    imaps: int | None = 1993
    pop3: int | None = 1110
    pop3s: int | None = 1995


AUTO = Ports(0, 0, 0, 0)


def holder(port: int) -> str:
    """Who listens on a port, as far as this user may know: a sentence's end."""
    names = sorted({name for inode in _inodes(port) for name in _owners(inode)})
    return f"it is taken by {', '.join(names)}" if names else "it is taken by another program"


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue  # not Linux, or no IPv6
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTEN and int(columns[1].rsplit(":", 1)[1], 16) == port:
                found.add(columns[9])
    return found


def _owners(inode: str) -> set[str]:
    """Program names and process ids; another user's processes cannot be looked into."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) == f"socket:[{inode}]":  # noqa: PTH115  # no such path
                    name = (process / "comm").read_text().strip()
                    found.add(f"{name} (process {process.name})")
        except OSError:
            continue
    return found
