"""The server goes away and comes back under a running proxy: mail stays readable."""

import imaplib
from pathlib import Path

import pytest

from support.system import DOMAIN, Server, User, count, eventually, literals, server

MAIL = b"From: Carol <carol@example.net>\r\nSubject: number %d\r\n\r\nText %d\r\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory):
    """A server of our own: it is stopped and killed here."""
    with server(tmp_path_factory.mktemp("outages") / "server") as running:
        yield running


@pytest.fixture(scope="module")
def user(house: Server, tmp_path_factory: pytest.TempPathFactory) -> User:
    made = house.user(f"alice@{DOMAIN}", tmp_path_factory.mktemp("homes") / "alice")
    for number in (1, 2, 3):
        house.deliver(MAIL % (number, number), made.address)
    made.sync()
    return made


def test_a_proxy_over_an_outage(house: Server, user: User, tmp_path: Path) -> None:
    with user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: count(client) == 3)
        house.kill()

        # what is here is read; what would need the server is refused, and not made up
        assert eventually(lambda: client.subscribe("INBOX")[0] == "NO")
        kind, said = client.create("Folder")
        assert kind == "NO"
        assert said[0].startswith(b"[UNAVAILABLE] the mail server cannot be reached now")
        assert client.uid("COPY", "1", "Archive")[0] == "NO"
        assert literals(client.uid("FETCH", "2", "(BODY.PEEK[])")[1])[0].endswith(MAIL % (2, 2))
        assert client.uid("SEARCH", "TEXT", '"Text 2"')[1] == [b"2"]
        assert count(client) == 3

        # what is to be stored is not: that connection ends, for some programs take NO for ever
        with proxy.imap() as other, pytest.raises(imaplib.IMAP4.abort, match="nothing was stored"):
            other.append("INBOX", None, None, MAIL % (9, 9))

        # the same connection goes on by itself once the server is back
        house.start()
        house.deliver(MAIL % (4, 4), user.address)
        assert eventually(lambda: count(client) == 4, seconds=90)
        views = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
        assert [view.endswith(MAIL % (n, n)) for n, view in enumerate(views, 1)] == [True] * 4
        assert client.uid("STORE", "1", "+FLAGS", r"(\Seen)")[0] == "OK"


def test_a_proxy_that_starts_without_its_server(house: Server, user: User) -> None:
    user.sync()
    house.stop()
    try:
        with user.proxy() as proxy, proxy.imap() as client:
            views = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
            assert views[0].endswith(MAIL % (1, 1))
            assert len(views) == count(client)
    finally:
        house.start()


def test_sync_beside_a_running_proxy(house: Server, user: User) -> None:
    """Two programs of one account do not harm each other."""
    with user.proxy() as proxy, proxy.imap() as client:
        before = count(client)
        house.deliver(MAIL % (5, 5), user.address)
        done = user.e2email("sync", "--json")
        assert done.code == 0, done.error
        assert eventually(lambda: count(client) == before + 1)
        newest = literals(client.uid("FETCH", "*", "(BODY.PEEK[])")[1])
        assert newest[-1].endswith(MAIL % (5, 5))
        assert user.e2email("list", "--json").json["total"] == before + 1


def test_a_lost_cache_is_fetched_again_under_the_same_uids(
    house: Server, user: User, tmp_path: Path
) -> None:
    user.sync()
    first = user.e2email("list", "--json").json
    for path in user.folder.glob("cache.db*"):
        path.unlink()
    user.sync()
    assert user.e2email("list", "--json").json == first


def test_two_proxies_of_one_account(house: Server, user: User) -> None:
    """The second machine's clients and ours, each over its own proxy: no UID is taken twice."""
    with user.proxy() as one, user.proxy() as two, one.imap() as first, two.imap() as second:
        before = count(first)
        assert count(second) == before
        house.deliver(MAIL % (6, 6), user.address)
        for client in (first, second):
            assert eventually(lambda client=client: count(client) == before + 1)
        pair = [literals(c.uid("FETCH", "1:*", "(BODY.PEEK[])")[1]) for c in (first, second)]
    assert pair[0] == pair[1]
    assert len(pair[0]) == before + 1
