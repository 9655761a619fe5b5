"""`e2email status` and `e2email repair`: what they say, and what they do and leave alone."""

import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_client import standing
from e2email_client.cli._options import Access
from e2email_client.failure import Alarm, Offline
from e2email_client.history import History
from e2email_client.local import contents, mailboxes, notices
from e2email_client.local.journal import Change, Place
from e2email_client.local.notices import Kind
from e2email_client.lock import SyncLock
from e2email_client.stores import Stores, open_journal, open_stores
from e2email_crypto import keyedit
from support.machine import Machine

MAIL = b"From: bob@example.net\r\nSubject: one\r\n\r\nhello\r\n"
OTHER = b"From: carol@example.net\r\nSubject: two\r\n\r\nbye\r\n"


@pytest.fixture(autouse=True)
def reachable(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_):
        if machine.remote.fail:
            raise machine.remote.fail
        return machine.remote, None

    monkeypatch.setattr(standing, "connect", connect)


def answered(machine: Machine, *command: str) -> dict:
    done = machine.run(*command, "--json")
    assert done.code == 0, done
    return json.loads(done.out)


def stores(machine: Machine):
    return open_stores(machine.unlocked)


def test_before_the_first_sync(machine: Machine) -> None:
    said = answered(machine, "status")
    assert (said["synced"], said["mailboxes"], said["notices"]) == (None, [], [])
    assert said["reachable"] is True
    assert "Last synced: never." in machine.run("status").text


def test_what_is_here(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    assert machine.run("sync", "--no-bodies").code == 0
    said = answered(machine, "status")
    (inbox, _) = said["mailboxes"]
    assert (inbox["messages"], inbox["listed"], inbox["opened"]) == (2, 2, 0)
    assert said["synced"] > 0
    assert said["syncing"] is None
    assert (said["waiting"], said["refused"], said["kept"]) == (0, [], 0)
    assert 0 < said["disk"]["cache"] <= said["disk"]["bound"] == 4096 * 1024 * 1024
    assert "2 messages (2 not here)" in machine.run("status", "--offline").text


def test_the_server_is_gone(machine: Machine) -> None:
    machine.remote.fail = Offline("The server was not reached.")
    said = answered(machine, "status")
    assert (said["reachable"], said["unreachable"]) == (False, "The server was not reached.")
    assert "The server was not reached." in machine.run("status").text
    assert answered(machine, "status", "--offline")["reachable"] is None


def test_an_own_key_that_is_revoked(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(machine, "status", "--offline")["key_revoked"] is False
    assert "revoked" not in machine.run("status", "--offline").text
    identity = machine.unlocked.vault.identities[0]
    revoked = keyedit.revoke(identity.tsk, keyedit.Reason.COMPROMISED, int(time.time()))
    after = replace(identity, tsk=revoked.tsk)
    vault = replace(machine.unlocked.vault, identities=(after,))
    with monkeypatch.context() as patch:
        patch.setattr(Access, "unlock", lambda _: replace(machine.unlocked, vault=vault))
        assert answered(machine, "status", "--offline")["key_revoked"] is True
        text = machine.run("status", "--offline").text
    assert "refused (550)" in text
    assert "e2email key new" in text


def test_who_syncs(machine: Machine) -> None:
    with SyncLock(machine.unlocked.paths) as lock:
        assert lock.take()
        assert "process" in answered(machine, "status")["syncing"]
        assert machine.run("repair").code == 9


def test_what_waits_and_what_never_came_there(machine: Machine) -> None:
    machine.deliver(MAIL)
    machine.run("sync")
    with stores(machine) as opened:
        _promise(machine, opened)
        _refuse(machine, opened)
        _promise(machine, opened)
    said = answered(machine, "status")
    assert (said["waiting"], len(said["refused"])) == (1, 1)
    text = machine.run("status").text
    assert "Changes that wait for the server: 1." in text
    assert "NOTICE" in text
    answered(machine, "status", "--acknowledge")
    said = answered(machine, "status")
    assert (said["waiting"], said["refused"], said["notices"]) == (1, [], [])


def test_what_was_removed_here_is_not_mail_that_the_server_lost(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    machine.run("sync")
    with stores(machine) as opened:
        box = mailboxes.named(opened.cache, "INBOX")
        open_journal(machine.unlocked, opened).delete(Place.of(box), [1])
        contents.remove(opened.cache, box.id, [1])
    said = answered(machine, "status", "--offline")
    assert (said["waiting"], said["kept"]) == (1, 0)


def _refuse(machine: Machine, opened: Stores) -> None:
    journal = open_journal(machine.unlocked, opened)
    journal.refuse(journal.pending(), "CANNOT")


def _promise(machine: Machine, opened: Stores) -> list[int]:
    box = mailboxes.named(opened.cache, "INBOX")
    change = Change((1,), frozenset({"\\Seen"}), frozenset())
    return open_journal(machine.unlocked, opened).flags(Place.of(box), [change])


def test_notices_are_shown_until_they_are_acknowledged(machine: Machine) -> None:
    with stores(machine) as opened:
        notices.put(opened.state, Kind.WENT_BACK, "INB\x1b]52;c;x\x07", "what happened")
    for _ in range(2):
        text = machine.run("status").text
        assert "NOTICE of " in text
        assert "what happened" in text
        assert "\x1b" not in text
    (one,) = answered(machine, "status", "--acknowledge")["notices"]
    assert (one["kind"], one["text"]) == ("went-back", "what happened")
    assert answered(machine, "status")["notices"] == []


def test_a_mailbox_that_went_back_is_said_by_sync(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    machine.run("sync")
    box = machine.remote.boxes["INBOX"]
    kept = box.stored.pop()
    box.uidnext -= 1
    done = machine.run("sync")
    assert "NOTICE: 1; e2email status shows what." in done.text
    said = answered(machine, "status")
    assert said["kept"] == 1
    folder = machine.home.parent / "saved"
    assert answered(machine, "repair", "--save", str(folder))["saved"] == 1
    (file,) = folder.iterdir()
    assert file.read_bytes().endswith(OTHER)
    assert file.stem == kept.email_id
    assert answered(machine, "status", "--acknowledge")["kept"] == 1
    machine.run("sync")
    assert answered(machine, "status")["kept"] == 0


@pytest.mark.parametrize(("before", "after"), [(None, 0o700), (0o755, 0o755)])
def test_the_folder_to_save_in_is_made_private_and_never_changed(
    machine: Machine, before: int | None, after: int
) -> None:
    """It may be the desktop, or one that others share."""
    machine.deliver(MAIL, OTHER)
    machine.run("sync")
    box = machine.remote.boxes["INBOX"]
    box.stored.pop()
    box.uidnext -= 1
    machine.run("sync")
    folder = machine.home.parent / "saved"
    if before is not None:
        folder.mkdir()
        folder.chmod(before)
    assert answered(machine, "repair", "--save", str(folder))["saved"] == 1
    assert stat.S_IMODE(folder.stat().st_mode) == after
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_to_repair(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER)
    machine.run("sync")
    machine.remote.asked.clear()
    said = answered(machine, "repair")
    (inbox, _) = said["mailboxes"]
    changes = {"added": 0, "removed": 0, "flags": 0, "renewed": False}
    assert inbox == {"mailbox": "INBOX", "messages": 2, **changes}
    assert (said["rebuilt"], said["fetched_again"], said["missing"]) == (False, 0, 0)
    assert "BODIES" not in machine.remote.asked
    assert "as on the server" in machine.run("repair").text


def test_what_differs_is_mended(machine: Machine) -> None:
    machine.deliver(MAIL, OTHER, MAIL, OTHER)
    machine.run("sync")
    machine.remote.boxes["INBOX"].stored.pop()
    with stores(machine) as opened, opened.cache.write() as writer:
        writer.execute("DELETE FROM message WHERE uid = 1")
        writer.execute("UPDATE message SET flags = 'x' WHERE uid = 2")
        writer.execute("DELETE FROM body WHERE mail_id = (SELECT mail_id FROM message WHERE uid=3)")
    said = answered(machine, "repair")
    (inbox, _) = said["mailboxes"]
    assert (inbox["messages"], inbox["added"], inbox["removed"], inbox["flags"]) == (3, 1, 1, 1)
    assert (said["fetched_again"], said["missing"]) == (1, 0)
    assert json.loads(machine.run("sync", "--json").out)["opened"] == 3


def test_rebuild_leaves_the_journal_alone(machine: Machine) -> None:
    machine.deliver(MAIL)
    machine.run("sync")
    with stores(machine) as opened:
        _promise(machine, opened)
        _refuse(machine, opened)
        before = opened.state.read("SELECT * FROM journal")
    machine.remote.asked.clear()
    assert answered(machine, "repair", "--rebuild")["rebuilt"] is True
    assert "BODIES" in machine.remote.asked
    with stores(machine) as opened:
        assert opened.state.read("SELECT * FROM journal") == before
    assert answered(machine, "status")["mailboxes"][0]["opened"] == 1


def test_rebuild_throws_nothing_away_that_is_only_here(machine: Machine) -> None:
    """The server went back in time, and the user was told that its mail is kept here."""
    machine.deliver(MAIL, OTHER)
    machine.run("sync")
    with stores(machine) as opened:
        notices.put(opened.state, Kind.WENT_BACK, "INBOX", "It went back.")
        contents.remove(opened.cache, mailboxes.named(opened.cache, "INBOX").id, [1])
    done = machine.run("repair", "--rebuild")
    assert done.code == 11
    assert "--save" in done.err
    assert answered(machine, "status", "--offline")["kept"] == 1
    folder = machine.home.parent / "saved"
    assert answered(machine, "repair", "--rebuild", "--save", str(folder))["rebuilt"] is True
    assert [path.read_bytes().endswith(MAIL) for path in folder.iterdir()] == [True]


def test_a_damaged_cache_is_made_anew(machine: Machine) -> None:
    machine.deliver(*[MAIL] * 30)
    machine.run("sync")
    with stores(machine) as opened:
        opened.cache.read("PRAGMA wal_checkpoint(TRUNCATE)")
    _damage(machine.unlocked.paths.cache_db)
    said = answered(machine, "repair")
    assert said["rebuilt"] is True
    assert said["cache_faults"]
    assert (said["missing"], said["mailboxes"][0]["messages"]) == (0, 30)


def test_a_damaged_state_is_an_alarm_and_left_as_it_is(machine: Machine) -> None:
    machine.deliver(MAIL)
    machine.run("sync")
    path = machine.unlocked.paths.state_db
    with stores(machine) as opened:
        opened.state.read("PRAGMA wal_checkpoint(TRUNCATE)")
    _damage(path)
    before = path.read_bytes()
    done = machine.run("repair", "--rebuild")
    assert done.code == 5
    assert path.read_bytes() == before
    assert machine.unlocked.paths.cache_db.exists()


def _damage(path: Path) -> None:
    """The last page."""
    octets = bytearray(path.read_bytes())
    octets[-2000:-1900] = bytes(100)
    path.write_bytes(octets)


def test_the_holder_is_not_always_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.touch()
    assert standing._holder(file) == "another program"


def test_another_key_history_is_a_notice(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(_: History) -> None:
        raise Alarm("The server gives another key history than this device has seen.")

    monkeypatch.setattr(History, "_refresh", another)
    machine.deliver(MAIL)
    for _ in range(2):
        assert machine.run("sync").code == 5
    (one,) = answered(machine, "status")["notices"]
    assert (one["kind"], one["mailbox"]) == ("history", "")
    assert "another key history" in machine.run("status").text
