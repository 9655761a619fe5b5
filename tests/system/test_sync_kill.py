"""A sync that is killed at any moment, and two programs on one account: in the end all is here."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from e2email_client import standing
from e2email_client.local import browse, contents, mailboxes, reads
from e2email_client.stores import open_stores
from support import system

ADDRESS = "alice@example.test"
MAILS = 120


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\n%b\r\n" % (
        number,
        b"a line of text\r\n" * 5000,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[system.Server]:
    with system.server(tmp_path_factory.mktemp("kill")) as made:
        yield made


def state(user: system.User) -> dict[str, list[tuple[object, ...]]]:
    """All that a program would be shown."""
    with open_stores(user.unlocked()) as stores:
        cache = stores.cache
        assert cache.read("PRAGMA integrity_check") == [("ok",)]
        found = {}
        for box in mailboxes.every(cache):
            flags = contents.server_flags(cache, box.id)
            views = reads.known(cache, box.id, sorted(flags), reads.Octets.HEADER)
            found[box.name] = [
                (one.uid, one.email_id, one.state, one.octets, sorted(flags[one.uid]))
                for one in views
            ]
        return found


def count(user: system.User) -> int:
    """Messages that are opened here."""
    with open_stores(user.unlocked()) as stores:
        opened = sum(one.opened for one in browse.counts(stores.cache))
    print(opened, "opened")
    return opened


def began(process: "subprocess.Popen[bytes]", lock: Path) -> bool:
    """It has the account's lock, or is done already."""
    if process.poll() is not None:
        return True
    return lock.exists() and standing._holder(lock).endswith(f"(process {process.pid})")


def test_killed_at_random_moments(server: system.Server, tmp_path: Path) -> None:
    chance = random.Random(20261122)
    user = server.user(ADDRESS, tmp_path / "killed")
    for number in range(MAILS):
        server.deliver(mail(number), ADDRESS)
    command = [sys.executable, "-m", "e2email_client", "sync", *map(str, user.secrets())]
    killed = 0
    for _ in range(8):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=system.environment()
        )
        system.eventually(partial(began, process, user.folder / "sync.lock"))
        time.sleep(chance.uniform(0.2, 3.0))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        if count(user) == MAILS:  # it was too fast: begin anew
            for file in user.folder.glob("cache.db*"):
                file.unlink()
        with server.imap(user) as client:  # meanwhile something changes
            client.select("INBOX")
            client.uid("STORE", str(chance.randint(1, MAILS)), "+FLAGS", "(\\Flagged)")
    assert killed, "no sync was killed: the moments are chosen badly"
    done = user.sync()
    assert (done["messages"], done["opened"]) == (MAILS, MAILS)
    other = system.User(ADDRESS, tmp_path / "fresh", server)
    assert other.setup("--least-memory", 64).code == 0
    other.sync()
    assert state(user) == state(other)
    assert count(user) == MAILS


def test_a_proxy_and_sync_share_an_account(server: system.Server, tmp_path: Path) -> None:
    address = "bob@example.test"
    user = server.user(address, tmp_path / "both")
    with user.proxy() as proxy:
        server.deliver(mail(1), address)
        with proxy.imap() as client:
            system.eventually(lambda: system.count(client) == 1)
            done = user.e2email("sync", "--json")
            assert (done.code, done.json["synced"]) == (0, False)
            status = user.e2email("status", "--json").json
            assert str(proxy.pid) in status["syncing"]
            assert user.e2email("repair").code == 9
            assert client.uid("STORE", "1", "+FLAGS", "(\\Seen)")[0] == "OK"
    server.deliver(mail(2), address)
    done = user.sync()
    assert (done["synced"], done["messages"], done["unseen"]) == (True, 2, 1)
    with user.proxy() as proxy, proxy.imap() as client:
        assert system.count(client) == 2
        assert b"\\Seen" in client.uid("FETCH", "1", "(FLAGS)")[1][0]
    said = user.e2email("repair", "--json")
    assert (said.code, said.json["missing"]) == (0, 0)
    assert [box["added"] + box["removed"] for box in said.json["mailboxes"]] == [0] * len(
        said.json["mailboxes"]
    )
