"""A backup file on the disk: whole or not there, and what is wrong with one is said."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from e2email_client import backup_file, backups, config
from e2email_client.backup_main import e2email_backup
from e2email_client.failure import (
    Alarm,
    ClientError,
    Incomplete,
    LocalFault,
    NoSecret,
    NotThere,
    Offline,
    WrongSecret,
)
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_client.unlock import Unlocked
from e2email_crypto.backup import Mail
from support import account_server
from support.account_server import PASSPHRASE
from support.cli_output import SPEC
from support.machine import Machine

NOW = 1_795_334_400
MAILS = [
    Mail("INBOX", ("\\Seen",), NOW, bytes(16), b"Subject: one\r\n\r\nText\r\n"),
    Mail("Archive/\u00fc", (), NOW + 1, bytes(15) + b"\1", b"x" * 200_000),
]


@pytest.fixture
def unlocked(machine: Machine) -> Unlocked:
    return machine.unlocked


def create(unlocked: Unlocked, path: Path, mail=None, **options: bool) -> int:
    with open_stores(unlocked) as stores:
        state = SharedState(unlocked, stores.state)
        return backups.create(unlocked, state, path, NOW, mail, **options)


def secret(unlocked: Unlocked) -> bytes:
    assert unlocked.vault.recovery is not None
    return unlocked.vault.recovery


def test_it_opens_by_words_and_by_the_passphrase(unlocked: Unlocked, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    size = create(unlocked, path, MAILS)
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (size, 0o600)
    for found in (
        backups.open_by_words(path, secret(unlocked)),
        backups.open_by_passphrase(path, lambda _: PASSPHRASE),
    ):
        assert found.vault == unlocked.vault
        assert found.key == unlocked.key
        assert found.content.revocations == (unlocked.vault.identities[0].revocation,)
        assert list(found.opened.mail or ()) == MAILS
    assert os.listdir(tmp_path).count("backup") == 1
    assert not list(tmp_path.glob(".backup*"))


def test_its_keys_are_proved_to_open_what_is_sealed(unlocked: Unlocked, tmp_path: Path) -> None:
    create(unlocked, tmp_path / "backup")
    found = backups.open_by_words(tmp_path / "backup", secret(unlocked))
    now = int(time.time())
    assert backups.prove(found, now) == {}
    assert list(backups.prove(found, now - 10**8).values()) == ["not-yet-valid"]
    identity = found.vault.identities[0]
    other = replace(identity, certificate=account_server.identity("bob@example.test").cert)
    with pytest.raises(Alarm, match="does not open what is sealed to it"):
        backups.prove(replace(found, vault=replace(found.vault, identities=(other,))), now)


def test_a_file_for_the_words_only(unlocked: Unlocked, tmp_path: Path) -> None:
    create(unlocked, tmp_path / "backup", words_only=True)
    with pytest.raises(NotThere, match="recovery words only"):
        backups.open_by_passphrase(tmp_path / "backup", lambda _: PASSPHRASE)


def test_words_that_may_not_be_in_force_are_not_written(unlocked: Unlocked, tmp_path) -> None:
    for secret, fault, said in (
        (bytes(16), LocalFault, "cut off"),
        (None, NotThere, "no recovery words"),
    ):
        half = replace(unlocked, vault=replace(unlocked.vault, recovery=secret))
        with pytest.raises(fault, match=said):
            create(half, tmp_path / "backup")
    assert not list(tmp_path.glob("*backup*"))


def test_a_wrong_secret_is_not_called_damage(unlocked: Unlocked, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    create(unlocked, path)
    with pytest.raises(WrongSecret, match="not those of this backup"):
        backups.open_by_words(path, bytes(16))
    with pytest.raises(WrongSecret, match="when this backup was made"):
        backups.open_by_passphrase(path, lambda _: "some other passphrase")


def test_every_damage_is_found(unlocked: Unlocked, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    create(unlocked, path, MAILS[:1])
    whole = path.read_bytes()
    damaged = [whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
               for at in (*range(0, 600, 7), *range(600, len(whole), 61))]  # fmt: skip
    damaged += [whole[:at] for at in range(0, len(whole), 211)] + [whole + b"\0"]
    for octets in damaged:
        path.write_bytes(octets)
        with pytest.raises(Alarm):
            backups.check_whole(path)
        with pytest.raises(Alarm):
            backups.read_all(backups.open_by_words(path, secret(unlocked)))


def test_a_file_of_another_version_is_named_so(unlocked: Unlocked, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    create(unlocked, path)
    octets = bytearray(path.read_bytes())
    octets[9] += 1
    path.write_bytes(octets)
    with pytest.raises(Alarm, match="another version of this program"):
        backups.check_whole(path)


def test_nothing_is_replaced_unasked(unlocked: Unlocked, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_bytes(b"something else")
    with pytest.raises(LocalFault, match="--force"):
        create(unlocked, path)
    assert path.read_bytes() == b"something else"
    create(unlocked, path, force=True)
    backups.check_whole(path)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def read_error(*_: object) -> None:
    raise Alarm("The backup does not read back as it was written.")


def broken_mail() -> Iterator[Mail]:
    yield MAILS[0]
    raise LocalFault("the store is gone")


@pytest.mark.parametrize(
    ("where", "what"),
    [("os.fsync", full), ("e2email_client.backups.read_all", read_error), ("", broken_mail)],
)
def test_what_goes_wrong_leaves_the_old_file_and_no_other(
    unlocked: Unlocked, tmp_path: Path, monkeypatch, where: str, what: Callable
) -> None:
    path = tmp_path / "stick" / "backup"
    path.parent.mkdir()
    create(unlocked, path)
    before = path.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(ClientError):
        if where:
            patch.setattr(where, what)
        create(unlocked, path, MAILS if where else what(), force=True)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["backup"]


_WRITER = """
import os, resource, signal, sys
from pathlib import Path
from e2email_client import backup_file
path, steps = Path(sys.argv[1]), int(sys.argv[2])
def step():
    global steps
    steps -= 1
    if steps < 0:
        os.kill(os.getpid(), signal.SIGKILL)
def made():
    for number in range(3):
        step()
        yield b"new" * 1000
    step()
def check(new):
    step()
backup_file.put(path, made(), check, force=True)
"""


@pytest.mark.parametrize("steps", range(5))
def test_killed_at_any_step_the_old_file_stands(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "backup"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", _WRITER, str(path), str(steps)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    # the next one takes over what was left
    backup_file.put(path, [b"next"], lambda _: None, force=True)
    assert path.read_bytes() == b"next"
    assert [one.name for one in tmp_path.iterdir()] == ["backup"]


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A limit of the system on the size of files: writes fail in the middle."""
    path = tmp_path / "backup"
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "from e2email_client import backup_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: backup_file.put(Path(sys.argv[1]), [b'x' * 4096] * 8, print, force=False)\n"
        "except Exception as fault: print(type(fault).__name__, fault)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"LocalFault {path} cannot be written")
    assert list(tmp_path.iterdir()) == []


def test_two_at_a_time_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "backup"

    def made() -> Iterator[bytes]:
        yield b"one"
        with pytest.raises(LocalFault, match="Another program"):
            backup_file.put(path, [b"two"], lambda _: None, force=False)
        yield b"more"

    backup_file.put(path, made(), lambda _: None, force=False)
    assert path.read_bytes() == b"onemore"


def run(machine: Machine, *arguments: object):
    options = ["--home", machine.home, "--passphrase-file", machine.passphrase, "--json"]
    made = CliRunner().invoke(e2email_backup, [str(one) for one in (*arguments, *options)])
    return made, json.loads(made.stdout) if made.stdout else None


def test_create_with_mail_fetches_what_is_not_here(machine: Machine, tmp_path: Path) -> None:
    machine.deliver(b"Subject: one\r\n\r\nText\r\n", b"Subject: two\r\n\r\nMore\r\n")
    _, sealed = machine.deliver_unreadable()
    path = tmp_path / "backup"
    made, said = run(machine, "create", "--mail", path)
    assert made.exit_code == 0, made.output
    assert (said["mails"], said["missing"]) == (3, 0)
    found = backups.open_by_words(path, secret(machine.unlocked))
    mails = list(found.opened.mail or ())
    assert [one.octets.partition(b"\r\n\r\n")[2] for one in mails[:2]] == [
        b"Text\r\n",
        b"More\r\n",
    ]
    assert (mails[2].octets, mails[2].flags) == (sealed, ("$e2email-sealed",))
    assert [one.record_id[-1] for one in mails] == [1, 2, 3]
    _, verified = run(machine, "verify", path)
    assert (verified["opened"], verified["mails"], verified["days"]) == (True, 3, 0)


def test_mail_that_cannot_be_had_is_missing_and_said(machine: Machine, tmp_path: Path) -> None:
    machine.deliver(b"Subject: one\r\n\r\nText\r\n")
    assert machine.run("sync", "--no-bodies").code == 0
    machine.remote.fail = Offline("The server is not reachable.")
    made, said = run(machine, "create", "--mail", tmp_path / "backup")
    assert isinstance(made.exception, Incomplete)
    assert "1 mails are not in it. The server is not reachable." in str(made.exception)
    assert (said["mails"], said["missing"]) == (0, 1)
    backups.check_whole(tmp_path / "backup")


def test_verify_says_that_keys_changed(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    create(machine.unlocked, path)
    paths = machine.unlocked.paths
    config.save(paths, replace(config.load(paths), vault_version=9))
    options = ["--home", str(machine.home), "--passphrase-file", str(machine.passphrase)]
    said = CliRunner().invoke(e2email_backup, ["verify", str(path), *options]).stdout
    assert "The keys CHANGED since: make a new backup." in said
    without = CliRunner().invoke(e2email_backup, ["verify", str(path)]).stdout
    assert "The file is whole: alice@example.test at mail.example.test" in without
    assert "Whether it opens" in without


def test_a_backup_ends_the_reminder(machine: Machine, tmp_path: Path) -> None:
    run(machine, "create", tmp_path / "backup")
    said = json.loads(machine.run("status", "--offline", "--json").out)["reminders"]
    assert [one["kind"] for one in said] == ["paper", "drill"]
    run(machine, "paper", "--text", tmp_path / "sheet", "--pdf", tmp_path / "pdf")
    run(machine, "remind", "--drill", "0")
    assert json.loads(machine.run("status", "--offline", "--json").out)["reminders"] == []
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("sheet", "pdf")} == {0o600}


def test_no_words_where_there_is_no_terminal(machine: Machine) -> None:
    for command in (["paper"], ["split", "2", "3"]):
        made, said = run(machine, *command)
        assert isinstance(made.exception, NoSecret)
        assert said is None


def test_every_command_and_option_is_in_the_specification() -> None:
    text = SPEC.read_text(encoding="utf-8")
    context = click.Context(e2email_backup)
    for name in e2email_backup.list_commands(context):
        command = e2email_backup.get_command(context, name)
        assert command is not None
        assert f"\n### `e2email-backup {name}" in text
        for option in command.params:
            for word in option.opts:
                assert not word.startswith("--") or f"`{word}" in text, f"{name} {word}"


def documented(name: str) -> set[str]:
    said = SPEC.read_text(encoding="utf-8").split(f"\n### `e2email-backup {name}", 1)[1]
    said = said.split("\n### ", 1)[0].split("\nJSON:", 1)[1]
    cells = re.findall(r"^\| (`[^|]*)\|", said, re.MULTILINE)
    names = {one for cell in cells for one in re.findall(r"`([a-z_]+)`", cell)}
    return names | set(re.findall(r'"([a-z_]+)"[,}\s]', said.split("\n\n|")[0]))


def test_the_json_is_as_documented(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for name, arguments in (
        ("create", [file]),
        ("verify", [file]),
        ("paper", ["--pdf", tmp_path / "pdf"]),
        ("split", [2, 3, tmp_path / "cards"]),
        ("remind", []),
    ):
        _, said = run(machine, name, *arguments)
        assert said.keys() == documented(name), name
