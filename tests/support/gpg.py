"""GnuPG as referee: a keyring of its own for one test module. Skips, with the reason, if absent."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Gpg:
    """Runs gpg in a home directory of its own."""

    def __init__(self, home: str) -> None:
        self.home = home

    def run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["gpg", "--homedir", self.home, "--batch", "--no-tty", "--yes", "--quiet"]
        command += ["--trust-model", "always", "--pinentry-mode", "loopback", "--passphrase", ""]
        return subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, timeout=60, check=False
        )

    def ok(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Standard output of a run that must end with 0."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout


@contextmanager
def keyring() -> Iterator[Gpg]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed: interoperability is NOT tested")
    # a short path, since the agent's socket lies in it
    home = tempfile.mkdtemp(prefix="e2gpg", dir="/tmp")
    # else the agent measures for seconds how slow it can make each passphrase
    (Path(home) / "gpg-agent.conf").write_text("s2k-count 65536\n")
    try:
        # makes the trust database, which later calls want without making it
        subprocess.run(
            ["gpg", "--homedir", home, "--batch", "--quiet", "--check-trustdb"],
            capture_output=True,
            check=True,
        )
        yield Gpg(home)
    finally:
        subprocess.run(
            ["gpgconf", "--homedir", home, "--kill", "all"], capture_output=True, check=False
        )
        shutil.rmtree(home, ignore_errors=True)
