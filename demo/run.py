"""`make run`: a small working mail system on this machine, and one mail seen three ways.

Everything is made in .demo/ and made new at each start. On a terminal it keeps running until
Ctrl-C; elsewhere it shows, checks what it shows, and ends: exit code 0 only if all of it was true.
"""

from __future__ import annotations

import fcntl
import imaplib
import shlex
import signal
import ssl
import sys
import textwrap
from pathlib import Path

from mails import ALL, FIRST, WORDS, octets

from system import Failed, System

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".demo"
ALICE, BOB = "alice@example.test", "bob@example.test"


def main() -> int:
    if sys.platform == "win32":
        print("e2email does not run on Windows; use WSL.")
        return 1
    with Path(__file__).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("e2email: `make run` is running already, in another terminal.")
            return 1
        # a terminated demonstration also ends what it started
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            with System(FOLDER) as system:
                return demonstrate(system)
        except Failed as fault:
            print(f"e2email: {fault}")
            return 1
        except KeyboardInterrupt:
            print("\nStopped.")
            return 0


def demonstrate(system: System) -> int:
    step("Starting a server on loopback; making alice's and bob's keys on their side")
    system.start_server()
    system.add_user(ALICE, "Alice")
    system.add_user(BOB, "Bob")
    step(f"Delivering {len(ALL)} mails through SMTP, port {system.ports['smtp']}")
    for sender, recipients, mail in ALL:
        system.deliver(sender, recipients, octets(mail))
    step("Fetching and opening alice's mail, starting her proxy")
    system.client(ALICE, "sync")
    system.client(BOB, "sync")
    proxy = system.start_proxy(ALICE)

    show("1. What arrived at the server", FIRST)
    held = sealed(system)
    show(
        "2. What the server holds of it (its sealed IMAP face serves exactly this)", abridged(held)
    )
    print(f"   Words of the mail found in {FOLDER.name}/server/data: {found_on_disk(system)}\n")
    read = system.client(ALICE, "show", "1").decode()
    show("3. What alice reads:  e2email show 1", read)
    show("Her inbox:  e2email list", system.client(ALICE, "list").decode())

    curl = settings(system, proxy)
    problems = check(system, proxy, read)
    for problem in problems:
        print(f"FAILED: {problem}")
    if problems:
        return 1
    if not sys.stdout.isatty():
        print("All of this was checked and is true.")
        return 0
    print(f"Paste this in another terminal:\n\n  {curl}\n\nRunning. Ctrl-C stops everything.")
    signal.pause()
    return 0


def step(text: str) -> None:
    print(f"… {text}", flush=True)


def show(title: str, text: str) -> None:
    print(f"\n── {title} " + "─" * max(0, 76 - len(title)))
    print(textwrap.indent(text.rstrip("\n"), "   ") + "\n")


def sealed(system: System) -> bytes:
    """The record as the server serves it: her device may fetch it, only her key opens it."""
    return system.client(ALICE, "show", "1", "--sealed")


def abridged(octets: bytes) -> str:
    lines = octets.decode("ascii").replace("\r\n", "\n").split("\n")
    return "\n".join(
        [*lines[:9], f"   … {len(lines) - 25} more lines of ciphertext …", *lines[-16:]]
    )


def found_on_disk(system: System) -> str:
    disk = b"".join(path.read_bytes() for path in system.data.rglob("*") if path.is_file())
    found = [word for word in WORDS if word.lower().encode() in disk.lower()]
    return ", ".join(found) or "none"


def settings(system: System, proxy: dict[str, str | int]) -> str:
    """Printed for Thunderbird; the line for curl is returned."""
    show(
        "Thunderbird: add an account, configure manually",
        f"Your email address   {proxy['address']}\n"
        f"Incoming server      IMAP, localhost, port {proxy['imap']}, STARTTLS, normal password\n"
        f"                     (or port {proxy['imaps']}, SSL/TLS)\n"
        f"User name            {proxy['address']}\n"
        f"Password             {proxy['password']}\n"
        f"Certificate          import {proxy['certificate']}\n"
        "                     under Authorities, or accept it when Thunderbird asks",
    )
    return " ".join(
        (
            "curl",
            *("--cacert", shlex.quote(str(proxy["certificate"]))),
            *("--user", shlex.quote(f"{proxy['address']}:{proxy['password']}")),
            shlex.quote(f"imaps://localhost:{proxy['imaps']}/INBOX;UID=1"),
        )
    )


def check(system: System, proxy: dict[str, str | int], read: str) -> list[str]:
    """What is not as it was shown."""
    problems = []
    if found_on_disk(system) != "none":
        problems.append("words of a mail are readable on the server's disk")
    exported = system.client(ALICE, "show", "1", "--raw", "--received")
    if exported != octets(FIRST):
        problems.append("what alice gets back is not what arrived, octet for octet")
    if "observatory" not in read:
        problems.append("alice cannot read her mail")
    through = fetched(proxy)
    if not through.endswith(octets(FIRST)):
        problems.append("the proxy serves something else")
    return problems


def fetched(proxy: dict[str, str | int]) -> bytes:
    """The first mail as an IMAP program gets it."""
    context = ssl.create_default_context(cafile=str(proxy["certificate"]))
    with imaplib.IMAP4_SSL("localhost", int(proxy["imaps"]), ssl_context=context) as imap:
        imap.login(str(proxy["address"]), str(proxy["password"]))
        imap.select("INBOX", readonly=True)
        _, answer = imap.uid("FETCH", "1", "(BODY.PEEK[])")
    return next(part[1] for part in answer if isinstance(part, tuple))


if __name__ == "__main__":
    sys.exit(main())
