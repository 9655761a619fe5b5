"""A mailbox read through the local proxy, beside Dovecot in the clear in the same run.

    .venv/bin/python bench/proxy.py [--mails 10000] [--repeat 3]

Both are filled with the same mails over SMTP and LMTP and read by the same client on one connection
in the clear to Dovecot, under TLS to the proxy. The first figures are what comes before: a machine
that has nothing yet, listing the mailbox and then opening every body.
"""

from __future__ import annotations

import argparse
import imaplib
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import dovecot
import meter

from support import system

HERE = Path(__file__).resolve().parent
ADDRESS = "u0@example.test"
IDLE_CONNECTIONS = 100
imaplib._MAXLINE = 1 << 24  # type: ignore[attr-defined]  # SEARCH of ten thousand is one line

Command = tuple[str, ...]
# Of several commands the figure is that of one.
WORKS: dict[str, tuple[Command, ...]] = {
    "FETCH (UID FLAGS)": (("FETCH", "1:*", "(UID FLAGS)"),),
    "FETCH ENVELOPE": (("FETCH", "1:*", "(ENVELOPE)"),),
    "FETCH (RFC822.SIZE INTERNALDATE)": (("FETCH", "1:*", "(RFC822.SIZE INTERNALDATE)"),),
    "FETCH header fields": (("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])"),),
    "FETCH all bodies": (("FETCH", "1:*", "(BODY.PEEK[])"),),
    "SEARCH SUBJECT": (("SEARCH", "SUBJECT", "9999"),),
    "SEARCH TEXT": (("SEARCH", "TEXT", "nowherefound"),),
    "SORT (REVERSE DATE)": (("SORT", "(REVERSE DATE)", "UTF-8", "ALL"),),
    "SORT (SUBJECT)": (("SORT", "(SUBJECT)", "UTF-8", "ALL"),),
    "THREAD REFERENCES": (("THREAD", "REFERENCES", "UTF-8", "ALL"),),
    "STORE 1,000": (
        ("STORE", "1:1000", "+FLAGS", "(\\Flagged)"),
        ("STORE", "1:1000", "-FLAGS", "(\\Flagged)"),
    ),
}
# Made by the first that asks for it: the proxy's outlines, Dovecot's caches.
COLD = ("SORT (REVERSE DATE)",)


def fill(port: int, count: int, address: str, *, lmtp: bool) -> None:
    command = [
        *(sys.executable, str(HERE / "load.py"), "--port", str(port), "--count", str(count)),
        *("--users", "1", "--domain", address.partition("@")[2]),
        *(["--lmtp"] if lmtp else []),
    ]
    result = json.loads(subprocess.check_output(command))
    if result["refused"]:
        raise SystemExit(f"mail was refused: {result['refused']}")


def once(client: imaplib.IMAP4, *commands: Command) -> float:
    began = time.perf_counter()
    for command in commands:
        status, found = client._simple_command(*command)  # type: ignore[attr-defined]
        if status != "OK":
            raise SystemExit(f"{command}: {status} {found}")
    took = time.perf_counter() - began
    client.untagged_responses.clear()  # type: ignore[attr-defined]
    return took * 1e3 / len(commands)


def timed(client: imaplib.IMAP4, repeat: int) -> dict[str, float]:
    """Milliseconds, the median; each is done once before."""
    found = {}
    for name, commands in WORKS.items():
        first = once(client, *commands)
        if name in COLD:
            found[f"{name}, first time"] = first
        found[name] = statistics.median(once(client, *commands) for _ in range(repeat))
    return found


def until(what: Callable[[], Any], began: float, seconds: float = 300) -> float:
    while not what():
        if time.perf_counter() - began > seconds:
            raise SystemExit("it takes too long")
        time.sleep(0.02)
    return time.perf_counter() - began


@contextmanager
def proxy(folder: Path, count: int) -> Iterator[tuple[system.Server, system.Proxy]]:
    """Filled; the proxy has seen nothing yet."""
    with system.server(folder) as server:
        user = server.user(ADDRESS, folder / "home")
        fill(server.port("smtp"), count, ADDRESS, lmtp=False)
        with user.proxy() as running:
            yield server, running


def first_time(running: system.Proxy, count: int) -> None:
    began = time.perf_counter()
    with meter.peak_memory(running.pid) as peak, running.imap(None) as client:
        until(lambda: client.select("INBOX")[0] == "OK", began)
        selectable = time.perf_counter() - began
        once(client, ("FETCH", "1:*", "(ENVELOPE)"))
        listed = time.perf_counter() - began
        once(client, ("FETCH", "1:*", "(BODY.PEEK[])"))
        opened = time.perf_counter() - began
    print(f"{count} mails, nothing here yet: selectable after {selectable:.1f} s, every ENVELOPE")
    print(f"  after {listed:.1f} s, every body after {opened:.1f} s (goals: listed 5, bodies 10)")
    print(f"  at most {peak[0]:.0f} MiB, all its processes together")


def memory(running: system.Proxy) -> None:
    """Half of the connections come before the first look: the pools and caches of any number."""
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            for _ in range(IDLE_CONNECTIONS):
                client = imaplib.IMAP4("127.0.0.1", running.shown["imap"])
                stack.callback(client.shutdown)
                client.starttls(running_tls(running))
                client.login(ADDRESS, running.password)
                client.select("INBOX")
            found.append(meter.memory_mib(running.pid))
    before, after = found
    each = (after - before) * 1024 / IDLE_CONNECTIONS
    print(f"proxy: {before:.0f} MiB, and {each:.0f} KiB for each idle connection under TLS")


def running_tls(running: system.Proxy) -> ssl.SSLContext:
    context = running.tls()
    context.check_hostname = False
    return context


def push(server: system.Server, running: system.Proxy, count: int = 50) -> None:
    waits = []
    with running.imap() as client:
        for number in range(count):
            client.send(b"i IDLE\r\n")
            client.readline()
            server.deliver(b"Subject: %d\r\n\r\nnew\r\n" % number, ADDRESS)
            began = time.perf_counter()
            while b"EXISTS" not in client.readline():
                pass
            waits.append((time.perf_counter() - began) * 1e3)
            client.send(b"DONE\r\n")
            while not client.readline().startswith(b"i OK"):
                pass
    waits.sort()
    print(
        f"250 to EXISTS behind the proxy: p50 {waits[count // 2]:.1f} ms,"
        f" p90 {waits[count * 9 // 10]:.1f} ms (goal: p50 30)"
    )


@contextmanager
def peer(folder: Path, count: int) -> Iterator[imaplib.IMAP4 | None]:
    if why := dovecot.missing():
        print(f"no peer: {why}")
        yield None
        return
    with dovecot.running(folder, 1, crypt=False) as (_, lmtp, imap):
        fill(lmtp, count, ADDRESS, lmtp=True)
        with imaplib.IMAP4("127.0.0.1", imap) as client:
            client.login(ADDRESS, "pw")
            client.select("INBOX")
            yield client


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["E2EMAIL_KEYRING"] = "off"
    with tempfile.TemporaryDirectory(prefix="e2bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # Dovecot's own users pass through
        server, running = stack.enter_context(proxy(folder / "e2email", arguments.mails))
        first_time(running, arguments.mails)
        theirs = stack.enter_context(peer(folder / "dovecot", arguments.mails))
        with running.imap() as client:
            ours = timed(client, arguments.repeat)
        beside = timed(theirs, arguments.repeat) if theirs else {}
        print(f"\n{'ms':34}{'proxy':>10}{'Dovecot':>10}{'ratio':>8}")
        for work, took in ours.items():
            other = f"{beside[work]:10.0f}{took / beside[work]:8.2f}" if beside else ""
            print(f"{work:34}{took:10.0f}{other}", flush=True)
        push(server, running)
        # a proxy that has done no work: no freed memory takes the connections in
        with running.user.proxy() as fresh:
            memory(fresh)


if __name__ == "__main__":
    main()
