"""`e2email-proxy run` for several accounts in one process, and a password for each program."""

import imaplib
import json
import os
import pty
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2email_client.proxy.tls import with_colons
from support.system import (
    PASSPHRASE,
    Proxy,
    Ran,
    Server,
    User,
    end,
    environment,
    eventually,
    literal,
    run,
)

MAIL = b"From: carol@example.net\r\nSubject: for %b\r\n\r\nhello %b\r\n"


@pytest.fixture(scope="module")
def owners(house: Server, tmp_path_factory) -> list[User]:
    """Two accounts in one home."""
    home = tmp_path_factory.mktemp("shared") / "home"
    made = [house.user(f"{name}@example.test", home) for name in ("olga", "paul")]
    for one in made:
        name = one.address.partition("@")[0].encode()
        house.deliver(MAIL % (name, name), one.address)
    shutil.copytree(home, home.parent / "quiet")  # no program has run there
    return made


@pytest.fixture
def machine(owners: list[User], tmp_path: Path) -> Path:
    """Another home with both accounts, where nothing runs."""
    return shutil.copytree(owners[0].home.parent / "quiet", tmp_path / "home")


@pytest.fixture(scope="module")
def both(owners: list[User]):
    with Both(owners[0]) as running:
        yield running


class Both(Proxy):
    """One process for all accounts of a home: a line of JSON for each."""

    def __enter__(self) -> "Both":
        super().__enter__()
        assert self._process.stdout is not None
        self.lines = [self.shown]
        self.lines.append(json.loads(self._process.stdout.readline()))
        return self

    def login(self, number: int, password: str = "") -> imaplib.IMAP4_SSL:
        told = self.lines[number]
        context = ssl.create_default_context(cafile=self.lines[0]["certificate"])
        client = imaplib.IMAP4_SSL("localhost", told["imaps"], ssl_context=context)
        client.login(told["address"], password or told["password"])
        return client


def ended(client: imaplib.IMAP4) -> bool:
    try:
        client.noop()
    except (imaplib.IMAP4.abort, OSError):
        return True
    return False


def test_each_reads_their_own(both: Both) -> None:
    assert [one["address"] for one in both.lines] == ["olga@example.test", "paul@example.test"]
    assert both.lines[0]["imaps"] == both.lines[1]["imaps"]
    assert both.lines[0]["fingerprint"] == both.lines[1]["fingerprint"]
    for number, name in enumerate((b"olga", b"paul")):
        with both.login(number) as client:
            assert eventually(lambda: client.select("INBOX") == ("OK", [b"1"]))
            octets = literal(client.uid("FETCH", "1", "(BODY.PEEK[])")[1])
            assert octets.endswith(MAIL % (name, name))
    with pytest.raises(imaplib.IMAP4.error):
        both.login(0, both.lines[1]["password"])


def test_a_password_for_each_program(owners: list[User], both: Both) -> None:
    olga = owners[0]

    def ask(*arguments: object) -> Ran:
        return olga.e2email("app-password", *arguments, "--json", "--account", olga.address)

    made = ask("new", "mutt").json
    assert made["name"] == "mutt"
    client = both.login(0, made["password"])
    client.xatom("ID", '("name" "Mutt" "version" "2.2.12")')
    general = both.login(0)
    with pytest.raises(imaplib.IMAP4.error):
        both.login(1, made["password"])
    listed = {one["name"]: one for one in ask("list").json["passwords"]}
    assert listed.keys() == {"general", "mutt"}
    assert listed["mutt"]["program"] == "Mutt 2.2.12"
    assert listed["mutt"]["used"] >= listed["mutt"]["created"]
    assert ask("revoke", "mutt").code == 0
    assert eventually(lambda: ended(client), 20)
    assert not ended(general)
    general.logout()
    with pytest.raises(imaplib.IMAP4.error):
        both.login(0, made["password"])
    assert ask("revoke", "mutt").code == 10
    assert made["password"] not in both.log.read_text()


def test_a_sealed_one_is_the_servers(owners: list[User], house: Server) -> None:
    olga = owners[0]

    def ask(*arguments: object) -> Ran:
        done = olga.e2email(
            "app-password", *arguments, "--sealed", "--json", "--account", olga.address
        )
        assert done.code == 0, done.error
        return done

    made = ask("new", "phone", "--scope", "read,write").json
    context = ssl.create_default_context(cafile=str(house.ca))
    with imaplib.IMAP4_SSL("localhost", house.port("imaps"), ssl_context=context) as client:
        client.login(olga.address, made["password"])
        client.select("INBOX")
        octets = literal(client.uid("FETCH", "1", "(BODY.PEEK[])")[1])
    assert b"BEGIN PGP MESSAGE" in octets
    assert b"hello" not in octets
    (listed,) = ask("list").json["passwords"]
    assert (listed["name"], listed["scopes"]) == ("phone", ["read", "write"])
    ask("revoke", "phone")
    assert ask("list").json["passwords"] == []


def test_one_that_cannot_be_opened_is_named_and_the_others_run(
    owners: list[User], tmp_path: Path
) -> None:
    folder = tmp_path / "passphrases"
    folder.mkdir()
    (folder / "olga@example.test").write_text("not the passphrase\n")
    (folder / "paul@example.test").write_text(PASSPHRASE + "\n")
    options = ["--passphrase-file", folder, "--no-keyring", "--home", owners[0].home]
    done = run("e2email_client.proxy", "settings", "--json", *options)
    assert done.code == 0
    assert done.json["address"] == "paul@example.test"
    assert "olga@example.test is left out: " in done.error
    assert "not the passphrase" not in done.error
    # alone it is an error, with its own code
    alone = run("e2email_client.proxy", "settings", *options, "--account", "olga@example.test")
    assert alone.code == 4


def test_settings_to_paste_are_one_accounts(owners: list[User]) -> None:
    options = ["--for", "mutt", *owners[0].secrets()]
    options = [one for one in options if one not in ("--account", owners[0].address)]
    done = run("e2email_client.proxy", "settings", *options)
    assert (done.code, done.output) == (3, b"")
    assert "--account" in done.error
    alone = run("e2email_client.proxy", "settings", *options, "--account", owners[1].address)
    assert f'imap_user = "{owners[1].address}"'.encode() in alone.output


def test_it_starts_without_desktop_keyring_and_terminal(machine: Path, tmp_path: Path) -> None:
    """As the systemd unit starts it: next to no environment, no standard input."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "passphrase").write_text(PASSPHRASE)
    ready = tmp_path / "notify"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(ready))
    manager.settimeout(60)
    process = subprocess.Popen(
        [sys.executable, "-m", "e2email_client.proxy", "run", "--ports", "auto", "--home", machine],
        env={
            "CREDENTIALS_DIRECTORY": str(credentials),
            "NOTIFY_SOCKET": str(ready),
            **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
        },
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert manager.recv(100) == b"READY=1"
        process.send_signal(signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        out, error = process.communicate(timeout=60)
    finally:
        manager.close()
        end(process, signal.SIGKILL)
    assert process.returncode == 0, error
    assert b"paul@example.test" in out
    assert b"e2p_" not in out  # a journal may keep it
    assert error == b""


def test_other_machines_are_let_in_only_when_told(owners: list[User]) -> None:
    options = owners[0].secrets()
    refused = run("e2email_client.proxy", "run", "--bind", "0.0.0.0", *options)
    assert (refused.code, "--allow-remote" in refused.error) == (9, True)
    unnamed = run("e2email_client.proxy", "run", "--bind", "0.0.0.0", "--allow-remote", *options)
    assert (unnamed.code, "--name" in unnamed.error) == (9, True)
    # without a terminal nobody can agree to a new certificate
    uncovered = run(
        *("e2email_client.proxy", "run", "--bind", "0.0.0.0", "--allow-remote"),
        *("--name", "mail.home.arpa", *options),
    )
    assert (uncovered.code, "certificate --renew" in uncovered.error) == (9, True)


def test_the_certificate_and_its_renewal(machine: Path, tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    home = ["--home", machine]
    options = ["--passphrase-file", passphrase, "--no-keyring", *home]
    ask = lambda *more: run("e2email_client.proxy", "certificate", "--json", *more).json  # noqa: E731
    first = ask(*options)
    # no secret: from then on it is shown without a passphrase
    assert ask(*home) == first
    assert ask(*home, "--out", tmp_path / "ca.pem") == first
    assert (tmp_path / "ca.pem").read_text() == first["pem"]
    assert "PRIVATE" not in first["pem"]
    renewed = ask("--renew", "--name", "mail.home.arpa", *options)
    assert renewed["fingerprint"] != first["fingerprint"]
    assert ask(*home) == renewed
    told = run("e2email_client.proxy", "settings", "--json", *options).output.splitlines()
    assert len(told) == 2
    assert all(renewed["fingerprint"].encode() in line for line in told)
    one = run(
        *("e2email_client.proxy", "certificate", "--renew", *options),
        *("--account", "olga@example.test"),
    )
    assert one.code == 9


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze: the unit is NOT verified"
)
def test_the_unit_is_one(tmp_path: Path) -> None:
    unit = Path(__file__).parents[2] / "deploy" / "e2email-proxy.service"
    installed = "/opt/e2email/bin/e2email-proxy"
    text = unit.read_text()
    assert f"ExecStart={installed} run\n" in text
    here = tmp_path / unit.name
    here.write_text(text.replace(installed, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", here],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def at_a_terminal(answer: bytes, *arguments: object) -> tuple[bytes, "subprocess.Popen[bytes]"]:
    """`e2email-proxy run` up to what it says after the answer to its first question."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "e2email_client.proxy", "run", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(),
        start_new_session=True,
    )
    os.close(slave)
    said = b""
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        for part in (b"[y/N]:", b"SHA-256"):
            until = time.monotonic() + 60
            while part not in said and time.monotonic() < until:
                try:
                    said += terminal.read(4096) or b""
                except OSError:  # it ended
                    return said, process
            if part == b"[y/N]:":
                terminal.write(answer + b"\n")
        # closing the terminal would end it by SIGHUP
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    return said, process


def test_a_person_is_asked_before_programs_have_to_trust_anew(
    machine: Path, tmp_path: Path
) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    options = ["--passphrase-file", passphrase, "--no-keyring", "--home", machine]

    def fingerprint() -> str:
        return str(
            run("e2email_client.proxy", "certificate", "--json", *options).json["fingerprint"]
        )

    first = fingerprint()
    wider = ["--name", "mail.home.arpa", "--ports", "auto", *options]
    said, process = at_a_terminal(b"n", *wider)
    assert b"mail.home.arpa" in said
    assert process.wait(60) == 130
    assert fingerprint() == first
    said, process = at_a_terminal(b"y", *wider)
    assert process.returncode == 0, said
    assert fingerprint() != first
    assert with_colons(fingerprint()).encode() in said


@pytest.mark.parametrize(
    "ports", ['imaps = "off"\npop3s = "off"', 'imaps = "auto"\npop3s = "auto"']
)
def test_settings_to_paste_name_a_port_that_is_there(
    owners: list[User], tmp_path: Path, ports: str
) -> None:
    sockets = shutil.ignore_patterns("bell")
    shutil.copytree(owners[0].home, tmp_path / "home", ignore=sockets)
    (tmp_path / "home" / "proxy.toml").write_text(f"[ports]\n{ports}\n")
    for kept in (tmp_path / "home").rglob("proxy.json"):
        kept.unlink()
    user = User(owners[0].address, tmp_path / "home", owners[0].server)
    for program in ("mutt", "mpop"):
        options = ["--for", program, "--account", user.address, *user.secrets()]
        done = run("e2email_client.proxy", "settings", *options)
        assert (done.code, done.output) == (9, b""), done
