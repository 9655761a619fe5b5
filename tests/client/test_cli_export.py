"""`e2email export`: exact octets, nothing overwritten, and what is missing is said."""

import json
import os
import signal
from pathlib import Path

import pytest

from e2email_client.export import MAX_NAME, folder_name
from e2email_client.failure import Offline
from e2email_client.notice import notice, sealed_original
from support import corpus, sealing
from support.cli_output import assert_harmless, documented, keys
from support.machine import Machine

NASTY = (
    b"From: Bob <bob@example.net>\r\nSubject: octets\r\n\r\n"
    b"nul \x00, bare \r cr, bare \n lf, high \xff\xfe\r\n.dot\r\nno end"
)
OTHER = b"Subject: other\r\n\r\nother\r\n"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def exported(machine: Machine, out: Path, *more: str) -> dict:
    done = machine.run("export", str(out), "--json", *more)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def synced(machine: Machine, *mails: bytes) -> Machine:
    machine.deliver(*mails)
    assert machine.run("sync").code == 0
    return machine


def test_exact_octets(machine: Machine, out: Path) -> None:
    machine.deliver(OTHER, mailbox="Archive")
    synced(machine, NASTY)
    answer = exported(machine, out)
    assert answer["written"] == 2
    assert files(out) == {
        "INBOX/1.eml": sealing.TRACE + NASTY,
        "Archive/1.eml": sealing.TRACE + OTHER,
    }
    received = out.parent / "received"
    exported(machine, received, "--received")
    assert files(received) == {"INBOX/1.eml": NASTY, "Archive/1.eml": OTHER}


def test_the_corpus_comes_back(machine: Machine, out: Path) -> None:
    mails = [octets for _, octets in corpus.messages()][::12]
    synced(machine, *mails)
    exported(machine, out, "--received")
    assert files(out) == {f"INBOX/{n}.eml": octets for n, octets in enumerate(mails, 1)}


def test_files_are_private(machine: Machine, out: Path) -> None:
    synced(machine, NASTY)
    exported(machine, out)
    assert (out / "INBOX" / "1.eml").stat().st_mode & 0o777 == 0o600
    assert (out / "INBOX").stat().st_mode & 0o777 == 0o700
    assert out.stat().st_mode & 0o777 == 0o700


def test_a_second_time_writes_what_is_new(machine: Machine, out: Path) -> None:
    synced(machine, NASTY)
    exported(machine, out)
    before = (out / "INBOX" / "1.eml").stat()
    synced(machine, OTHER)
    answer = exported(machine, out)
    assert (answer["written"], answer["same"]) == (1, 1)
    after = (out / "INBOX" / "1.eml").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_nothing_is_overwritten(machine: Machine, out: Path) -> None:
    synced(machine, NASTY, OTHER, OTHER, OTHER)
    folder = out / "INBOX"
    folder.mkdir(parents=True)
    target = out / "elsewhere"
    (folder / "1.eml").write_bytes(b"my own")
    (folder / "2.eml").symlink_to(target)
    (folder / "3.eml").mkdir()
    done = machine.run("export", str(out), "--json")
    assert done.code == 11
    assert "3 files hold something else and were left alone, first message 1 of INBOX" in done.err
    answer = json.loads(done.out)
    assert (answer["written"], answer["conflicts"]) == (1, 3)
    assert (folder / "1.eml").read_bytes() == b"my own"
    assert not target.exists()


def test_the_sealed_original_of_what_cannot_be_opened(machine: Machine, out: Path) -> None:
    uid, octets = machine.deliver_unreadable()
    synced(machine, NASTY)
    answer = exported(machine, out)
    assert (answer["written"], answer["unreadable"]) == (2, 1)
    assert files(out)[f"INBOX/{uid}.sealed.eml"] == octets
    assert exported(machine, out)["same"] == 2
    assert "1 can never be opened" in machine.run("export", str(out)).text


@pytest.mark.parametrize("octets", [b"", b"x" * 1000, bytes(range(256)) * 100])
def test_notices_give_back_the_original(octets: bytes) -> None:
    assert sealed_original(notice('filename="sealed.eml"\r\n\r\nAAAA', octets)) == octets


def test_what_is_missing_is_fetched(machine: Machine, out: Path) -> None:
    machine.deliver(NASTY, OTHER)
    machine.run("sync", "--no-bodies")
    assert exported(machine, out, "--received", "--uid", "2")["written"] == 1
    assert machine.remote.asked.count("BODIES") == 1
    assert exported(machine, out, "--received")["written"] == 1
    assert files(out)["INBOX/1.eml"] == NASTY


def test_offline_what_is_here_is_written(machine: Machine, out: Path) -> None:
    synced(machine, NASTY)
    machine.deliver(OTHER)
    machine.run("sync", "--no-bodies")
    machine.remote.fail = Offline("The server was not reached.")
    done = machine.run("export", str(out), "--json")
    assert done.code == 11
    assert done.err == (
        "e2email: 1 are missing, first message 2 of INBOX. The server was not reached.\n"
    )
    assert json.loads(done.out) | {"folder": ""} == {
        "folder": "", "written": 1, "same": 0, "conflicts": 0, "missing": 1, "unreadable": 0,
    }  # fmt: skip
    assert list(files(out)) == ["INBOX/1.eml"]


def test_gone_or_replaced_on_the_server(machine: Machine, out: Path) -> None:
    machine.deliver(NASTY, OTHER)
    machine.run("sync", "--no-bodies")
    machine.remote.boxes["INBOX"].stored.clear()
    assert machine.run("export", str(out)).code == 11
    machine.remote.boxes["INBOX"].uidvalidity += 1
    done = machine.run("export", str(out))
    assert (done.code, "replaced on the server" in done.err) == (11, True)


def test_interrupted(machine: Machine, out: Path) -> None:
    machine.deliver(NASTY, OTHER)
    machine.run("sync", "--no-bodies")
    machine.remote.before_bodies = lambda: os.kill(os.getpid(), signal.SIGINT)
    done = machine.run("export", str(out))
    assert (done.code, done.out) == (130, b"")
    machine.remote.before_bodies = lambda: None
    assert exported(machine, out)["written"] == 2
    assert len(files(out)) == 2


def test_only_what_is_named(machine: Machine, out: Path) -> None:
    for name in ("A", "B"):
        machine.deliver(NASTY, mailbox=name)
    synced(machine, NASTY, OTHER)
    exported(machine, out, "--mailbox", "A", "--mailbox", "inbox")
    assert sorted(files(out)) == ["A/1.eml", "INBOX/1.eml", "INBOX/2.eml"]
    assert machine.run("export", str(out), "--mailbox", "C").code == 10
    assert machine.run("export", str(out), "--uid", "9").code == 11
    twice = machine.run("export", str(out), "--uid", "1", "--mailbox", "A", "--mailbox", "B")
    assert twice.code == 2


def test_a_disk_that_says_no(machine: Machine, out: Path) -> None:
    synced(machine, NASTY)
    out.mkdir()
    (out / "INBOX").write_bytes(b"")
    done = machine.run("export", str(out))
    assert (done.code, done.out) == (9, b"")
    assert done.err.count("\n") == 1


def test_a_full_disk_leaves_no_half_file(
    machine: Machine, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced(machine, NASTY)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = machine.run("export", str(out))
    assert (done.code, "No space left" in done.err) == (9, True)
    assert files(out) == {}


NAMES = {
    "INBOX": "INBOX",
    "Archive/2024": "Archive%2F2024",
    "..": "%2E.",
    ".hidden": "%2Ehidden",
    "../../etc/passwd": "%2E.%2F..%2Fetc%2Fpasswd",
    "Entwürfe 日本": "Entwürfe 日本",
    "a%2Fb": "a%252Fb",
    "nul\x00esc\x1b": "nul%00esc%1B",
    "bidi\u202e": "bidi%E2%80%AE",
    "": "%",
    " ": "%20",
}


def test_folders_stay_in_their_place() -> None:
    assert {name: folder_name(name) for name in NAMES} == NAMES
    long = ["x" * 5000, "x" * 5001, "日" * 400, "." * 300]
    made = [folder_name(name) for name in long]
    assert len(set(made)) == len(long)
    assert all(len(name.encode()) <= MAX_NAME for name in made)


def test_hostile_mailbox_names(machine: Machine, out: Path) -> None:
    for name in ("../escape", "a\x1b]52;c;eA==\x07", "b\u202ecod"):
        machine.deliver(NASTY, mailbox=name)
    machine.run("sync", "--no-bodies")
    machine.remote.fail = Offline("The server was not reached.")
    done = machine.run("export", str(out), terminal=False)
    assert done.code == 11
    assert_harmless(done.err.encode())
    machine.remote.fail = None
    assert exported(machine, out)["written"] == 3
    assert not (out.parent / "escape").exists()
    assert all(path.count("/") == 1 for path in files(out))


def test_never_synced(machine: Machine, out: Path) -> None:
    assert machine.run("export", str(out)).code == 10
    assert not out.exists()


def test_json_is_as_documented(machine: Machine, out: Path) -> None:
    synced(machine, NASTY)
    assert keys(exported(machine, out)) == documented("export")
