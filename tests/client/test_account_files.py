"""Homes, account.toml and the files beside it: chosen, checked, replaced whole."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_client import config, files
from e2email_client.config import Settings
from e2email_client.failure import Alarm, LocalFault, NotSetUp
from e2email_client.files import private_folder, read_private, write_private
from e2email_client.paths import Home, find_home

SETTINGS = Settings(
    address="alice@example.test",
    server_url="https://mail.example.test:443",
    server_name="mail.example.test",
    imaps_port=993,
    imap_port=0,
    smtps_port=465,
    smtp_port=0,
    arrival_key="00" * 32,
    vault_version=3,
    statement_sequence=2,
    statement_digest="11" * 32,
    own_ca=True,
)


def set_up(home: Home, settings: Settings = SETTINGS) -> None:
    paths = home.account(settings.address)
    private_folder(paths.folder)
    config.save(paths, settings)


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2EMAIL_HOME", str(tmp_path / "by variable"))
    assert find_home().root == tmp_path / "by variable"
    assert find_home(str(tmp_path / "by option")).root == tmp_path / "by option"
    monkeypatch.delenv("E2EMAIL_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_home().root.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    "address", ["../../etc@x", "/etc/passwd@x", ".@.", "a%2fb@x", "é@x", "a\0@x"]
)
def test_no_address_leaves_the_folder(tmp_path: Path, address: str) -> None:
    folder = Home(tmp_path).account(address).folder
    assert folder.parent == tmp_path / "accounts"
    assert folder.name not in {".", ".."}
    folder.mkdir(parents=True)


def test_settings_round_trip(tmp_path: Path) -> None:
    home = Home(tmp_path)
    set_up(home)
    assert config.load(home.account(SETTINGS.address)) == SETTINGS
    odd = replace(SETTINGS, server_name='quote " back \\ ü \u2028')
    assert Settings.decode(odd.encode(), "x") == odd


BROKEN = {
    "no TOML": (b"format = ", "not a TOML file"),
    "not UTF-8": (b"\xff", "not a TOML file"),
    "no format": (b"", "format"),
    "newer format": (SETTINGS.encode().replace(b"format = 2", b"format = 3"), "format"),
    "a number as text": (
        SETTINGS.encode().replace(b"imaps_port = 993", b'imaps_port = "993"'),
        "imaps_port",
    ),
    "a key missing": (SETTINGS.encode().replace(b"own_ca = true\n", b""), "own_ca"),
    "a key too many": (SETTINGS.encode() + b"own_cat = true\n", "own_cat"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_settings_name_file_and_key(tmp_path: Path, name: str) -> None:
    octets, word = BROKEN[name]
    home = Home(tmp_path)
    set_up(home)
    path = home.account(SETTINGS.address).settings
    path.write_bytes(octets)
    with pytest.raises(LocalFault) as caught:
        config.choose(home, None)
    assert str(path) in str(caught.value)
    assert word in str(caught.value)


def test_counters_do_not_go_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    set_up(home)
    paths = home.account(SETTINGS.address)
    for older in (
        replace(SETTINGS, vault_version=2, statement_sequence=3),
        replace(SETTINGS, vault_version=4, statement_sequence=1),
    ):
        with pytest.raises(Alarm):
            config.save(paths, older)
    config.save(paths, replace(SETTINGS, vault_version=4))


def test_which_account(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(NotSetUp, match="e2email setup"):
        config.choose(home, None)
    set_up(home)
    (home.accounts / ".new-left-over").mkdir()
    assert config.choose(home, None) == home.account(SETTINGS.address)
    assert config.choose(home, "ALICE@example.test") == home.account(SETTINGS.address)
    with pytest.raises(NotSetUp, match="bob@example"):
        config.choose(home, "bob@example.test")
    set_up(home, replace(SETTINGS, address="bob@example.test"))
    with pytest.raises(NotSetUp, match=r"alice@\S+, bob@"):
        config.choose(home, None)


def test_files_are_private_from_the_first_moment(tmp_path: Path) -> None:
    os.umask(0)
    try:
        private_folder(tmp_path / "a")
        write_private(tmp_path / "a" / "file", b"content")
    finally:
        os.umask(0o022)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "file").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "a") == ["file"]


def test_a_folder_that_is_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    private_folder(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(LocalFault, match="No space left"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILE_CAP", 10)
    (tmp_path / "file").write_bytes(b"x" * 11)
    with pytest.raises(LocalFault, match="too large"):
        read_private(tmp_path / "file")


def test_what_another_machine_is_told_of_the_server() -> None:
    server = ("--server", "https://mail.example.org:8443")
    usual = replace(SETTINGS, server_url=server[1], server_name="mail.example.org", own_ca=False)
    assert usual.options == server
    moved = replace(usual, server_name="example.org", own_ca=True)
    assert moved.options == (*server, "--server-name", "example.org", "--ca", "FILE")
