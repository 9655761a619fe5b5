"""Changes without a server, and kill -9 in between: promised is promised, and once is once."""

import imaplib
import os
import poplib
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.system import DOMAIN, Proxy, Server, User, count, eventually, online, server

MAIL = b"From: Carol <carol@example.net>\r\nSubject: number %d\r\n\r\nText %d\r\n"
LARGE = b"Subject: a large draft\r\n\r\n" + b"0123456789" * 7 + b"\r\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of our own: it is killed here."""
    with server(tmp_path_factory.mktemp("journal") / "server") as running:
        yield running


@pytest.fixture
def user(house: Server, tmp_path: Path, request: pytest.FixtureRequest) -> User:
    if not house.running:
        house.start()
    made = house.user(f"{abs(hash(request.node.name))}@{DOMAIN}", tmp_path / "home")
    for number in (1, 2, 3, 4):
        house.deliver(MAIL % (number, number), made.address)
    made.sync()
    return made


def flags(client) -> dict[int, str]:
    """uid → flags, the reserved ones and their order left aside."""
    client.select("INBOX")
    found = {}
    for line in client.uid("FETCH", "1:*", "(FLAGS)")[1]:
        text = line.decode()
        said = text.partition("FLAGS (")[2].partition(")")[0].split()
        uid = int(text.partition("UID ")[2].split(")")[0].split()[0])
        found[uid] = " ".join(sorted(one for one in said if "e2email" not in one))
    return found


def on_the_server(house: Server, user: User) -> dict[int, str]:
    client = house.imap(user)
    try:
        return {u: f.replace("\\Recent", "").strip() for u, f in flags(client).items()}
    finally:
        client.logout()


@contextmanager
def killed(proxy: Proxy) -> Iterator[None]:
    """In the end."""
    yield
    os.kill(proxy.pid, signal.SIGKILL)
    proxy._process.wait()


WANTED = {1: "\\Seen", 2: "\\Flagged work", 4: ""}


@pytest.mark.parametrize("cache", ["kept", "deleted"])
def test_promises_survive_the_program_and_the_cache(house: Server, user: User, cache: str) -> None:
    house.stop()
    with user.proxy() as proxy, killed(proxy), proxy.imap() as client:
        assert client.uid("STORE", "1:2", "+FLAGS", r"(\Seen)")[0] == "OK"
        assert client.uid("STORE", "2", "FLAGS", r"(\Flagged work)")[0] == "OK"
        assert client.uid("STORE", "3", "+FLAGS", r"(\Deleted)")[0] == "OK"
        assert client.expunge() == ("OK", [b"3"])
        assert flags(client) == WANTED
    if cache == "deleted":
        for path in user.folder.glob("cache.db*"):
            path.unlink()
    else:
        with user.proxy() as proxy, killed(proxy), proxy.imap() as client:
            assert flags(client) == WANTED
    said = user.e2email("status", "--offline", "--json").json
    assert said["waiting"] == 4
    house.start()
    with user.proxy() as proxy, proxy.imap() as client:
        assert flags(client) == WANTED
        assert eventually(lambda: on_the_server(house, user) == WANTED)
    assert user.e2email("status", "--offline", "--json").json["waiting"] == 0


def test_sync_does_what_was_promised(house: Server, user: User) -> None:
    house.stop()
    with user.proxy() as proxy, proxy.imap() as client:
        assert client.uid("STORE", "4", "+FLAGS", r"(\Answered)")[0] == "OK"
    house.start()
    user.sync()
    assert on_the_server(house, user)[4] == "\\Answered"


def test_pop3_without_a_server(house: Server, user: User) -> None:
    """Log in, list, fetch, delete, quit; later it is gone there, too."""
    house.stop()
    with user.proxy() as proxy, killed(proxy):
        client = poplib.POP3_SSL("localhost", proxy.shown["pop3s"], context=proxy.tls())
        client.user(user.address)
        client.pass_(proxy.password)
        assert client.stat()[0] == 4
        assert b"Text 2" in client.retr(2)[1]
        client.dele(2)
        assert client.quit().startswith(b"+OK")
    house.start()
    with user.proxy():
        assert eventually(lambda: set(on_the_server(house, user)) == {1, 3, 4})


@pytest.mark.parametrize(
    "delay", [0.3, *(pytest.param(one, marks=pytest.mark.slow) for one in (0.05, 0.8))]
)
def test_a_large_draft_while_the_server_dies(house: Server, user: User, delay: float) -> None:
    """However far it came, OK is said in the end, and there is one of it."""
    large = LARGE * 150_000  # 11 MB

    def draft(client: imaplib.IMAP4) -> str:
        try:
            return str(client.append("INBOX", r"(\Draft)", None, large)[0])
        except imaplib.IMAP4.abort:  # it did not come back soon enough
            client.shutdown()
            client.state = "LOGOUT"
            return "BYE"

    with user.proxy() as proxy:
        with proxy.imap() as client:
            online(client)
            said: list[str] = []
            thread = threading.Thread(target=lambda: said.append(draft(client)))
            thread.start()
            time.sleep(delay)
            house.kill()
            house.start()
            thread.join()
            again = said != ["OK"]
            if not again:
                assert eventually(lambda: count(client) == 5)
        if again:  # the program tries again
            with proxy.imap() as client:
                online(client)
                assert draft(client) == "OK"
                assert eventually(lambda: count(client) == 5)
        assert len(on_the_server(house, user)) == 5


def test_two_proxies_of_one_account(house: Server, user: User) -> None:
    """One syncs. What the other one is told is done, and each sees what the other one did."""
    with user.proxy() as first, user.proxy() as second:
        with killed(first), first.imap() as one, second.imap() as two:
            online(one)
            assert two.uid("STORE", "1", "+FLAGS", r"(\Seen)")[0] == "OK"
            assert one.uid("STORE", "2", "+FLAGS", r"(\Flagged)")[0] == "OK"
            assert two.create("Filed")[0] == "OK"
            assert two.uid("COPY", "1", "Filed")[0] == "OK"
            assert two.append("Filed", None, None, MAIL % (9, 9))[0] == "OK"
            assert two.uid("STORE", "3", "+FLAGS", r"(\Deleted)")[0] == "OK"
            assert two.expunge()[0] == "OK"
            wanted = {1: "\\Seen", 2: "\\Flagged", 4: ""}
            for look in (
                lambda: on_the_server(house, user),
                lambda: flags(one),
                lambda: flags(two),
            ):
                assert eventually(lambda look=look: look() == wanted)
            assert eventually(lambda: one.select("Filed") == ("OK", [b"2"]))
        with second.imap() as two:  # which takes over
            assert eventually(lambda: two.uid("STORE", "4", "+FLAGS", r"(\Seen)")[0] == "OK")
            assert eventually(lambda: on_the_server(house, user)[4] == "\\Seen")
