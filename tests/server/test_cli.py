"""The command line and a running server, from outside: files, signals, exit codes."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2email_server import setup
from e2email_server.datadir import load_keys
from e2email_server.main import cli
from e2email_server.store.disk import FreeSpace
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.sql import open_store
from support.residents import resident

SERVER = [sys.executable, "-m", "e2email_server"]
SECONDS = 30.0


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*SERVER, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@dataclass
class Running:
    folder: Path
    process: subprocess.Popen[str]
    ports: dict[str, list[tuple[str, int]]]

    @property
    def config(self) -> Path:
        return self.folder / "server.toml"

    def port(self, protocol: str) -> int:
        return self.ports[protocol][0][1]


def start(folder: Path) -> Running:
    """A server whose ports come over a descriptor."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [*SERVER, "run", "-c", str(folder / "server.toml"), "--ready-fd", str(write)],
        pass_fds=[write],
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    with os.fdopen(read) as file:
        line = file.readline()
    if not line:
        pytest.fail(process.communicate()[1])
    return Running(folder, process, json.loads(line))


def stop(server: Running) -> str:
    """End it politely; what it logged."""
    server.process.send_signal(signal.SIGTERM)
    log = server.process.communicate(timeout=SECONDS)[1]
    assert server.process.returncode == 0, log
    return log


def set_free_space(folder: Path) -> None:
    """A test must not depend on how full the machine is."""
    path = folder / "server.toml"
    floors = "[limits]\nfree_percent = 0\nfree_space = 0\n"
    path.write_text(path.read_text().replace("[limits]\n", floors))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    call("init", "--dir", folder, "--loopback").check_returncode()
    set_free_space(folder)
    serve_pop3(folder / "server.toml")
    running = start(folder)
    yield running
    if running.process.poll() is None:
        stop(running)


def serve_pop3(config: Path) -> None:
    """And hide a capability of one listener, and compress it, by uncommenting what init wrote."""
    text = config.read_text()
    for line, instead in (
        ('# pop3 = ["0.0.0.0:110", "[::]:110"]', 'pop3 = "127.0.0.1:0"'),
        ('# pop3s = ["0.0.0.0:995", "[::]:995"]', 'pop3s = "127.0.0.1:0"'),
        ('# imaps = ["QRESYNC"]', 'imaps = ["SASL-IR"]'),
        ("# imaps = false", "imaps = true"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, instead)
    config.write_text(text)


def test_version_and_help() -> None:
    assert call("--version").stdout.startswith("e2email-server ")
    assert "init" in call("--help").stdout


def test_init_makes_everything_for_the_owner_alone(tmp_path: Path) -> None:
    done = call("init", "--dir", tmp_path / "new", "--domain", "Example.ORG")
    assert done.returncode == 0, done.stderr
    made = list((tmp_path / "new").rglob("*"))
    public = {"ca.crt", "server.crt"}
    for path in made:
        wanted = 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 == wanted or path.name in public, path
    assert {"arrival.key", "mac.key", "token.key", "server.key", "server.toml"} <= {
        path.name for path in made
    }
    assert 'hostname = "mail.example.org"' in (tmp_path / "new" / "server.toml").read_text()


def test_init_changes_nothing_that_is_there(tmp_path: Path) -> None:
    call("init", "--dir", tmp_path).check_returncode()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = call("init", "--dir", tmp_path)
    assert again.returncode == 1
    assert (
        again.stderr == f"e2email-server: {tmp_path}: has a server already; init changes nothing\n"
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_broken_config_ends_at_once_without_a_traceback() -> None:
    path = Path(__file__).parent / "bad_configs" / "unknown_key.toml"
    done = call("run", "-c", path)
    assert done.returncode == 1
    assert done.stderr == f"e2email-server: {path}: hostnam: unknown key; did you mean hostname?\n"


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ("data/tls/server.crt", "tls.certificate: "),
        ("data/tls/server.key", "tls.key: "),
        ("data/keys/mac.key", "mac.key: No such file or directory; run e2email-server init first"),
    ],
)
def test_what_run_misses_is_one_line(tmp_path: Path, broken: str, complaint: str) -> None:
    call("init", "--dir", tmp_path, "--loopback").check_returncode()
    (tmp_path / broken).unlink()
    done = call("run", "-c", tmp_path / "server.toml")
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_certificate_of_another_key_is_one_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        call("init", "--dir", tmp_path / name, "--loopback").check_returncode()
    (tmp_path / "b/data/tls/server.key").replace(tmp_path / "a/data/tls/server.key")
    done = call("run", "-c", tmp_path / "a/server.toml")
    assert done.returncode == 1
    assert "tls.certificate: " in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    call("init", "--dir", tmp_path, "--loopback").check_returncode()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "server.toml"
        config.write_text(
            config.read_text().replace('smtp = "127.0.0.1:0"', f'smtp = "127.0.0.1:{port}"')
        )
        done = call("run", "-c", config)
    assert done.returncode == 1
    assert f"listen.smtp: 127.0.0.1:{port}: " in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_listeners_answer(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port("smtp")), SECONDS) as connection:
        assert connection.recv(100).startswith(b"220 mail.example.test ")
    authority = ssl.create_default_context(cafile=server.folder / "data/tls/ca.crt")
    for name in ("localhost", "mail.example.test", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", server.port("https")), SECONDS) as plain,
            authority.wrap_socket(plain, server_hostname=name) as connection,
        ):
            assert connection.version() in {"TLSv1.2", "TLSv1.3"}


def test_mail_programs_are_greeted(server: Running) -> None:
    authority = ssl.create_default_context(cafile=server.folder / "data/tls/ca.crt")
    said = {}
    for name in ("imap", "imaps", "pop3", "pop3s"):
        plain = socket.create_connection(("127.0.0.1", server.port(name)), SECONDS)
        secure = (
            authority.wrap_socket(plain, server_hostname="localhost") if name[-1] == "s" else plain
        )
        with secure:
            said[name] = secure.recv(1000)
    assert b" SASL-IR " in said["imap"]
    assert b"[CAPABILITY IMAP4rev1 " in said["imaps"]
    assert b"SASL-IR" not in said["imaps"]
    assert said["pop3"] == said["pop3s"] == b"+OK ready\r\n"


def test_the_own_authority_speaks_for_its_names_only(server: Running) -> None:
    authority = ssl.create_default_context(cafile=server.folder / "data/tls/ca.crt")
    with (
        socket.create_connection(("127.0.0.1", server.port("https")), SECONDS) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        authority.wrap_socket(plain, server_hostname="bank.example")


def test_an_invite_goes_through_the_running_server(server: Running) -> None:
    first = call("invite", "-c", server.config, "Alice@Example.TEST")
    second = call("invite", "-c", server.config, "alice@example.test")
    assert first.stdout.startswith("e2i_")
    assert first.stdout != second.stdout
    held = (server.folder / "data").rglob("*")
    token = first.stdout.strip().encode()
    assert not any(token in path.read_bytes() for path in held if path.is_file())


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("alice@example.org", "mail for alice@example.org is not ours"),
        ("alice", "not a mail address"),
    ],
)
def test_an_invite_that_cannot_be(server: Running, address: str, complaint: str) -> None:
    done = call("invite", "-c", server.config, address)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_users_are_listed(server: Running) -> None:
    assert call("user", "list", "-c", server.config).stdout == ""
    assert json.loads(call("user", "list", "--json", "-c", server.config).stdout) == []


def inhabited(folder: Path) -> Path:
    """A server that nobody runs, and alice on it, whose alias is in no settings file."""
    setup.make(folder, "example.test", "mail.example.test", loopback=True)
    set_free_space(folder)
    alice = resident("alice@example.test")
    account = alice.but(addresses=(alice.address, "sales@example.test")).account

    async def register() -> None:
        macs = RowMacs(load_keys(folder / "data").mac)
        store = await open_store(folder / "data", macs, FreeSpace(folder, 0, 0))
        await store.register(account, None)
        await store.close()

    asyncio.run(register())
    return folder / "server.toml"


def inside(*arguments: str | Path) -> tuple[str, str]:
    """As `call`, in this process: what it prints, or the fault in one line."""
    result = CliRunner().invoke(cli, [str(one) for one in arguments])
    return result.stdout, str(result.exception or "")


def test_a_user_is_shown(tmp_path: Path) -> None:
    config = inhabited(tmp_path)
    fingerprint = resident("alice@example.test").identity.fingerprint
    printed, fault = inside("user", "show", "-c", config, "Alice@example.test")
    assert not fault
    lines = printed.splitlines()
    assert f"key          {fingerprint}  revoked: no  expires: never" in lines
    assert "alias        sales@example.test  leads elsewhere now" in lines
    assert "key history  1 entries, forced: none" in lines
    found = json.loads(inside("user", "show", "--json", "-c", config, "alice@example.test")[0])
    assert found["custody"] == "paranoid"
    assert not found["recovery"]
    nobody = inside("user", "show", "-c", config, "nobody@example.test")
    assert nobody == ("", "no such account")


def test_an_account_is_begun_anew_only_where_it_is_said(tmp_path: Path) -> None:
    config = inhabited(tmp_path)
    printed, fault = inside("invite", "-c", config, "alice@example.test")
    assert not printed
    assert "--replace" in fault
    assert inside("invite", "--replace", "-c", config, "alice@example.test")[0][:4] == "e2i_"
    nobody = inside("invite", "--replace", "-c", config, "nobody@example.test")
    assert nobody == ("", "no such account")


def test_an_address_that_leads_elsewhere_is_told_at_start_and_when_settings_change(
    tmp_path: Path,
) -> None:
    config = inhabited(tmp_path)
    before = config.read_text()
    config.write_text(
        before.replace("[aliases]\n", '[aliases]\n"sales@example.test" = "alice@example.test"\n')
    )
    running = start(tmp_path)
    shown = lambda: call("user", "show", "-c", config, "alice@example.test").stdout  # noqa: E731
    assert "sales@example.test\n" in shown()
    config.write_text(before)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: "leads elsewhere now" in shown())
    log = stop(running)
    assert log.count("leads elsewhere") == 1
    assert "sales@example.test of the statement of alice@example.test" in log


def test_one_process_writes(server: Running) -> None:
    done = call("run", "-c", server.config)
    assert done.returncode == 1
    assert done.stderr.endswith("/data: in use by another e2email-server\n")


def test_the_admin_socket_is_the_owners(server: Running) -> None:
    assert (server.folder / "data/admin.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_is_hardened(server: Running) -> None:
    proc = Path(f"/proc/{server.process.pid}")
    core = next(line for line in (proc / "limits").read_text().splitlines() if "core" in line)
    assert core.split()[4:6] == ["0", "0"]
    umask = next(line for line in (proc / "status").read_text().splitlines() if "Umask" in line)
    assert umask.split()[1] == "0077"


def test_without_a_server_the_command_does_it_itself(tmp_path: Path) -> None:
    call("init", "--dir", tmp_path, "--loopback").check_returncode()
    done = call("invite", "-c", tmp_path / "server.toml", "alice@example.test")
    assert done.stdout.startswith("e2i_"), done.stderr


def test_hangup_reads_again_and_term_stops(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)  # longer than the name of a Unix socket may be
    call("init", "--dir", folder, "--loopback").check_returncode()
    set_free_space(folder)
    running = start(folder)
    config = running.config
    good = config.read_text()
    config.write_text(good.replace('["example.test"]', '["example.test", "example.org"]'))
    running.process.send_signal(signal.SIGHUP)
    until(lambda: b"not taken" not in rcpt(running, "bob@example.org"))
    config.write_text("broken")
    running.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert b"not taken" not in rcpt(running, "bob@example.org")
    assert call("user", "list", "-c", config).returncode == 1
    config.write_text(good)
    assert call("user", "list", "-c", config).returncode == 0
    log = stop(running)
    assert "settings not read again" in log
    assert not (folder / "data/admin.sock").exists()


def test_a_killed_server_starts_again(tmp_path: Path) -> None:
    call("init", "--dir", tmp_path, "--loopback").check_returncode()
    set_free_space(tmp_path)
    running = start(tmp_path)
    running.process.kill()
    running.process.communicate()
    assert (tmp_path / "data/admin.sock").exists()
    again = start(tmp_path)
    assert call("user", "list", "-c", again.config).returncode == 0
    stop(again)


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    call("init", "--dir", tmp_path, "--loopback").check_returncode()
    config = tmp_path / "server.toml"
    call("user", "list", "-c", config).check_returncode()
    with sqlite3.connect(tmp_path / "data/mail.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    done = call("run", "-c", config)
    assert done.returncode == 1
    assert "made by a newer e2email-server" in done.stderr
    assert done.stderr.count("\n") == 1


def test_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from e2email_server import main

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == "e2email-server runs on Linux and macOS, not on Windows."


def rcpt(server: Running, address: str) -> bytes:
    """The reply to RCPT TO this address."""
    with socket.create_connection(("127.0.0.1", server.port("smtp")), SECONDS) as connection:
        file = connection.makefile("rwb")
        file.readline()
        for command in (b"HELO x", b"MAIL FROM:<>", b"RCPT TO:<" + address.encode() + b">"):
            file.write(command + b"\r\n")
            file.flush()
            reply = file.readline()
        return reply


def until(condition: Callable[[], bool]) -> None:
    """Wait for another process; the limit only ends a test that fails."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
