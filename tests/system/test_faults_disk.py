"""A disk that fails or fills up: never a false 250, the server stays, and goes on afterwards."""

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import processes, strace
from support.ledger import LARGE, SMALL, Ledger, nothing_half_present, received
from support.system import DOMAIN, Server, User

OTTO = f"otto@{DOMAIN}"


@pytest.fixture(scope="module")
def otto(tmp_path_factory: pytest.TempPathFactory) -> User:
    """His server is stopped between the tests; his mail and the book of it grow."""
    folder = tmp_path_factory.mktemp("otto")
    server = Server(folder / "server")
    server.start()
    try:
        return server.user(OTTO, folder / "otto")
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger()


def send(server: Server, ledger: Ledger, size: int, count: int) -> list[str]:
    with server.smtp() as client:
        return [ledger.send(client, ledger.mail(size), OTTO) for _ in range(count)]


def stop_and_count(server: Server, ledger: Ledger) -> None:
    """As many mails as were acknowledged are there, or some more; none of them in part."""
    server.stop()
    nothing_half_present(server)
    with sqlite3.connect(server.data / "mail.db") as db:
        (there,) = db.execute("SELECT count(*) FROM messages").fetchone()
    assert ledger.acknowledged.total() <= there <= ledger.tried.total()


FAULTS = {
    # (injection, size of the mails, replies beside 250)
    "no sync of the log": ("fdatasync:error=EIO:when=5..8", SMALL, {"451 4.3.0"}),
    "no sync of a blob file": ("fsync:error=EIO:when=4..8", LARGE, {"451 4.3.0"}),
    "no rename": ("rename:error=EIO:when=2..4", LARGE, {"451 4.3.0"}),
    "no room in the log": ("pwrite64:error=ENOSPC:when=12..20", SMALL, {"452 4.3.1"}),
    "the log cannot be written": ("pwrite64:error=EIO:when=12..20", SMALL, {"451 4.3.0"}),
}


SELDOM = {"no rename", "the log cannot be written"}  # much like another one here


@pytest.mark.parametrize(
    "fault",
    [pytest.param(one, marks=[pytest.mark.slow] if one in SELDOM else []) for one in FAULTS],
)
def test_what_a_broken_disk_refuses_is_not_acknowledged(
    otto: User, ledger: Ledger, tmp_path: Path, fault: str
) -> None:
    """Some mails meet the fault and are told so; those after it are taken by the same server."""
    strace.needed()
    injection, size, refusals = FAULTS[fault]
    otto.server.start(*strace.failing(tmp_path / "trace", injection))
    replies = send(otto.server, ledger, size, 20)
    assert [one[:3] for one in send(otto.server, ledger, size, 3)] == ["250"] * 3
    refused = {one[:9] for one in replies if not one.startswith("250")}
    assert "INJECTED" in (tmp_path / "trace").read_text()
    assert refused == refusals, replies
    assert otto.server.running
    stop_and_count(otto.server, ledger)


def test_a_file_that_may_not_grow(otto: User, ledger: Ledger) -> None:
    """A limit set from outside, so that this is tested where strace is not."""
    server = otto.server
    server.start()
    send(server, ledger, LARGE, 1)
    blobs = {path.name for path in (server.data / "blobs").iterdir()}
    _, most = processes.limit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (LARGE // 2, most))
    replies = send(server, ledger, LARGE, 3)
    assert {one[:9] for one in replies} == {"451 4.3.0"}
    assert {path.name for path in (server.data / "blobs").iterdir()} == blobs
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))
    assert send(server, ledger, LARGE, 1)[0].startswith("250")
    stop_and_count(server, ledger)


def test_no_descriptor_is_left(otto: User, ledger: Ledger) -> None:
    """Nothing can be opened: no blob file, no worker, no new connection; the old one stays."""
    server = otto.server
    server.start()
    with server.smtp() as client:
        limit = processes.limit(server.pid, resource.RLIMIT_NOFILE)
        enough = processes.descriptors(server.pid)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (enough, limit[1]))
        assert ledger.send(client, ledger.mail(LARGE), OTTO).startswith("451 4.3.0")
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limit)
        assert ledger.send(client, ledger.mail(LARGE), OTTO).startswith("250")
    assert send(server, ledger, LARGE, 1)[0].startswith("250")
    stop_and_count(server, ledger)


def test_after_all_that_everything_acknowledged_is_there(
    otto: User, ledger: Ledger, tmp_path: Path
) -> None:
    otto.server.start()
    try:
        send(otto.server, ledger, SMALL, 1)
        ledger.check(received(otto, tmp_path / "export"))
    finally:
        otto.server.stop()


def test_nearly_full_is_452_and_deleting_still_works(otto: User, ledger: Ledger) -> None:
    """More free space asked for than any disk has: refused before the mail is sent."""
    server = otto.server
    server.start()
    send(server, ledger, SMALL, 1)
    server.stop()
    setting = next(line for line in server.config.read_text().splitlines() if "free_space" in line)
    server.configure(setting, 'free_space = "1000000 GiB"')
    server.start()
    try:
        with server.smtp() as client:
            assert client.say("MAIL FROM:<a@example.net>").startswith("250")
            assert client.say(f"RCPT TO:<{OTTO}>").startswith("452 4.3.1")
        client = server.imap(otto)
        _, before = client.select("INBOX")
        client.store(before[0].decode(), "+FLAGS.SILENT", "\\Deleted")
        assert client.expunge()[1] == [before[0]]
        (left,) = client.select("INBOX")[1]
        assert int(left) == int(before[0]) - 1
        assert client.append("INBOX", None, None, b"Subject: no\r\n\r\nroom\r\n")[0] == "NO"
        client.logout()
    finally:
        server.stop()
        server.configure('free_space = "1000000 GiB"', setting)
    server.start()
    assert send(server, ledger, SMALL, 1)[0].startswith("250")
    server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("a file system cannot be mounted here: a full disk is NOT tested")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "size", [SMALL * 8, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["rows", "files"]
)
def test_a_disk_that_is_full_to_the_last_block(small_disk: Path, tmp_path: Path, size: int) -> None:
    """The settings keep nothing free, so that mail runs into the wall itself."""
    server = Server(small_disk / "server")
    server.configure("# free_percent = 5", "free_percent = 0 #")
    server.configure('# free_space = "1 GiB"', "free_space = 0 #")
    server.log = tmp_path / "server.log"
    server.start()
    ledger = Ledger()
    try:
        user = server.user(OTTO, tmp_path / "otto")
        filler = small_disk / "filler"
        free = os.statvfs(small_disk)
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - (1 << 20)))
        replies = send(server, ledger, size, 40)
        refused = [one for one in replies if not one.startswith("250")]
        assert refused
        assert {one[:9] for one in refused} <= {"451 4.3.0", "452 4.3.1"}
        assert "452 4.3.1" in {one[:9] for one in refused}
        os.unlink(filler)
        assert send(server, ledger, size, 1)[0].startswith("250")
        ledger.check(received(user, tmp_path / "export"))
    finally:
        server.stop()
    nothing_half_present(server)
