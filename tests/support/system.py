"""The whole system as processes: a server, its users' programs, mail over real SMTP.

Every wait is bounded, and every process is ended by its id.
"""

import imaplib
import json
import os
import random
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2email_client.account import Wish, create
from e2email_client.api import read_url
from e2email_client.passphrase import Source
from e2email_client.paths import Home
from e2email_client.unlock import Unlocked, unlock
from e2email_crypto import kdf
from e2email_crypto.statement import Policy

DOMAIN = "example.test"
SENDER = "carol@example.net"
PASSPHRASE = "correct horse battery"
# the floor: never weaker, also in tests
PARAMS = kdf.Params(kdf.T_MIN, kdf.M_KIB_MIN, b"salt of 16 bytes")
START_SECONDS = 60.0
STOP_SECONDS = 60.0
COMMAND_SECONDS = 300.0
# ends at the date: a mail that begins with white space looks like more of the same field
_OURS = re.compile(rb"\AReturn-Path:[^\r\n]*\r\nReceived:(?:[^\r\n]*\r\n){1,5}?(?<=[+-]\d{4}\r\n)")


def environment() -> dict[str, str]:
    """No keyring, no home of the user who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("E2EMAIL_")}
    return kept | {"E2EMAIL_KEYRING": "off", "PYTHONUNBUFFERED": "1"}


def end(process: "subprocess.Popen[Any]", number: int = signal.SIGTERM) -> int:
    """Ask a process to end, and see to it. Its exit code."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
    return process.returncode


def eventually(what: Any, seconds: float = 60.0, pause: float = 0.05) -> Any:
    """The first true answer of `what()`; the last answer when time is up."""
    until = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < until:
        time.sleep(pause)
    return answer


class Smtp:
    """A client that sends exactly the octets it is given, as smtplib does not."""

    def __init__(self, port: int, seconds: float = 120.0, source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), seconds, (source, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        assert self.reply().startswith("220")

    def __enter__(self) -> "Smtp":
        assert self.say("EHLO client.example.net").startswith("250")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def reply(self) -> str:
        """The last line of a reply; empty where the server hung up."""
        while line := self._file.readline():
            if line[3:4] != b"-":
                return line.decode("ascii").rstrip()
        return ""

    def say(self, command: str) -> str:
        self._socket.sendall(command.encode("utf-8") + b"\r\n")
        return self.reply()

    def raw(self, octets: bytes) -> None:
        """Just these, without waiting for anything."""
        self._socket.sendall(octets)

    def try_raw(self, octets: bytes, seconds: float) -> str:
        """Send, and the reply that comes within so long, if any."""
        self._socket.sendall(octets)
        ready, _, _ = select.select([self._socket], [], [], seconds)
        return self.reply() if ready else ""

    def data(self, mail: bytes) -> str:
        """The octets (CRLF at their end) with dots stuffed; the final reply."""
        stuffed = (b"\r\n" + mail).replace(b"\r\n.", b"\r\n..")[2:]
        self._socket.sendall(stuffed + b".\r\n")
        return self.reply()

    def send(self, mail: bytes, recipients: Sequence[str], sender: str = SENDER) -> list[str]:
        """All replies: of each RCPT, then of the data, if anybody was accepted."""
        said = self.say(f"MAIL FROM:<{sender}> BODY=8BITMIME SIZE={len(mail)}")
        if not said.startswith("250"):
            return [said]
        replies = [self.say(f"RCPT TO:<{one}>") for one in recipients]
        if not any(one.startswith("250") for one in replies):
            self.say("RSET")
            return replies
        assert self.say("DATA").startswith("354")
        return [*replies, self.data(mail)]


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended. `output` and `error` are its standard streams."""

    code: int
    output: bytes
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


def run(program: str, *arguments: object, stdin: bytes = b"") -> Ran:
    """`program` is a package that runs as a module."""
    done = subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=environment(),
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def _port() -> int:
    """A free one that the system gives to no outgoing connection while the server is stopped."""
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Server:
    """`e2email-server` in a folder of its own, on ports that stay the same over restarts."""

    def __init__(self, folder: Path, aliases: Mapping[str, Sequence[str]] = {}) -> None:
        self.folder = folder
        self.config = folder / "server.toml"
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.ca = self.data / "tls" / "ca.crt"
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        options = ("--dir", folder, "--domain", DOMAIN, "--hostname", "localhost", "--loopback")
        made = run("e2email_server", "init", *options)
        assert made.code == 0, made.error
        lines = [f"{json.dumps(name)} = {json.dumps(list(to))}" for name, to in aliases.items()]
        self.configure("[aliases]\n", "[aliases]\n" + "".join(line + "\n" for line in lines))
        self.configure('# level = "info"', 'level = "debug"')
        text = self.config.read_text()
        self.config.write_text(re.sub(r"127\.0\.0\.1:0\b", lambda _: f"127.0.0.1:{_port()}", text))
        # one machine plays the whole internet
        self.configure("# connections_per_address = 50", "connections_per_address = 500 #")

    def configure(self, old: str, new: str) -> None:
        """Change server.toml; what is `old` must stand there."""
        text = self.config.read_text()
        assert old in text, old
        self.config.write_text(text.replace(old, new))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *under: str, **options: Any) -> None:
        """Returns when everything listens. `under` is what runs it (strace); `options` go to Popen.

        With `strace -D` the process started is the server itself, so `pid` and signals are right.
        """
        ports_file = self.folder / "ports.json"
        ports_file.unlink(missing_ok=True)
        command = [*under, sys.executable, "-m", "e2email_server", "run", "-c", str(self.config)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, "--ports-file", str(ports_file)],
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,
                **options,
            )
        self._process = process
        eventually(lambda: ports_file.exists() or process.poll() is not None, START_SECONDS)
        if not ports_file.exists():
            end(process, signal.SIGKILL)
            raise AssertionError(f"the server did not start: {self.log.read_text()[-2000:]}")
        found = json.loads(ports_file.read_text())
        self._ports = {name: where[0][1] for name, where in found.items()}

    def stop(self) -> int:
        assert self._process is not None
        return end(self._process)

    def wait(self) -> int:
        """Until it ends by itself. Its exit code."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def hang_up(self) -> None:
        """SIGHUP: settings are read again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def restart(self) -> None:
        self.stop()
        self.start()

    def port(self, name: str) -> int:
        return self._ports[name]

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port('https')}"

    def invite(self, address: str) -> str:
        made = run("e2email_server", "invite", "-c", self.config, address)
        assert made.code == 0, made.error
        return made.output.decode().strip()

    def smtp(self) -> Smtp:
        return Smtp(self.port("smtp"))

    def deliver(self, mail: bytes, *recipients: str, sender: str = SENDER) -> None:
        """One transaction; every recipient must be accepted."""
        with self.smtp() as client:
            replies = client.send(mail, recipients, sender)
        assert len(replies) == len(recipients) + 1, replies
        assert all(one.startswith("250") for one in replies), replies

    def imap(self, user: "User") -> imaplib.IMAP4_SSL:
        """The sealed face, logged in with the user's device token."""
        context = ssl.create_default_context(cafile=str(self.ca))
        client = imaplib.IMAP4_SSL("localhost", self.port("imaps"), ssl_context=context)
        client.login(user.address, user.unlocked().device_token)
        return client

    def user(
        self, address: str, home: Path, policy: Policy = Policy.SEALED, invite: str = ""
    ) -> "User":
        """A new account, made as `e2email setup --invite` makes it but with the KDF's floor."""
        token = invite or self.invite(address)
        made = User(address, home, self)
        server = read_url(self.url, None, self.ca.read_bytes())
        wish = Wish(Home(home), address, server, "test", PASSPHRASE)
        create(wish, token, "", policy, int(time.time()), PARAMS)
        return made

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Everything below the server's folder, its log included."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield path, path.read_bytes()


@contextmanager
def server(folder: Path, aliases: Mapping[str, Sequence[str]] = {}) -> Iterator[Server]:
    """Running."""
    made = Server(folder, aliases)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@dataclass
class User:
    """One machine of one user: the programs, run in a home of its own."""

    address: str
    home: Path
    server: Server
    passphrase: str = field(default=PASSPHRASE, repr=False)

    @property
    def folder(self) -> Path:
        return Home(self.home).account(self.address).folder

    def _passphrase_file(self) -> Path:
        path = self.home.parent / f"{self.home.name}.passphrase"
        path.write_text(self.passphrase)
        return path

    def secrets(self) -> list[object]:
        """Options that open the account."""
        return ["--passphrase-file", self._passphrase_file(), "--no-keyring", "--home", self.home]

    def e2email(self, command: str, *arguments: object, stdin: bytes = b"") -> Ran:
        return run("e2email_client", command, *arguments, *self.secrets(), stdin=stdin)

    def backup(self, command: str, *arguments: object) -> Ran:
        """`e2email-backup`."""
        return run("e2email_client.backup_main", command, *arguments, *self.secrets())

    def setup(self, *arguments: object) -> Ran:
        """`e2email setup` of this address at the server."""
        where = ("--server", self.server.url, "--ca", self.server.ca, "--json")
        return self.e2email("setup", self.address, *where, *arguments)

    def sync(self) -> Any:
        done = self.e2email("sync", "--json")
        assert done.code == 0, done.error
        return done.json

    def unlocked(self) -> Unlocked:
        """The open account, in this process."""
        source = Source(file=self._passphrase_file())
        return unlock(Home(self.home).account(self.address), source, None)

    def proxy(self, *under: str) -> "Proxy":
        return Proxy(self, under)


class Proxy:
    """`e2email-proxy run` on free ports. A context manager; `shown` is what it announced.

    `under` is what runs it (strace).
    """

    def __init__(self, user: User, under: Sequence[str] = ()) -> None:
        self.user = user
        self._under = under
        self.log = user.home.parent / f"{user.home.name}.proxy.log"
        self.shown: dict[str, Any] = {}

    def __enter__(self) -> "Proxy":
        arguments = ["run", "--ports", "auto", "--json", "--log", "debug", *self.user.secrets()]
        command = [sys.executable, "-m", "e2email_client.proxy", *map(str, arguments)]
        command = [*self._under, *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment()
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            end(self._process)
            raise AssertionError(f"the proxy did not start: {self.log.read_text()[-2000:]}")
        self.shown = json.loads(line)
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def password(self) -> str:
        return str(self.shown["password"])

    @property
    def certificate(self) -> Path:
        return Path(self.shown["certificate"])

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    @contextmanager
    def imap(self, mailbox: str | None = "INBOX") -> Iterator[imaplib.IMAP4_SSL]:
        """imaplib, logged in, with the mailbox selected once the proxy has listed it."""
        port = self.shown["imaps"]
        with imaplib.IMAP4_SSL("localhost", port, ssl_context=self.tls()) as client:
            client.login(self.user.address, self.password)
            if mailbox is not None:
                assert eventually(lambda: client.select(mailbox)[0] == "OK"), self.log.read_text()
            yield client


def online(client: imaplib.IMAP4) -> bool:
    """Wait until a proxy has its server: what it has stored it serves before."""
    return bool(eventually(lambda: client.subscribe("INBOX")[0] == "OK"))


def count(client: imaplib.IMAP4, mailbox: str = "INBOX") -> int:
    """Messages in a mailbox that has been selected."""
    client.noop()
    _, found = client.select(mailbox)
    return int(found[0] or b"0")


def literal(fetched: Any) -> bytes:
    """The one literal in imaplib's answer to a FETCH."""
    (found,) = (one[1] for one in fetched if isinstance(one, tuple))
    return bytes(found)


def literals(fetched: Any) -> list[bytes]:
    """All of them, in the order of the answer."""
    return [bytes(one[1]) for one in fetched if isinstance(one, tuple)]


def without_ours(octets: bytes) -> bytes:
    """What the server received: less the Return-Path and Received that it put in front."""
    found = _OURS.match(octets)
    assert found, octets[:200]
    return octets[found.end() :]
