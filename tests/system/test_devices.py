"""Two machines of one user: the same mail on both, and what one changes the other sees."""

import imaplib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_client.device_seal import DeviceSealer
from e2email_crypto.arrival import ArrivalKey
from support.system import Proxy, Server, User, count, eventually, literal, literals, online

MAIL = b"From: Carol <carol@example.net>\r\nSubject: number %d\r\n\r\nText %d\r\n"
TOTAL = 6
DRAFT = (
    b"From: Dina <dina@example.test>\r\nSubject: =?utf-8?q?Entw=C3=BCrf?=\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    b"Gr\xc3\xb6\xc3\x9fe\rand\x01 odd\r\n.\r\nno end"
)


@pytest.fixture(scope="module")
def first(house: Server, users) -> User:
    user = users("dina")
    for number in range(1, TOTAL + 1):
        house.deliver(MAIL % (number, number), user.address)
    user.sync()
    return user


@pytest.fixture(scope="module")
def second(first: User, tmp_path_factory: pytest.TempPathFactory) -> User:
    """`e2email setup` without an invite: address, server, passphrase; tests make cheap accounts."""
    machine = User(first.address, tmp_path_factory.mktemp("second") / "home", first.server)
    done = machine.setup("--device", "second machine", "--least-memory", 64)
    assert (done.code, done.json["new"]) == (0, False), done.error
    return machine


@pytest.fixture(scope="module")
def proxy(first: User, second: User):
    with first.proxy() as running:
        with running.imap() as client:
            assert eventually(lambda: count(client) == TOTAL)
            assert online(client)
        yield running


def listed(user: User, mailbox: str) -> dict[int, dict]:
    """UID → message, after a sync."""
    user.sync()
    done = user.e2email("list", mailbox, "--json")
    assert done.code == 0, done.error
    return {one["uid"]: one for one in done.json["messages"]}


def append(client: imaplib.IMAP4, arguments: bytes, octets: bytes) -> None:
    """imaplib's own turns a bare CR into CRLF."""
    client.send(b"x0 APPEND %s {%d}\r\n" % (arguments, len(octets)))
    while not (line := client.readline()).startswith(b"+"):
        assert line.startswith(b"*"), line
    client.send(octets + b"\r\n")
    while not (line := client.readline()).startswith(b"x0 "):
        assert line.startswith(b"*"), line
    assert line.startswith(b"x0 OK"), line


def test_the_second_machine_reads_the_same_mail(first: User, second: User, tmp_path: Path) -> None:
    second.sync()
    exported = []
    for number, user in enumerate((first, second)):
        folder = tmp_path / str(number)
        assert user.e2email("export", folder, "--mailbox", "INBOX").code == 0
        exported.append({path.name: path.read_bytes() for path in folder.rglob("*.eml")})
    assert len(exported[0]) == TOTAL
    assert exported[0] == exported[1]
    assert exported[0]["3.eml"].endswith(MAIL % (3, 3))


def test_the_machines_have_tokens_of_their_own(first: User, second: User) -> None:
    assert first.unlocked().device_token != second.unlocked().device_token
    assert first.unlocked().key == second.unlocked().key


def test_what_is_appended_comes_back_exactly(
    house: Server, proxy: Proxy, first: User, second: User, tmp_path: Path
) -> None:
    with proxy.imap("Drafts") as client:
        append(client, rb'Drafts (\Draft \Seen) "22-Nov-2026 09:00:00 +0100"', DRAFT)
        _, answer = client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
        assert literal(answer) == DRAFT
        head = b" ".join(one[0] if isinstance(one, tuple) else one for one in answer)
        assert b"\\Draft" in head
        assert b'"22-Nov-2026 08:00:00 +0000"' in head
    assert [one["subject"] for one in listed(second, "Drafts").values()] == ["Entwürf"]
    assert second.e2email("export", tmp_path, "--mailbox", "Drafts").code == 0
    (found,) = (tmp_path / "Drafts").glob("*.eml")
    assert found.read_bytes() == DRAFT
    # what is stored is sealed, and says that it did not come by mail
    client = house.imap(first)
    client.select("Drafts", readonly=True)
    held = literals(client.fetch("1:*", "(BODY.PEEK[])")[1])
    client.logout()
    assert b"multipart/encrypted" in held[0]
    assert b"Dina" not in held[0]
    (message,) = listed(second, "Drafts").values()
    assert message["security"]["encryption"] == "sealed when it was stored"
    assert message["security"]["origin"] == "device"
    assert message["security"]["alarms"] == []
    assert message["security"]["verdicts"] == {}


def test_a_machine_that_joins_while_another_runs_is_known_at_once(
    proxy: Proxy, first: User, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The proxy of the first one was started before the third was set up, and is not restarted."""
    third = User(first.address, tmp_path_factory.mktemp("third") / "home", first.server)
    done = third.setup("--device", "third machine", "--least-memory", 64)
    assert done.code == 0, done.error
    sealed = b"$e2email-sealed-when-stored"
    with third.proxy() as theirs, theirs.imap("Drafts") as client:
        assert online(client)
        append(client, b"Sent", b"Subject: made on the third\r\n\r\nText\r\n")
        client.select("Sent")
        flags = b"".join(client.uid("FETCH", "*", "(FLAGS)")[1])
        assert sealed in flags
        assert b"unproven" not in flags
    with proxy.imap("Sent") as client:
        assert eventually(lambda: count(client, "Sent") == 1, 90)
        _, answer = client.uid("FETCH", "*", "(FLAGS BODY.PEEK[])")
        assert literal(answer).startswith(b"Subject: made on the third")
        flags = b"".join(one[0] if isinstance(one, tuple) else one for one in answer)
        assert sealed in flags
        assert b"unproven" not in flags


def test_a_server_that_forges_a_machine_is_found_out(
    house: Server, proxy: Proxy, first: User, second: User
) -> None:
    """It may seal what it likes to its user's certificate, and has no key to sign it with."""
    unlocked = first.unlocked()
    forger = ArrivalKey.generate()
    forged = DeviceSealer(
        first.address,
        forger,
        lambda: [unlocked.vault.identities[0].certificate],
        lambda: [replace(unlocked.statement, device_keys=(forger.public,))],
    ).seal(b"Subject: what I never wrote\r\n\r\nText\r\n", int(time.time()))
    client = house.imap(first)
    client.append("Junk", None, None, forged)
    client.logout()
    (found,) = (one for one in listed(second, "Junk").values() if "never wrote" in one["subject"])
    assert found["security"]["origin"] == "unproven"
    with proxy.imap("Junk") as client:

        def flags() -> bytes:
            client.select("Junk")
            (line,) = client.uid("FETCH", f"{found['uid']}", "(FLAGS)")[1]
            return line or b""

        assert eventually(lambda: b"$e2email-origin-unproven" in flags(), 90)


def test_flags_travel(proxy: Proxy, second: User) -> None:
    with proxy.imap() as client:
        assert client.uid("STORE", "1", "+FLAGS", r"(\Seen \Flagged $Work)")[0] == "OK"
        assert client.uid("STORE", "2", "FLAGS", r"(\Answered)")[0] == "OK"
    found = listed(second, "INBOX")
    assert set(found[1]["flags"]) == {"\\Seen", "\\Flagged", "$Work"}
    assert set(found[2]["flags"]) == {"\\Answered"}
    with proxy.imap() as client:
        assert client.uid("STORE", "1", "-FLAGS", r"(\Flagged)")[0] == "OK"
    assert set(listed(second, "INBOX")[1]["flags"]) == {"\\Seen", "$Work"}


def test_copies_and_moves_travel(proxy: Proxy, second: User) -> None:
    with proxy.imap() as client:
        assert client.uid("COPY", "3", "Archive")[0] == "OK"
        assert client.uid("MOVE", "4", "Archive")[0] == "OK"
        copies = client.select("Archive")[1]
        assert copies == [b"2"]
        views = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
    assert views[0].endswith(MAIL % (3, 3))
    assert views[1].endswith(MAIL % (4, 4))
    assert {one["subject"] for one in listed(second, "Archive").values()} == {
        "number 3",
        "number 4",
    }
    assert {3, 4} & listed(second, "INBOX").keys() == {3}


def test_expunge_travels(proxy: Proxy, second: User) -> None:
    with proxy.imap() as client:
        client.uid("STORE", "5:6", "+FLAGS", r"(\Deleted)")
        assert client.uid("EXPUNGE", "5")[0] == "OK"
        left = listed(second, "INBOX")
        assert {5, 6} & left.keys() == {6}
        assert client.expunge()[0] == "OK"
    assert 6 not in listed(second, "INBOX")


def test_mailboxes_travel(proxy: Proxy, second: User) -> None:
    with proxy.imap() as client:
        assert client.create("Trips/2026")[0] == "OK"
        assert client.rename("Trips/2026", "Trips/2027")[0] == "OK"
        assert client.uid("COPY", "1", "Trips/2027")[0] == "OK"
    assert [one["subject"] for one in listed(second, "Trips/2027").values()] == ["number 1"]
    with proxy.imap() as client:
        assert client.delete("Trips/2027")[0] == "OK"
    second.sync()
    names = [
        one["name"] for one in second.e2email("list", "--mailboxes", "--json").json["mailboxes"]
    ]
    assert "Trips/2027" not in names


def test_new_mail_arrives_in_an_idle_program(house: Server, proxy: Proxy, first: User) -> None:
    """250 on one side, EXISTS on the other, and nobody asked."""
    with proxy.imap() as client:
        before = count(client)
        client.send(b"x1 IDLE\r\n")
        assert client.readline().startswith(b"+")
        house.deliver(MAIL % (7, 7), first.address)
        client.sock.settimeout(60)
        line = b""
        while not line.endswith(b"EXISTS\r\n"):
            line = client.readline()
            assert line, "the proxy hung up"
        client.send(b"DONE\r\n")
        while not client.readline().startswith(b"x1 "):
            pass
        assert line == b"* %d EXISTS\r\n" % (before + 1)
        newest = literals(client.uid("FETCH", "*", "(BODY.PEEK[])")[1])[0]
    assert newest.endswith(MAIL % (7, 7))


def test_old_mail_is_imported_once_for_all_machines(
    first: User, second: User, tmp_path: Path
) -> None:
    separator = b"From bob@example.net Tue Jan  5 10:11:12 2021\n"
    old = tmp_path / "old.mbox"
    old.write_bytes(
        b"".join(separator + b"Status: RO\nSubject: old %d\n\nText\n\n" % n for n in range(20))
    )
    done = first.e2email("import", old, "--mailbox", "Trash", "--json")
    assert done.code == 0, done.error
    assert (done.json["imported"], done.json["waiting"]) == (20, 0)
    done = first.e2email("import", old, "--mailbox", "Trash", "--json")
    assert (done.json["imported"], done.json["known"]) == (0, 20)
    found = listed(second, "Trash").values()
    assert sorted(one["subject"] for one in found) == sorted(f"old {n}" for n in range(20))
    assert {one["received"] for one in found} == {1_609_841_472}
    assert {tuple(one["flags"]) for one in found} == {("\\Seen",)}
    assert {one["security"]["origin"] for one in found} == {"device"}
