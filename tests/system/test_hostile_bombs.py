"""Mail whose encrypted content inflates without end: it shows why it cannot be opened, the worker
that died of it is replaced, and everything else opens; at `e2email sync` and through the proxy."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import forge_mail, processes
from support.sealing import armored, encrypted_mail
from support.system import Server, User, eventually, literal, without_ours

MIB = 1024 * 1024
BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "4 GB, deflated twice": lambda cert: forge_mail.sealed(cert, forge_mail.bomb(4000 * MIB)),
    "700 MB, deflated once": lambda cert: forge_mail.sealed(cert, forge_mail.bomb(700 * MIB, 1)),
    "100 MB, more than a mail may be": lambda cert: forge_mail.sealed(
        cert, forge_mail.bomb(100 * MIB)
    ),
}


@dataclass
class Bombed:
    """UIDs 1, 3, 5… are good mails, the others bombs; `sent` has the octets of each."""

    user: User
    sent: list[bytes]

    @property
    def bombs(self) -> list[int]:
        return list(range(2, len(self.sent) + 1, 2))


def certificate(server: Server, user: User) -> bytes:
    with sqlite3.connect(f"file:{server.data / 'mail.db'}?mode=ro", uri=True) as db:
        row = db.execute(
            "SELECT octets FROM certificates JOIN accounts ON accounts.id = account_id"
            " WHERE address = ?",
            (user.address,),
        ).fetchone()
    return bytes(row[0])


def good(number: int) -> bytes:
    return b"From: a@example.net\r\nSubject: good %d\r\n\r\nGood mail %d.\r\n" % (number, number)


@pytest.fixture(scope="module", params=["sealed", pytest.param("baseline", marks=pytest.mark.slow)])
def bombed(request: pytest.FixtureRequest, house: Server, users) -> Bombed:
    user = users(f"bombed-{request.param}", request.param)
    cert = certificate(house, user)
    sent = [good(0)]
    for number, bomb in enumerate(BOMBS.values(), 1):
        sent += [encrypted_mail(armored(bomb(cert))), good(number)]
    for mail in sent:
        house.deliver(mail, user.address)
    return Bombed(user, sent)


def test_sync_goes_on(bombed: Bombed) -> None:
    """Every bomb is a notice, every other mail is opened; again the same the second time."""
    for _ in range(2):
        told = bombed.user.sync()
        assert told["messages"] == told["opened"] == len(bombed.sent)
        assert told["unreadable"] == len(bombed.bombs)


def test_list_shows_every_mail(bombed: Bombed) -> None:
    done = bombed.user.e2email("list", "--json")
    assert done.code == 0, done.error
    assert (done.json["total"], done.json["unlisted"]) == (len(bombed.sent), 0)


def test_a_bomb_is_shown_as_a_notice(bombed: Bombed) -> None:
    for uid in bombed.bombs:
        shown = bombed.user.e2email("show", str(uid))
        assert shown.code == 0
        assert b"cannot be opened" in shown.output


def test_export_gives_the_good_ones(bombed: Bombed, tmp_path: Path) -> None:
    bombed.user.e2email("export", tmp_path, "--mailbox", "INBOX", "--received")
    for uid, mail in enumerate(bombed.sent, 1):
        if uid not in bombed.bombs:
            assert (tmp_path / "INBOX" / f"{uid}.eml").read_bytes() == mail


def test_the_proxy_goes_on(bombed: Bombed) -> None:
    """A bomb gives a notice, the same connection reads the next mail, memory is bounded."""
    with bombed.user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: int(client.select("INBOX")[1][0]) == len(bombed.sent))
        before = processes.rss(proxy.pid)
        for uid, mail in enumerate(bombed.sent, 1):
            _, fetched = client.uid("FETCH", str(uid), "(BODY.PEEK[])")
            if uid in bombed.bombs:
                assert b"cannot be opened" in literal(fetched)
            else:
                assert without_ours(literal(fetched)) == mail
        assert processes.rss(proxy.pid) - before < 256 * MIB
        bombed.user.server.deliver(last := good(99), bombed.user.address)
        bombed.sent.append(last)
        arrived = eventually(lambda: int(client.select("INBOX")[1][0]) == len(bombed.sent))
        assert arrived, proxy.log.read_text()[-3000:]
        _, fetched = client.uid("FETCH", str(len(bombed.sent)), "(BODY.PEEK[])")
        assert without_ours(literal(fetched)) == last
