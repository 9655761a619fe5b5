"""Old mail under a new key: on the server it is sealed anew, and stays the same mail."""

import random
import re
import signal
import subprocess
import sys
import time
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from e2email_crypto import gate
from e2email_crypto.armor import dearmor
from e2email_crypto.packets import message_key_ids
from e2email_crypto.seal import seal
from e2email_crypto.statement import Policy
from e2email_protocol.sealed.render import parse_envelope_field
from support.sealing import armored, encrypted_mail
from support.system import Server, User, end, environment, eventually, server

MAIL = (
    b"From: Carol <carol@example.net>\r\nSubject: number %d\r\nDate: Sun, 22 Nov 2026 07:00:00"
    b" +0000\r\nMessage-ID: <%d@example.net>\r\n\r\nhello %d\r\n"
)
LARGE = MAIL % (3, 3, 3) + b"%s\r\n" % (b"x" * 70) * 100_000  # 7 MB
FIELD = "(UID EMAILID BODY.PEEK[HEADER.FIELDS (E2EMAIL-ENVELOPE)])"


def to(user: User, now: int) -> list[gate.Recipient]:
    return [gate.recipient(one.certificate, now) for one in user.unlocked().vault.identities[:1]]


def exported(user: User, folder: Path) -> list[bytes]:
    """The octets of every mail in INBOX as they were received."""
    done = user.e2email("export", folder, "--received", "--mailbox", "INBOX")
    assert done.code == 0, done.error
    paths = sorted((folder / "INBOX").glob("*.eml"), key=lambda path: int(path.stem))
    return [path.read_bytes() for path in paths]


def listed(user: User) -> list[Any]:
    done = user.e2email("list", "INBOX", "--json")
    assert done.code == 0, done.error
    return done.json["messages"] if isinstance(done.json, dict) else done.json


def envelopes(house: Server, user: User) -> dict[tuple[int, str], frozenset[str]]:
    """(UID, EMAILID) → PKESK ids of the envelope, as any IMAP program sees them."""
    client = house.imap(user)
    client.select("INBOX", readonly=True)
    found = {}
    for name, octets in client.fetch("1:*", FIELD)[1][::2]:
        place = re.search(rb"UID (\d+) EMAILID \((E[0-9a-f]{32})\)", name)
        field = parse_envelope_field(octets)
        assert place is not None
        assert field is not None
        key_ids = message_key_ids(field.message)
        found[int(place[1]), place[2].decode()] = key_ids
    client.logout()
    return found


def bodies(house: Server, user: User) -> list[frozenset[str]]:
    """PKESK ids of the encrypted part of every message."""
    client = house.imap(user)
    client.select("INBOX", readonly=True)
    found = []
    for _, octets in client.fetch("1:*", "(BODY.PEEK[2])")[1][::2]:
        found.append(message_key_ids(dearmor(octets, b"MESSAGE", 1 << 30)))
    client.logout()
    return found


def test_the_same_mail_under_another_key(tmp_path: Path) -> None:
    with server(tmp_path / "server") as house:
        user = house.user("alice@example.test", tmp_path / "alice", Policy.BASELINE)
        secret = encrypted_mail(armored(seal(b"\r\nfor alice\r\n", to(user, int(time.time())))))
        mails = [MAIL % (1, 1, 1), secret, LARGE]
        for mail in mails:
            house.deliver(mail, user.address)
        user.sync()
        seen, old = listed(user), envelopes(house, user)
        assert exported(user, tmp_path / "before") == mails
        (first,) = set(old.values())

        rotated = user.e2email("key", "rotate", "--json")
        assert rotated.code == 0, rotated.error
        house.deliver(MAIL % (4, 4, 4), user.address)
        user.sync()
        done = user.e2email("reseal", "--json")
        assert done.code == 0, done.error
        assert (done.json["pending"], done.json["resealed"], done.json["kept"]) == (3, 3, 1)
        assert done.json["unopened"] == []

        new = envelopes(house, user)
        (second,) = set(new.values())
        assert second != first
        assert [place for place in new if place[0] <= 3] == list(old)
        # what its sender encrypted stays as its sender made it
        assert bodies(house, user) == [second, first, second, second]
        again = user.e2email("reseal", "--json")
        assert (again.code, again.json["pending"]) == (0, 0)

        # a machine that has seen nothing of the old form
        other = User(user.address, tmp_path / "other", house)
        assert other.setup("--least-memory", 64).code == 0
        other.sync()
        assert exported(other, tmp_path / "after") == [*mails, MAIL % (4, 4, 4)]
        user.sync()
        for machine in (user, other):
            now = listed(machine)
            assert [one for one in now if one["uid"] <= 3] == seen
            assert all(not one.get("alarms") for one in now)


def reseal(user: User) -> "subprocess.Popen[bytes]":
    arguments = ["reseal", *map(str, user.secrets())]
    command = [sys.executable, "-m", "e2email_client", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )


@pytest.mark.slow
def test_killed_here_and_there(tmp_path: Path) -> None:
    """Server or client: whatever is killed, the next run goes on, and every mail is there."""
    dice = random.Random(4)
    with server(tmp_path / "server") as house:
        user = house.user("alice@example.test", tmp_path / "alice")
        mails = [MAIL % (n, n, n) + b"%s\r\n" % (b"y" * 70) * (n % 3 * 5000) for n in range(24)]
        for mail in mails:
            house.deliver(mail, user.address)
        user.sync()
        (first,) = set(envelopes(house, user).values())
        assert user.e2email("key", "rotate", "--json").code == 0

        def left() -> int:
            return sum(ids == first for ids in envelopes(house, user).values())

        for victim in ("server", "client", "server"):
            before = left()
            running = reseal(user)
            eventually(lambda n=before, it=running: left() < n or it.poll() is not None)
            time.sleep(dice.uniform(0.0, 0.1))
            if victim == "server":
                house.kill()
                running.wait(60)
                house.start()
            else:
                end(running, signal.SIGKILL)
            files = list((house.data / "blobs").iterdir())
            assert len(files) <= 24
        done = user.e2email("reseal", "--json")
        assert done.code == 0, done.error
        assert left() == 0
        other = User(user.address, tmp_path / "other", house)
        assert other.setup("--least-memory", 64).code == 0
        other.sync()
        assert exported(other, tmp_path / "after") == mails
        subjects = [message_from_bytes(mail)["Subject"] for mail in mails]
        assert sorted(one["subject"] for one in listed(other)) == sorted(subjects)
