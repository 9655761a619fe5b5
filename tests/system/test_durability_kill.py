"""SIGKILL: what was acknowledged is there once, whole, and opens; orphans are swept.

A kill proves nothing about fsync, since the page cache survives it: test_durability_order does.
"""

import random
import re
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from support import strace
from support.ledger import LARGE, SMALL, Ledger, nothing_half_present, received
from support.system import DOMAIN, Server, Smtp, User

RITA = f"rita@{DOMAIN}"
CONNECTIONS = 10


@pytest.fixture(scope="module")
def rita(tmp_path_factory: pytest.TempPathFactory) -> User:
    """Her server is stopped between the tests; her mail and the book of it grow."""
    folder = tmp_path_factory.mktemp("rita")
    server = Server(folder / "server")
    server.start()
    try:
        return server.user(RITA, folder / "rita")
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger()


def check(rita: User, ledger: Ledger, folder: Path) -> int:
    """The book agrees with what its owner reads, and with the disk. How many mails there are."""
    if not rita.server.running:
        rita.server.start()
    try:
        mails = received(rita, folder / "export")
    finally:
        rita.server.stop()
    ledger.check(mails)
    nothing_half_present(rita.server)
    return len(mails)


class Load:
    """Ten connections that send one mail after the other; what was not answered is sent again."""

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server, self._ledger = server, ledger
        self._unanswered: list[bytes] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._sender) for _ in range(CONNECTIONS)]
        self.moved = threading.Event()  # something was acknowledged

    def _sender(self) -> None:
        dice = random.Random(threading.get_ident())
        while not self._stop.is_set():
            mail = self._next(dice)
            try:
                with self._server.smtp() as client:
                    while not self._stop.is_set():
                        self._one(client, mail)
                        mail = self._next(dice)
            except (OSError, AssertionError):  # gone, or said nothing: killed
                self._unanswered.append(mail)
                time.sleep(0.02)

    def _next(self, dice: random.Random) -> bytes:
        try:
            return self._unanswered.pop()
        except IndexError:
            return self._ledger.mail(LARGE if dice.random() < 0.2 else SMALL)

    def _one(self, client: Smtp, mail: bytes) -> None:
        reply = self._ledger.send(client, mail, RITA)
        if not reply:
            raise OSError
        assert reply.startswith("250"), reply
        self.moved.set()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_no_acknowledged_mail_is_lost(
    rita: User, ledger: Ledger, tmp_path: Path, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """At random moments under load from ten connections, 4 KB and 300 KB mixed."""
    server, dice = rita.server, random.Random()
    server.start()
    with Load(server, ledger) as load:
        for _ in range(kills):
            load.moved.clear()
            assert load.moved.wait(60)
            time.sleep(dice.uniform(0.0, 0.5))
            server.kill()
            server.start()
    assert ledger.acknowledged.total() > kills
    there = check(rita, ledger, tmp_path)
    again = sum(count - 1 for count in ledger.tried.values())
    with capsys.disabled():
        print(f"\n{kills} kills: {ledger.told}, {again} tried again, {there} there, 0 lost")


# --- at a chosen system call ------------------------------------------------------------------

# Counted by thread, over the second large mail: each thread has a few calls at start.
POINTS = {
    "content of the file not synchronised": ("fsync", 4, r"fsync\(\d+<.*/blobs/.*\.tmp>"),
    "file not yet renamed": ("rename", 2, r"rename\(.*/blobs/"),
    "name of the file not synchronised": ("fsync", 5, r"fsync\(\d+<.*/blobs>"),
    "rows not yet in the log": ("pwrite64", 12, r"pwrite64\(\d+<.*/mail\.db-wal>"),
    "log not synchronised": ("fdatasync", 4, r"fdatasync\(\d+<.*/mail\.db-wal>"),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(rita: User, ledger: Ledger, tmp_path: Path, point: str) -> None:
    """No answer was given, so the mail may be there or not: but whole, and no orphan stays.

    That all of it opens is looked at in the next test, for all points at once.
    """
    strace.needed()
    call, when, wanted = POINTS[point]
    trace = tmp_path / "trace"
    rita.server.start(*strace.failing(trace, f"{call}:signal=SIGKILL:when={when}"))
    unanswered = ledger.replies[""]
    with suppress(OSError), rita.server.smtp() as client:
        for _ in range(6):
            if not ledger.send(client, ledger.mail(LARGE), RITA):
                break
    assert rita.server.wait() == -signal.SIGKILL
    assert ledger.replies[""] <= unanswered + 1
    last = [one for one in strace.completed(trace) if one.startswith(call)][-1]
    assert re.match(wanted, last), last
    rita.server.start()
    rita.server.stop()
    nothing_half_present(rita.server)


def test_orphans_are_swept_at_start(rita: User, ledger: Ledger, tmp_path: Path) -> None:
    rita.server.start()
    with rita.server.smtp() as client:
        assert ledger.send(client, ledger.mail(LARGE), RITA).startswith("250")
    rita.server.kill()
    blobs = rita.server.data / "blobs"
    before = {path.name for path in blobs.iterdir()}
    for name in ("0" * 32, f"{1:032x}.tmp"):
        (blobs / name).write_bytes(b"left by a crash")
    rita.server.start()
    assert {path.name for path in blobs.iterdir()} == before
    check(rita, ledger, tmp_path)


def test_only_one_server_writes(rita: User, ledger: Ledger) -> None:
    """A second one on the same data, started by mistake, ends at once and harms nothing."""
    server = rita.server
    server.start()
    try:
        second = Server.__new__(Server)
        second.__dict__.update(server.__dict__)
        with pytest.raises(AssertionError, match="did not start"):
            second.start()
        with server.smtp() as client:
            assert ledger.send(client, ledger.mail(SMALL), RITA).startswith("250")
    finally:
        server.stop()
