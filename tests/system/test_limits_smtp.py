"""DESIGN §8 at the door: what the running server answers. docs/specs/limits.md is the table."""

import http.client
import os
import signal
import socket
import sqlite3
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2email_server.datadir import load_keys
from e2email_server.store.rowmac import RowMacs
from support import forge, processes
from support.ledger import LARGE, Ledger, received
from support.system import DOMAIN, Server, Smtp, User, eventually

MIB = 1024 * 1024
GOOD = f"good@{DOMAIN}"
BROKEN = ("nokey", "expired", "revoked", "unsigned", "macless", "oversized", "cannotseal")
MAIL = b"Subject: x\r\n\r\nhello\r\n"


def expired() -> bytes:
    key = forge.person()
    key.self_sig = forge.self_signature(key.primary, key.user_id, lifetime=10 * 86_400)
    return key.cert


def revoked() -> bytes:
    key = forge.person()
    key.direct = key.revocation(0)
    return key.cert


def damage(server: Server) -> None:
    """Rows as only somebody with the server's MAC key could write them; two without right MAC."""
    macs = RowMacs(load_keys(server.data).mac)
    with sqlite3.connect(server.data / "mail.db") as db:
        ids = dict(
            db.execute("SELECT substr(address, 1, instr(address, '@') - 1), id FROM accounts")
        )

        def certificate(name: str, octets: bytes) -> None:
            (print_,) = db.execute(
                "SELECT fingerprint FROM certificates WHERE account_id = ?", (ids[name],)
            ).fetchone()
            mac = macs.make("certificates", (ids[name], print_, octets))
            db.execute(
                "UPDATE certificates SET octets = ?, mac = ? WHERE account_id = ?",
                (octets, mac, ids[name]),
            )

        certificate("expired", expired())
        certificate("revoked", revoked())
        certificate("oversized", forge.person().cert + bytes(64 * 1024))
        certificate("cannotseal", forge.Forged().cert)
        for table in ("certificates", "statements"):
            db.execute(f"DELETE FROM {table} WHERE account_id = ?", (ids["nokey"],))
        (octets,) = db.execute(
            "SELECT octets FROM statements WHERE account_id = ?", (ids["unsigned"],)
        ).fetchone()
        octets = octets[:-10] + bytes([octets[-10] ^ 1]) + octets[-9:]
        mac = macs.make("statements", (ids["unsigned"], 1, octets))
        db.execute(
            "UPDATE statements SET octets = ?, mac = ? WHERE account_id = ?",
            (octets, mac, ids["unsigned"]),
        )
        db.execute(
            "UPDATE certificates SET mac = zeroblob(32) WHERE account_id = ?", (ids["macless"],)
        )


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """The one with a key that can be used; the others of the house have none."""
    folder = tmp_path_factory.mktemp("limits")
    server = Server(folder / "server")
    server.start()
    user = server.user(GOOD, folder / "good")
    for name in BROKEN:
        server.user(f"{name}@{DOMAIN}", folder / name)
    server.stop()
    damage(server)
    server.start()
    yield user
    server.stop()


@pytest.fixture
def client(good: User) -> Iterator[Smtp]:
    with good.server.smtp() as client:
        yield client


def begin(client: Smtp, *recipients: str, size: int = 0) -> list[str]:
    assert client.say(f"MAIL FROM:<a@example.net> SIZE={size}").startswith("250")
    return [client.say(f"RCPT TO:<{one}>") for one in recipients]


# --- keys -------------------------------------------------------------------------------------

ANSWERS = {
    "nokey": "450 4.7.5",
    "expired": "450 4.7.5",
    "revoked": "550 5.7.1",
    "unsigned": "450 4.7.5",
    "macless": "450 4.7.5",
    "oversized": "450 4.7.5",
    "cannotseal": "450 4.7.5",
}


@pytest.mark.parametrize("name", BROKEN)
def test_no_key_no_acceptance(good: User, client: Smtp, name: str) -> None:
    """Only that recipient is refused, the operator's log gets the cause, the other has his mail."""
    before = good.server.log.read_text().count(f"mail for {name}@{DOMAIN} cannot be sealed")
    refused, accepted = begin(client, f"{name}@{DOMAIN}", GOOD)
    assert refused[:9] == ANSWERS[name]
    assert accepted.startswith("250")
    assert client.say("DATA").startswith("354")
    assert client.data(MAIL).startswith("250")
    after = good.server.log.read_text().count(f"mail for {name}@{DOMAIN} cannot be sealed")
    assert after == before + 1
    with sqlite3.connect(good.server.data / "mail.db") as db:
        (count,) = db.execute(
            "SELECT count(*) FROM messages JOIN mailboxes ON mailboxes.id = mailbox_id"
            " JOIN accounts ON accounts.id = account_id WHERE address = ?",
            (f"{name}@{DOMAIN}",),
        ).fetchone()
    assert count == 0


def test_nobody_of_that_name(client: Smtp) -> None:
    unknown, foreign = begin(client, f"nobody@{DOMAIN}", "a@elsewhere.test")
    assert unknown.startswith("550 5.1.1")
    assert foreign.startswith("550 5.7.1")


# --- sizes and numbers ------------------------------------------------------------------------


def test_too_large_by_its_own_word(client: Smtp) -> None:
    assert client.say(f"MAIL FROM:<a@example.net> SIZE={50 * MIB + 1}").startswith("552 5.3.4")
    assert begin(client, GOOD, size=50 * MIB)[0].startswith("250")


def test_too_large_without_a_word(good: User, client: Smtp) -> None:
    """Read to its end, of which nothing is kept; the same connection goes on."""
    begin(client, GOOD)
    assert client.say("DATA").startswith("354")
    before = processes.rss(good.server.pid)
    assert client.data(b"x" * 78 + b"\r\n" + (b"y" * 78 + b"\r\n") * (60 * MIB // 80))[:9] == (
        "552 5.3.4"
    )
    assert processes.rss(good.server.pid) - before < 200 * MIB
    assert client.send(MAIL, [GOOD])[-1].startswith("250")


def test_more_than_100_recipients(good: User, client: Smtp) -> None:
    names = [f"good+{number}@{DOMAIN}" for number in range(101)]
    replies = begin(client, *names)
    assert {one[:3] for one in replies[:100]} == {"250"}
    assert replies[100].startswith("452 4.5.3")
    assert client.say("DATA").startswith("354")
    assert client.data(MAIL).startswith("250")


def test_recipients_times_size(client: Smtp) -> None:
    replies = begin(client, *(f"good+{number}@{DOMAIN}" for number in range(22)), size=50 * MIB)
    assert [one[:3] for one in replies] == ["250"] * 20 + ["452"] * 2
    assert replies[20].startswith("452 4.5.3")


def test_a_loop(good: User, client: Smtp) -> None:
    mail = b"Received: from a by b\r\n" * 101 + MAIL
    assert client.send(mail, [GOOD])[-1].startswith("554 5.4.6")


# --- a worker that dies -----------------------------------------------------------------------


def test_a_sealing_worker_that_is_killed(good: User, client: Smtp) -> None:
    """Its mail is 451, the server stays, the next mail passes, and so does the same one again."""
    ledger = Ledger()
    mail = ledger.mail(20 * MIB)
    begin(client, GOOD)
    assert client.say("DATA").startswith("354")
    client.raw(mail + b".\r\n")
    worker = eventually(lambda: _busy(good.server.pid), 30, 0.005)
    assert worker
    os.kill(worker, signal.SIGKILL)
    assert client.reply().startswith("451 4.3.0")
    for size in (LARGE, 20 * MIB):
        assert client.send(ledger.mail(size), [GOOD])[-1].startswith("250")


def _busy(pid: int) -> int:
    """A worker with a large mail in its memory."""
    found = [one for one in processes.children(pid) if processes.rss(one) > 60 * MIB]
    return found[0] if found else 0


# --- time and numbers of connections ----------------------------------------------------------


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A house with little patience and few connections for one address."""
    folder = tmp_path_factory.mktemp("hasty")
    server = Server(folder / "server")
    server.configure("# idle_seconds = 300", "idle_seconds = 2 #")
    server.configure("# transaction_seconds = 600", "transaction_seconds = 3 #")
    server.configure("connections_per_address = 500", "connections_per_address = 5")
    server.configure("# drain_seconds = 30", "drain_seconds = 20 #")
    server.start()
    yield server.user(GOOD, folder / "good")
    server.stop()


def test_an_idle_peer(hasty: User) -> None:
    with hasty.server.smtp() as client:
        assert client.reply().startswith("421 4.4.2")
        assert client.reply() == ""


def test_a_trickling_peer(hasty: User) -> None:
    """An octet now and then does not earn a whole transaction's time for ever."""
    with hasty.server.smtp() as client:
        begin(client, GOOD)
        assert client.say("DATA").startswith("354")
        reply = ""
        until = time.monotonic() + 60
        while not reply and time.monotonic() < until:
            reply = client.try_raw(b"x", 0.2)
        assert reply.startswith("421 4.4.2")


def test_too_many_connections_of_one_address(hasty: User) -> None:
    server = hasty.server
    several = [server.smtp() for _ in range(5)]
    try:
        with socket.create_connection(("127.0.0.1", server.port("smtp")), 30) as sixth:
            assert sixth.recv(100).startswith(b"421 4.7.0")
        with Smtp(server.port("smtp"), source="127.0.0.7") as other:
            assert other.send(MAIL, [GOOD])[-1].startswith("250")
    finally:
        for one in several:
            one.close()
    assert eventually(lambda: _greets(server), 10)


def _greets(server: Server) -> bool:
    with socket.create_connection(("127.0.0.1", server.port("smtp")), 30) as client:
        return client.recv(3) == b"220"


# --- signals ----------------------------------------------------------------------------------


def test_sigterm_lets_mail_in_flight_arrive(hasty: User, tmp_path: Path) -> None:
    """Half a mail when it comes: the rest is taken and acknowledged; who is idle hears 421."""
    server, ledger = hasty.server, Ledger()
    mail = ledger.mail(5 * MIB)
    with server.smtp() as busy, server.smtp() as idle:
        begin(busy, GOOD)
        assert busy.say("DATA").startswith("354")
        busy.raw(mail[: 4 * MIB])
        os.kill(server.pid, signal.SIGTERM)
        assert idle.reply().startswith("421 4.3.2")
        with pytest.raises(OSError):
            server.smtp()
        busy.raw(mail[4 * MIB :] + b".\r\n")
        assert busy.reply().startswith("250")
    assert server.wait() == 0
    server.start()
    assert mail in received(hasty, tmp_path / "export")


def test_sigterm_does_not_wait_for_ever(hasty: User) -> None:
    """Who never ends is cut off after the drain limit, without 250; his mail is his."""
    server = hasty.server
    with sqlite3.connect(server.data / "mail.db") as db:
        before = db.execute("SELECT count(*) FROM messages").fetchone()
    with server.smtp() as client:
        begin(client, GOOD)
        assert client.say("DATA").startswith("354")
        client.raw(b"Subject: half")
        os.kill(server.pid, signal.SIGTERM)
        assert client.reply()[:3] in ("", "421")
    assert server.wait() == 0
    with sqlite3.connect(server.data / "mail.db") as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == before
    server.start()


def test_sighup_reads_domains_and_aliases_again(hasty: User, tmp_path: Path) -> None:
    server, new = hasty.server, "other.test"
    with server.smtp() as client:
        assert client.send(MAIL, [f"sales@{DOMAIN}"])[-1].startswith("550 5.1.1")
        assert client.send(MAIL, [f"info@{new}"])[-1].startswith("550 5.7.1")
    server.configure(f'domains = ["{DOMAIN}"]', f'domains = ["{DOMAIN}", "{new}"]')
    aliases = f'"sales@{DOMAIN}" = ["{GOOD}"]\n"info@{new}" = ["{GOOD}"]\n'
    server.configure("[aliases]\n", "[aliases]\n" + aliases)
    _hang_up(server, "read again")
    with server.smtp() as client:
        assert client.send(MAIL, [f"Sales@{DOMAIN}"])[-1].startswith("250")
        assert client.send(MAIL, [f"info@{new}"])[-1].startswith("250")
        assert client.send(MAIL, [f"postmaster@{new}"])[-1].startswith("250")
    assert f"<domain>{new}</domain>" in _autoconfig(server)
    text = server.config.read_text()
    server.config.write_text(text + "\n[nonsense\n")
    _hang_up(server, "not read again")
    with server.smtp() as client:
        assert client.send(MAIL, [f"info@{new}"])[-1].startswith("250")
    server.config.write_text(text)


def _autoconfig(server: Server) -> str:
    context = ssl.create_default_context(cafile=str(server.ca))
    client = http.client.HTTPSConnection("localhost", server.port("https"), context=context)
    client.request("GET", "/mail/config-v1.1.xml")
    text = client.getresponse().read().decode()
    client.close()
    return text


def _hang_up(server: Server, told: str) -> None:
    before = server.log.read_text().count(told)
    server.hang_up()
    assert eventually(lambda: server.log.read_text().count(told) > before, 20)
