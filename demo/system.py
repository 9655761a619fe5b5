"""A small working system on loopback, made of the programs as anybody would start them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import smtplib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SERVER = [sys.executable, "-m", "e2email_server"]
CLIENT = [sys.executable, "-m", "e2email_client"]
PROXY = [sys.executable, "-m", "e2email_client.proxy"]
START_SECONDS = 30.0


class Failed(Exception):
    """A step of the demonstration did not work; the text says which."""


class System:
    """Everything lies under one folder, made new. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "server" / "server.toml"
        self.data = folder / "server" / "data"
        self.home = folder / "client"
        self._processes: list[subprocess.Popen[bytes]] = []
        # never the user's own keyring, home or accounts
        self._environment = {**os.environ, "E2EMAIL_HOME": str(self.home)}
        self._environment.pop("E2EMAIL_DEBUG", None)

    def __enter__(self) -> System:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def call(self, command: Sequence[str]) -> bytes:
        """Standard output of a program that must succeed."""
        result = subprocess.run(
            command,
            check=False,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        if result.returncode:
            said = result.stderr.decode(errors="replace").strip()
            raise Failed(f"{' '.join(command[2:5])}: exit {result.returncode}: {said}")
        return result.stdout

    def client(self, user: str, command: str, *arguments: str) -> bytes:
        """One command of `e2email`, as `user`."""
        return self.call([*CLIENT, command, *arguments, *self._access(user)])

    def _access(self, user: str) -> list[str]:
        return ["--account", user, "--passphrase-file", str(self._passphrase(user)), "--no-keyring"]

    def _passphrase(self, user: str) -> Path:
        return self.folder / f"passphrase-of-{user.partition('@')[0]}.txt"

    def start_server(self) -> None:
        folder = str(self.config.parent)
        self.call(
            [
                *(*SERVER, "init", "--dir", folder, "--loopback"),
                *("--domain", "example.test", "--hostname", "localhost"),
            ]
        )
        ports = self.folder / "ports.json"
        self._start("server", [*SERVER, "run", "-c", str(self.config), "--ports-file", str(ports)])
        self._wait_for(ports, "the server")
        self.ports = {name: where[0][1] for name, where in json.loads(ports.read_text()).items()}

    def add_user(self, address: str, name: str) -> None:
        """Invited on the server; the key is made on the user's side."""
        secret = self._passphrase(address)
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(12) + "\n")
        invite = self.call([*SERVER, "invite", address, "-c", str(self.config)]).decode().split()
        token = next(word for word in invite if word.startswith("e2i_"))
        self.call(
            [
                *(*CLIENT, "setup", address, "--invite", token, "--name", name),
                *("--server", f"https://localhost:{self.ports['https']}"),
                *("--ca", str(self.data / "tls" / "ca.crt")),
                *("--passphrase-file", str(secret), "--no-keyring"),
                *("--recovery-file", str(self.folder / f"recovery-words-of-{address}.txt")),
            ]
        )

    def deliver(self, sender: str, recipients: Sequence[str], mail: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", self.ports["smtp"]) as smtp:
            smtp.sendmail(sender, list(recipients), mail)

    def start_proxy(self, user: str) -> dict[str, str | int]:
        """What a mail program has to know (docs/specs/cli.md)."""
        shown = self.folder / "proxy.json"
        command = [*PROXY, "run", "--ports", "auto", "--json", *self._access(user)]
        self._start("proxy", command, shown)
        self._wait_for(shown, "the proxy")
        found: dict[str, str | int] = json.loads(shown.read_text())
        return found

    def _start(self, name: str, command: Sequence[str], output: Path | None = None) -> None:
        with (
            (self.folder / f"{name}.log").open("wb") as log,
            (output or Path(os.devnull)).open("wb") as out,
        ):
            self._processes.append(
                subprocess.Popen(
                    command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    # Ctrl-C goes to the demonstration, which ends these in their order
                    start_new_session=True,
                )
            )

    def _wait_for(self, file: Path, what: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not (file.exists() and file.read_text().endswith("\n")):
            if self._processes[-1].poll() is not None or time.monotonic() > end:
                raise Failed(f"{what} did not start; see the logs in {self.folder}")
            time.sleep(0.05)
