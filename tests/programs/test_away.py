"""Programs at the proxy while the server is away: filing goes on, and is done when it is back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.maildir import MBSYNC, flag, maildir, mbsync, one
from support.programs import Desk, letter, needs
from support.system import DOMAIN, Server, User, count, eventually, server

LETTERS = 6


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Server]:
    """A server of our own: it is stopped here."""
    with server(tmp_path / "server") as running:
        yield running


@pytest.fixture
def desk(house: Server, tmp_path: Path) -> Iterator[Desk]:
    user: User = house.user(f"away@{DOMAIN}", tmp_path / "user")
    for number in range(LETTERS):
        house.deliver(letter(number), user.address)
    (tmp_path / "home").mkdir()
    with user.proxy() as proxy:
        with proxy.imap() as client:
            assert eventually(lambda: count(client) == LETTERS)
        yield Desk(proxy, tmp_path / "home")


def there(house: Server, desk: Desk, mailbox: str) -> dict[int, set[str]]:
    """uid → flags, as the server has them."""
    client = house.imap(desk.proxy.user)
    client.select(mailbox)
    found = {}
    for line in client.uid("FETCH", "1:*", "(FLAGS)")[1]:
        text = line.decode() if line else ""
        if "UID " in text:
            said = text.partition("FLAGS (")[2].partition(")")[0].split()
            uid = int(text.partition("UID ")[2].split(")")[0].split()[0])
            found[uid] = set(said) - {"\\Recent"}
    client.logout()
    return found


@needs("mbsync")
def test_mbsync_files_mail_without_a_server(house: Server, desk: Desk) -> None:
    desk.write("mbsyncrc", MBSYNC)
    (desk.home / "mail").mkdir()
    mbsync(desk)
    assert len(maildir(desk)) == LETTERS
    house.stop()
    flag(one(desk, b"letter 01\n"), "FS")
    flag(one(desk, b"letter 02\n"), "RS")
    one(desk, b"letter 03\n").unlink()
    mbsync(desk)
    # a new draft cannot go up: mbsync says so, keeps it, and tries it again by itself
    drafts = desk.home / "mail" / "Drafts" / "new"
    (drafts / "1.fresh.here").write_bytes(letter(77).replace(b"\r\n", b"\n"))
    done = desk.run("mbsync", "-c", desk.home / "mbsyncrc", "-a")
    assert b"the mail server cannot be reached now" in done.stdout + done.stderr
    assert len(maildir(desk, "Drafts")) == 1
    house.start()
    wanted = {1: set(), 2: {"\\Flagged", "\\Seen"}, 3: {"\\Answered", "\\Seen"}, 5: set(), 6: set()}
    assert eventually(lambda: there(house, desk, "INBOX") == wanted)

    def stored() -> bool:
        done = desk.run("mbsync", "-c", desk.home / "mbsyncrc", "-a")
        return done.returncode == 0 and len(there(house, desk, "Drafts")) == 1

    assert eventually(stored)
    mbsync(desk)
    assert len(there(house, desk, "Drafts")) == len(maildir(desk, "Drafts")) == 1
    assert len(maildir(desk)) == LETTERS - 1


@needs("mpop")
def test_mpop_fetches_and_removes_without_a_server(house: Server, desk: Desk) -> None:
    with desk.proxy.imap() as client:  # opened, so it is here
        client.uid("FETCH", "1:*", "(BODY.PEEK[])")
    house.stop()
    (desk.home / "mail").mkdir()
    desk.write(
        "mpoprc",
        "defaults\nhost {host}\nport {pop3s}\ntls on\ntls_starttls off\n"
        "tls_trust_file {certificate}\nauth on\nuser {user}\npassword {password}\n"
        "delivery mbox {home}/mail/box\nkeep off\naccount default\n",
    )
    done = desk.run("mpop", "-C", desk.home / "mpoprc")
    assert done.returncode == 0, done.stderr.decode()
    box = (desk.home / "mail" / "box").read_bytes()
    assert [b"mulberry%02d" % n in box for n in range(LETTERS)] == [True] * LETTERS
    assert desk.subjects() == []
    house.start()
    assert eventually(lambda: there(house, desk, "INBOX") == {})
