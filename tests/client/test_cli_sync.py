"""`e2email sync`: what it brings, what it says, and what interrupts it."""

import json
import os
import signal
import subprocess
import sys

import pytest

from e2email_client.failure import Offline
from e2email_client.lock import SyncLock
from e2email_crypto.errors import OpenFailed
from support.machine import Machine

MAIL = b"From: Bob <bob@example.net>\r\nSubject: one\r\n\r\nhaystack\r\n"
OTHER = b"From: Bob <bob@example.net>\r\nSubject: two\r\n\r\nneedle\r\n"


def synced(machine: Machine, *more: str) -> dict:
    done = machine.run("sync", "--json", *more)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_everything_is_fetched_once(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    machine.deliver(MAIL, mailbox="Archive")
    first = synced(machine)
    assert first["synced"] is True
    figures = ("messages", "new", "opened", "unseen", "unreadable", "alarms")
    assert [first[one] for one in figures] == [3, 3, 3, 3, 0, 0]
    assert [box["name"] for box in first["mailboxes"]] == ["INBOX", "Archive"]
    machine.remote.asked.clear()
    assert synced(machine)["new"] == 0
    assert not {"ENVELOPES", "BODIES"} & set(machine.remote.asked)
    machine.deliver(MAIL)
    again = synced(machine)
    assert (again["new"], again["messages"]) == (1, 4)


def test_it_says_so_to_people(machine: Machine) -> None:
    machine.deliver(MAIL)
    machine.deliver_unreadable()
    done = machine.run("sync")
    assert done.code == 0
    assert "INBOX                         2 messages (2 new, 2 unseen, 1 unreadable)" in done.text
    assert "1 can never be opened" in done.text


def test_without_bodies(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    done = synced(machine, "--no-bodies")
    assert (done["listed"], done["opened"]) == (2, 0)
    assert "BODIES" not in machine.remote.asked
    assert synced(machine)["opened"] == 2


def test_another_program_syncs(machine: Machine) -> None:
    machine.deliver(MAIL)
    synced(machine)
    machine.deliver(OTHER)
    machine.remote.asked.clear()
    with SyncLock(machine.unlocked.paths) as other:
        assert other.take()
        assert other.take()  # it is ours already
        done = machine.run("sync")
        assert done.code == 0
        assert done.text.startswith("Another program")
        assert json.loads(machine.run("sync", "--json").out)["messages"] == 1
    assert machine.remote.asked == []
    assert synced(machine)["messages"] == 2


def test_a_lock_ends_with_its_program(machine: Machine) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from e2email_client.lock import SyncLock; from e2email_client.paths import AccountPaths\n"
        "lock = SyncLock(AccountPaths(Path(sys.argv[1])))\n"
        "print(lock.take(), flush=True); time.sleep(60)\n"
    )
    folder = str(machine.unlocked.paths.folder)
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"True\n"
        with SyncLock(machine.unlocked.paths) as lock:
            assert not lock.take()
            other.kill()
            other.wait()
            assert lock.take()
    assert machine.unlocked.paths.lock.stat().st_mode & 0o777 == 0o600


def test_offline(machine: Machine) -> None:
    machine.deliver(MAIL)
    synced(machine)
    machine.remote.fail = Offline("The server was not reached.")
    done = machine.run("sync")
    assert (done.code, done.out, done.err) == (6, b"", "e2email: The server was not reached.\n")
    assert "one" in machine.run("list").text


def test_a_connection_that_breaks_loses_nothing(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)

    def break_off() -> None:
        raise Offline("The connection broke.")

    machine.remote.before_bodies = break_off
    assert machine.run("sync").code == 6
    assert len(json.loads(machine.run("list", "--json").out)["messages"]) == 2
    machine.remote.before_bodies = lambda: None
    assert synced(machine)["opened"] == 2


def test_interrupted(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    machine.remote.before_bodies = lambda: os.kill(os.getpid(), signal.SIGINT)
    done = machine.run("sync")
    assert (done.code, done.out) == (130, b"")
    machine.remote.before_bodies = lambda: None
    assert synced(machine)["opened"] == 2


def test_mail_that_does_not_open_this_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.deliver(MAIL)
    synced(machine, "--no-bodies")
    with monkeypatch.context() as patch:
        died = lambda _, messages, *__: (OpenFailed(final=False) for _ in messages)  # noqa: E731
        patch.setattr("e2email_crypto.open.OpenPool.open_many", died)
        done = machine.run("sync")
    assert done.code == 11
    assert "1 messages could not be opened this time" in done.err
    assert synced(machine)["opened"] == 1


def test_bars_are_for_terminals(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    machine.deliver(MAIL, mailbox="evil\x1b]52;c;eA==\x07\u202egnp")
    assert machine.run("sync", terminal=False).err == ""
    machine.remote.boxes["INBOX"].uidvalidity += 1
    machine.remote.boxes["evil\x1b]52;c;eA==\x07\u202egnp"].uidvalidity += 1
    bars = machine.run("sync", terminal=True).err
    assert "INBOX" in bars
    assert "1/1" in bars
    assert "]52" in bars
    assert "\x1b]" not in bars
    assert "\u202e" not in bars


def test_the_real_passphrase_is_asked_for(machine: Machine) -> None:
    wrong = machine.home.parent / "wrong"
    wrong.write_text("not the passphrase\n")

    def sync(file: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "e2email_client", "sync", "--home", str(machine.home)]
        return subprocess.run(
            [*command, "--no-keyring", "--passphrase-file", str(file)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    done = sync(wrong)
    assert (done.returncode, done.stderr) == (4, "e2email: The passphrase does not fit.\n")
    done = sync(machine.passphrase)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.count("\n") == 1
