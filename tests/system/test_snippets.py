"""What `e2email-proxy settings --for PROGRAM` prints is what that program takes, unchanged."""

import os
import pty
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.system import Proxy, Server, User, count, eventually, run

MAILS = 3
MAIL = b"From: carol@example.net\r\nSubject: number %d\r\n\r\nhi %d\r\n"


@pytest.fixture(scope="module")
def owner(house: Server, tmp_path_factory) -> User:
    made = house.user("quill@example.test", tmp_path_factory.mktemp("with a space") / "home")
    for number in range(1, MAILS + 1):
        house.deliver(MAIL % (number, number), made.address)
    return made


@pytest.fixture(scope="module")
def proxy(owner: User):
    with owner.proxy() as running:
        with running.imap() as client:
            assert eventually(lambda: count(client) == MAILS)
        yield running


@pytest.fixture
def snippet(owner: User, proxy: Proxy, tmp_path: Path) -> Callable[[str], Path]:
    """The printed settings of a program that is installed, in a file of its own."""

    def printed(program: str) -> Path:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: NOT tested with it")
        done = run("e2email_client.proxy", "settings", "--for", program, *owner.secrets())
        assert done.code == 0, done.error
        path = tmp_path / f"{program}rc"
        path.write_bytes(done.output)
        path.chmod(0o600)
        return path

    return printed


def do(home: Path, *command: object) -> str:
    """A program with `home` as its home; what it said."""
    done = subprocess.run(
        [str(one) for one in command],
        cwd=home,
        env={**os.environ, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    return done.stdout.decode(errors="replace")


def maildir(home: Path, name: str = "mail") -> Path:
    for one in ("cur", "new", "tmp"):
        (home / name / one).mkdir(parents=True)
    return home / name


def bodies(folder: Path) -> list[str]:
    """The last line of each message in a Maildir."""
    files = [path for name in ("new", "cur") for path in (folder / name).glob("*")]
    return sorted(path.read_text().strip().splitlines()[-1] for path in files)


EXPECTED = [f"hi {number}" for number in range(1, MAILS + 1)]


def test_mbsync(snippet: Callable[[str], Path], tmp_path: Path) -> None:
    rc = snippet("mbsync")
    (tmp_path / "mail").mkdir()
    do(tmp_path, "mbsync", "-c", rc, "-a")
    assert bodies(tmp_path / "mail" / "INBOX") == EXPECTED
    assert (tmp_path / "mail" / "Sent").is_dir()


def test_offlineimap(snippet: Callable[[str], Path], tmp_path: Path) -> None:
    rc = snippet("offlineimap")
    do(tmp_path, "offlineimap", "-c", rc, "-o", "-u", "quiet")
    assert bodies(tmp_path / "mail" / "INBOX") == EXPECTED


def test_getmail(snippet: Callable[[str], Path], tmp_path: Path) -> None:
    rc, folder = snippet("getmail"), maildir(tmp_path)
    if os.geteuid() == 0:
        # it delivers nothing as root itself
        command = f"type = MDA_external\npath = {tmp_path}/mda\nallow_root_commands = true\n"
        text = rc.read_text().replace("type = Maildir\npath = ~/mail/\n", command)
        assert command in text
        rc.write_text(text)
        (tmp_path / "mda").write_text(f"#!/bin/sh\ncat > {folder}/new/$$\n")
        (tmp_path / "mda").chmod(0o700)
    do(tmp_path, "getmail", f"--getmaildir={tmp_path}", f"--rcfile={rc}")
    assert bodies(folder) == EXPECTED


def test_mpop(snippet: Callable[[str], Path], tmp_path: Path) -> None:
    rc, folder = snippet("mpop"), maildir(tmp_path)
    do(tmp_path, "mpop", "-C", rc, "e2email")
    assert bodies(folder) == EXPECTED


def test_fetchmail(snippet: Callable[[str], Path], tmp_path: Path) -> None:
    rc, out = snippet("fetchmail"), tmp_path / "out"
    do(tmp_path, "fetchmail", "-f", rc, "-d0", "--mda", f"cat >> {out}")
    assert [line for line in out.read_text().split("\n") if line in EXPECTED] == EXPECTED


def test_imapfilter(snippet: Callable[[str], Path], owner: User, tmp_path: Path) -> None:
    rc = snippet("imapfilter")
    rc.write_text(rc.read_text() + "print(#e2email.INBOX:select_all())\n")
    authority = owner.folder / "proxy-ca.pem"
    assert f"imapfilter -t {authority}" in rc.read_text()
    assert do(tmp_path, "imapfilter", "-t", authority, "-c", rc).strip() == str(MAILS)


def test_curl(snippet: Callable[[str], Path], tmp_path: Path) -> None:
    assert do(tmp_path, "sh", snippet("curl")).strip().endswith("hi 1")


@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt(snippet: Callable[[str], Path], tmp_path: Path, program: str) -> None:
    """On a terminal of its own: the first mail goes through a pipe into a file."""
    rc, out = snippet(program), tmp_path / "out"
    keys = f"<first-entry><pipe-message>cat>{out}<enter><exit>"
    command = [program, "-F", str(rc), "-e", "set wait_key=no", "-e", f'push "{keys}"']
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    screen = b""
    try:
        os.set_blocking(master, False)
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            try:
                screen += os.read(master, 65536)
            except (BlockingIOError, OSError):
                time.sleep(0.05)
            if out.exists() and out.stat().st_size:
                break
    finally:
        process.terminate()
        process.wait(20)
        os.close(master)
    assert out.exists(), screen[-2000:]
    assert out.read_text().strip().endswith("hi 1")


def test_where_the_general_password_is_off_a_place_is_left(owner: User) -> None:
    def ask(*arguments: object) -> bytes:
        done = run("e2email_client.proxy", "settings", *arguments, *owner.secrets())
        assert done.code == 0, done.error
        return done.output

    assert owner.e2email("app-password", "revoke", "general").code == 0
    assert b'Pass "PASSWORD"' in ask("--for", "mbsync")
    assert b'"password": null' in ask("--json")
    assert b"app-password new" in ask()
