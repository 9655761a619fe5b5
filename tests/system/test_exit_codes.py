"""What each thing that goes wrong is to a script: its exit code, one sentence, no traceback."""

import shutil
from pathlib import Path

import pytest

from support.system import DOMAIN, Ran, Server, User, run, server

MAIL = b"From: Carol <carol@example.net>\r\nSubject: %s\r\n\r\nText\r\n"
COMMANDS = [("sync",), ("list",), ("show", "1"), ("search", "text")]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory):
    """A server of our own: it is stopped here."""
    with server(tmp_path_factory.mktemp("codes") / "server") as running:
        yield running


@pytest.fixture(scope="module")
def user(house: Server, tmp_path_factory: pytest.TempPathFactory) -> User:
    made = house.user(f"alice@{DOMAIN}", tmp_path_factory.mktemp("homes") / "alice")
    house.deliver(MAIL % b"one", made.address)
    made.sync()
    return made


@pytest.fixture
def copy(user: User, tmp_path: Path) -> User:
    """The same machine, to be harmed."""
    shutil.copytree(user.home, tmp_path / "home")
    return User(user.address, tmp_path / "home", user.server)


def failed(done: Ran, code: int) -> str:
    """The sentence on standard error."""
    assert done.code == code, (done.code, done.error, done.output)
    assert "Traceback" not in done.error
    assert done.output == b""
    (sentence,) = done.error.strip().splitlines()
    assert sentence.startswith("e2email: ")
    return sentence


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_passphrase(copy: User, command: tuple[str, ...]) -> None:
    copy.passphrase = "correct horse batterie"
    assert "passphrase" in failed(copy.e2email(*command), 4)


def test_wrong_passphrase_of_the_proxy(copy: User) -> None:
    copy.passphrase = "correct horse batterie"
    done = run("e2email_client.proxy", "run", "--ports", "auto", *copy.secrets())
    assert done.code == 4, done.error
    assert "Traceback" not in done.error


@pytest.mark.parametrize(
    "url", ["http://localhost", "localhost", "https://localhost:x", "https://"]
)
def test_setup_with_what_is_no_url(user: User, tmp_path: Path, url: str) -> None:
    options = ["--server", url, "--no-keyring", "--home", tmp_path]
    done = run("e2email_client", "setup", "bob@example.test", *options)
    assert done.code == 2
    assert "URL" in done.error


def test_no_passphrase_at_all(copy: User) -> None:
    done = run("e2email_client", "sync", "--no-keyring", "--home", copy.home)
    assert "no terminal" in failed(done, 4)


def test_a_wrong_passphrase_at_the_server(user: User, tmp_path: Path) -> None:
    machine = User(user.address, tmp_path / "home", user.server, "correct horse batterie")
    failed(machine.setup("--least-memory", 64), 4)
    assert "cheaper" in failed(machine.setup(), 5)  # than accounts are made with
    assert not machine.folder.exists()


def flip(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


@pytest.mark.parametrize(
    ("name", "at"),
    [("vault.box", -1), ("vault.box", 40), ("device.box", -1), ("passphrase.slot", -1)],
)
def test_damaged_files_are_an_alarm_and_no_wrong_passphrase(copy: User, name: str, at: int) -> None:
    flip(copy.folder / name, at)
    failed(copy.e2email("list"), 5)


def test_a_vault_that_is_cut_or_gone(copy: User) -> None:
    vault = copy.folder / "vault.box"
    vault.write_bytes(vault.read_bytes()[:100])
    failed(copy.e2email("list"), 5)
    vault.unlink()
    failed(copy.e2email("list"), 9)


def test_key_history_damaged(copy: User) -> None:
    path = copy.folder / "statements.json"
    path.write_bytes(path.read_bytes().replace(b"e2email", b"e3email", 1).replace(b"a", b"b", 30))
    failed(copy.e2email("list"), 5)


def test_a_damaged_cache_is_made_anew(copy: User) -> None:
    (copy.folder / "cache.db").write_bytes(b"no database" * 1000)
    done = copy.e2email("sync", "--json")
    assert (done.code, done.json["messages"]) == (0, 1), done.error


def test_no_account(copy: User, tmp_path: Path) -> None:
    nobody = User(copy.address, tmp_path / "empty", copy.server)
    failed(nobody.e2email("list"), 3)
    failed(copy.e2email("list", "--account", "bob@example.test"), 3)


def test_nothing_of_that_number(copy: User) -> None:
    failed(copy.e2email("show", "99"), 10)
    failed(copy.e2email("list", "Nowhere"), 10)


@pytest.mark.parametrize("arguments", [("sync", "--nonsense"), ("show", "zero"), ("nothing",)])
def test_a_wrong_command_line(copy: User, arguments: tuple[str, ...]) -> None:
    done = copy.e2email(*arguments)
    assert done.code == 2, done.error
    assert "Traceback" not in done.error


def test_the_server_is_gone(house: Server, copy: User, tmp_path: Path) -> None:
    """What is here can be read; what needs the server says so; afterwards all is well."""
    house.deliver(MAIL % b"two", copy.address)
    house.stop()
    try:
        failed(copy.e2email("sync"), 6)
        assert copy.e2email("list", "--json").json["total"] == 1
        shown = copy.e2email("show", "1", "--raw", "--received")
        assert (shown.code, shown.output) == (0, MAIL % b"one")
        newcomer = User(copy.address, tmp_path / "new", copy.server)
        failed(newcomer.setup(), 6)
    finally:
        house.start()
    assert copy.sync()["messages"] == 2


def test_another_server_at_its_place(house: Server, copy: User, tmp_path: Path) -> None:
    """A certificate that is not the account's server's ends it, before the token is said."""
    with server(tmp_path / "other") as other:
        settings = copy.folder / "account.toml"
        text = settings.read_text()
        for name in ("imaps", "https"):
            assert str(house.port(name)) in text
            text = text.replace(str(house.port(name)), str(other.port(name)))
        settings.write_text(text)
        failed(copy.e2email("sync"), 8)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("hostname = 7", "hostname"),
        ('nonsense = "x"', "nonsense"),
        ("domains = [", "server.toml"),
    ],
)
def test_a_broken_server_toml(house: Server, tmp_path: Path, line: str, named: str) -> None:
    config = tmp_path / "server.toml"
    text = house.config.read_text()
    if named == "hostname":
        text = text.replace("\nhostname", "\n# hostname")
    config.write_text(f"{line}\n{text}")
    done = run("e2email_server", "run", "-c", config)
    assert done.code == 1
    assert "Traceback" not in done.error
    (sentence,) = done.error.strip().splitlines()
    assert str(config) in sentence
    assert named in sentence


def test_two_servers_in_one_folder(house: Server) -> None:
    done = run("e2email_server", "run", "-c", house.config)
    assert done.code == 1
    assert "in use by another e2email-server" in done.error
