"""Running programs seen from outside, by /proc, and bare lines to their ports. Linux."""

import imaplib
import resource
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("there is no /proc here: processes are NOT looked at", allow_module_level=True)


def _status(pid: int) -> dict[str, str]:
    """/proc/PID/status; empty for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


def alive(pid: int) -> bool:
    return _status(pid).get("State", "Z")[0] not in "ZX"


def rss(pid: int) -> int:
    """Resident memory in octets; 0 for a process that is gone."""
    return int(_status(pid).get("VmRSS", "0 kB").split()[0]) * 1024


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _status(int(entry.name)).get("PPid") == str(pid):
            found.append(int(entry.name))
    return sorted(found)


def limit(pid: int, which: int) -> tuple[int, int]:
    return resource.prlimit(pid, which)


def descriptors(pid: int) -> int:
    """The lowest number above all descriptors in use."""
    return max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()) + 1


def lift_core_limit(pid: int) -> None:
    """Allow `pid` core files as large as it may have; what it forbade itself may stay forbidden."""
    _, most = resource.prlimit(pid, resource.RLIMIT_CORE)
    resource.prlimit(pid, resource.RLIMIT_CORE, (most, most))
    with suppress(PermissionError):  # needs CAP_SYS_RESOURCE
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_CORE, (unlimited, unlimited))


def memory(pid: int) -> Iterator[tuple[str, bytes]]:
    """All that a process can write to, by the name of the mapping. Skips where /proc forbids it."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as mem:
            for line in maps:
                span, rights, *_ = line.split()
                first, last = (int(one, 16) for one in span.split("-"))
                with suppress(OSError, OverflowError):  # special mappings have no octets
                    if "rw" in rights:
                        mem.seek(first)
                        yield f"{pid} {span}", mem.read(last - first)
    except PermissionError:
        pytest.skip(f"the memory of process {pid} may NOT be looked at")


@contextmanager
def sleeper(folder: Path) -> Iterator[int]:
    """An ordinary process."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=folder)
    try:
        yield process.pid
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@contextmanager
def imap_line(port: int, source: str = "127.0.0.1") -> Iterator[Callable[[str], bytes]]:
    """A call sends a line in clear and returns the next line of the answer."""
    with socket.create_connection(("127.0.0.1", port), 60, (source, 0)) as connection:
        file = connection.makefile("rb")
        file.readline()

        def line(text: str) -> bytes:
            connection.sendall(text.encode() + b"\r\n")
            return file.readline()

        yield line


@contextmanager
def imaps(port: int, ca: Path) -> Iterator[imaplib.IMAP4_SSL]:
    context = ssl.create_default_context(cafile=str(ca))
    client = imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=60)
    try:
        yield client
    finally:
        client.shutdown()
