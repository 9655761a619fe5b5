"""OK leaves after the journal was synced to the disk: the proxy's system calls, in order."""

import re
import time
from itertools import groupby
from pathlib import Path

import pytest

from support import strace
from support.system import DOMAIN, User, server

MAIL = b"From: Carol <carol@example.net>\r\nSubject: number %d\r\n\r\nText %d\r\n"
CHANGES = 20
SYNC = re.compile(r"f(?:data)?sync\(\d+<[^>]*/state\.db-wal>\) += 0")
SENT = re.compile(r'sendto\(\d+<[^>]*>, "\\27\\3\\3')  # a record of TLS


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    """What was fetched is here, and the server is gone."""
    strace.needed()
    folder = tmp_path_factory.mktemp("order")
    with server(folder / "server") as house:
        made: User = house.user(f"alice@{DOMAIN}", folder / "home")
        for number in (1, 2):
            house.deliver(MAIL % (number, number), made.address)
        made.sync()
    with made.proxy():
        pass  # its password and certificate are made
    return made


def test_no_ok_before_the_disk_has_it(user: User, tmp_path: Path) -> None:
    output = tmp_path / "trace"
    under = strace.watching(output, "fsync", "fdatasync", "sendto")
    with user.proxy(*under) as proxy, proxy.imap() as client:
        time.sleep(1.0)  # until the tracer has written what came before
        began = len(strace.completed(output))
        for number in range(CHANGES):
            sign = "-" if number % 2 else "+"
            assert client.uid("STORE", "1", f"{sign}FLAGS", r"(\Seen)")[0] == "OK"
    calls = strace.completed(output)[began:]
    marks = [mark for one in calls if (mark := marked(one))]
    # the replies to one change go out together, and the next one waits for them
    groups = [mark for mark, _ in groupby(marks)]
    assert groups[: 2 * CHANGES] == ["sync", "sent"] * CHANGES


def marked(call: str) -> str:
    return "sync" if SYNC.match(call) else "sent" if SENT.match(call) else ""


def test_a_disk_that_does_not_sync_is_a_no(user: User, tmp_path: Path) -> None:
    """And the proxy goes on: what is here is read."""
    output = tmp_path / "trace"
    under = strace.failing(output, "fsync:error=EIO", "fdatasync:error=EIO")
    wal = ("-P", str(user.folder / "state.db-wal"))
    with user.proxy(*under, *wal) as proxy, proxy.imap() as client:
        kind, said = client.uid("STORE", "2", "+FLAGS", r"(\Flagged)")
        assert (kind, b"[UNAVAILABLE]" in said[0]) == ("NO", True)
        assert b"Flagged" not in client.uid("FETCH", "2", "(FLAGS)")[1][0]
        assert b"Text 2" in client.uid("FETCH", "2", "(BODY.PEEK[])")[1][0][1]
    assert "INJECTED" in output.read_text()
