"""Other people's mail programs: a desk with their settings, and a terminal."""

import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from support.system import Proxy, eventually, literals

SECONDS = 60.0
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|\x1b[=>]|\x0f")

# mutt and neomutt, the account; tests add what they look at
MUTTRC = """
set folder = imaps://{host}:{imaps}/
set spoolfile = +INBOX
set imap_user = {user}
set imap_pass = {password}
set certificate_file = {certificate}
set imap_qresync = yes
set header_cache = {home}/headers
set delete = yes
set quit = yes
set confirmappend = no
set sleep_time = 0
set resolve = no
"""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skipped, and said aloud, where one of them is not installed."""
    absent = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(
        bool(absent), reason=f"{', '.join(absent)} not installed: NOT tested with it"
    )


def letter(n: int) -> bytes:
    return (
        "From: Carol <carol@example.net>\r\nTo: owner@example.test\r\n"
        f"Subject: letter {n:02}\r\nDate: Sun, 22 Nov 2026 10:{n:02}:00 +0000\r\n"
        f"Message-ID: <letter-{n:02}@example.net>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        f"The word of the day is mulberry{n:02}.\r\n"
    ).encode()


@dataclass(frozen=True)
class Desk:
    """A proxy, and an empty home for one program."""

    proxy: Proxy
    home: Path

    @property
    def address(self) -> str:
        return self.proxy.user.address

    @property
    def password(self) -> str:
        return self.proxy.password

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the user who runs the tests. Some programs take the authority from here."""
        return {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "SSL_CERT_FILE": str(self.proxy.certificate),
        }

    def port(self, protocol: str) -> int:
        return int(self.proxy.shown[protocol])

    def write(self, name: str, text: str) -> Path:
        """A file of settings. Programs insist that nobody else reads them."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            text.format(
                host="localhost",
                imap=self.port("imap"),
                imaps=self.port("imaps"),
                pop3=self.port("pop3"),
                pop3s=self.port("pop3s"),
                user=self.address,
                password=self.password,
                certificate=self.proxy.certificate,
                home=self.home,
            )
        )
        path.chmod(0o600)
        return path

    def run(
        self, *command: object, seconds: float = SECONDS, stdin: bytes = b""
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [str(part) for part in command],
            input=stdin,
            capture_output=True,
            env=self.environment,
            cwd=self.home,
            timeout=seconds,
            check=False,
        )

    # what the program did, as another connection to the proxy sees it

    def flags(self, subject: str, mailbox: str = "INBOX") -> set[str]:
        """Of the one mail with this subject."""
        with self.proxy.imap(mailbox) as client:
            _, found = client.search(None, "HEADER", "SUBJECT", f'"{subject}"')
            numbers = found[0].split()
            assert len(numbers) == 1, f"{len(numbers)} of {subject} in {mailbox}"
            _, fetched = client.fetch(numbers[0].decode(), "(FLAGS)")
        inside = re.search(rb"FLAGS \(([^)]*)\)", fetched[0])
        assert inside is not None
        return {one for one in inside[1].decode().split() if not one.startswith("$e2email-")}

    def subjects(self, mailbox: str = "INBOX") -> list[str]:
        with self.proxy.imap(mailbox) as client:
            if client.search(None, "ALL")[1] == [b""]:
                return []  # 1:* of nothing is an error at Dovecot
            _, fetched = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        fields = (one.decode("utf-8", "replace") for one in literals(fetched))
        return sorted(field.partition(":")[2].strip() for field in fields)

    def mailboxes(self) -> list[str]:
        with self.proxy.imap(None) as client:
            _, listed = client.list()
        return [line.decode().rpartition('"/" ')[2].strip('"') for line in listed]

    def views(self, mailbox: str = "INBOX") -> list[bytes]:
        with self.proxy.imap(mailbox) as client:
            return literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])


class Terminal:
    """A program in a terminal of 100 x 40. A context manager; ends it by its id."""

    def __init__(self, desk: Desk, command: Sequence[object]) -> None:
        self._said = b""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(desk.home)
            os.execvpe(str(command[0]), [str(part) for part in command], desk.environment)
        ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._code: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._ended() is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def _ended(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed: it has ended
            while select.select([self._terminal], [], [], 0.05)[0]:
                got = os.read(self._terminal, 1 << 16)
                if not got:
                    return
                self._said += got

    @property
    def text(self) -> str:
        """All that it has shown, without escape sequences."""
        return _ESCAPES.sub(b"", self._said).decode(errors="replace")

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        """Until it has shown this since the last send()."""

        self.until(lambda: text in self.text, seconds)

    def until(self, done: Callable[[], bool], seconds: float = SECONDS) -> None:
        """Until this is so; what it shows is read meanwhile, or it would stop."""

        def tried() -> bool:
            self._read()
            return done()

        assert eventually(tried, seconds, 0.3), f"never: {self.text[-2000:]}"

    def settle(self, quiet: float = 1.0, seconds: float = SECONDS) -> None:
        """Until it shows nothing new for a while. Programs redraw only what changed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before = len(self._said)
            time.sleep(quiet)
            self._read()
            if len(self._said) == before:
                return

    def send(self, keys: str) -> None:
        self._read()
        self._said = b""
        os.write(self._terminal, keys.encode())

    def wait(self, seconds: float = SECONDS) -> int:
        """Until it ends. Its exit code."""
        until = time.monotonic() + seconds
        while self._ended() is None and time.monotonic() < until:
            self._read()
        assert self._code is not None, f"does not end: {self.text[-2000:]}"
        return self._code
