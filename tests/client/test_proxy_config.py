"""proxy.toml, options over it, where passphrases come from, what a service manager is told."""

import socket
from pathlib import Path

import click
import pytest

from e2email_client import config as accounts_config
from e2email_client.failure import Alarm, LocalFault, NotSetUp, WrongSecret
from e2email_client.passphrase import Source
from e2email_client.paths import AccountPaths, Home
from e2email_client.proxy import config, notify, unlocking
from e2email_client.proxy.config import Config
from e2email_client.proxy.ports import Ports
from e2email_client.proxy.programs import PROGRAMS
from e2email_client.proxy_cli._options import config_of
from e2email_client.proxy_main import e2email_proxy

EXAMPLE = """
bind = ["127.0.0.1", "192.168.1.5"]
allow_remote = true
names = ["Mail.Home.arpa", "2001:DB8::1"]
connections = 20
[ports]
imap = 2143
pop3 = "off"
pop3s = "auto"
[hidden]
imaps = ["compress=deflate"]
"""


def home(folder: Path, text: str) -> Home:
    (folder / "proxy.toml").write_text(text)
    return Home(folder)


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    found = config.load(home(tmp_path, EXAMPLE)).checked()
    assert found == Config(
        bind=("127.0.0.1", "192.168.1.5"),
        allow_remote=True,
        names=("mail.home.arpa", "2001:db8::1"),
        connections=20,
        ports=Ports(2143, 1993, None, 0),
        hidden={"imaps": frozenset({b"COMPRESS=DEFLATE"})},
    )
    assert found.certified == ("mail.home.arpa", "2001:db8::1", "192.168.1.5")


def test_without_a_file_it_is_loopback(tmp_path: Path) -> None:
    found = config.load(Home(tmp_path)).checked()
    assert found == Config()
    assert found.addresses == ("127.0.0.1", "::1")
    assert (found.remote, found.certified) == ((), ())


def test_the_specification_shows_a_file_that_is_taken(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "specs" / "proxy.md").read_text("utf-8")
    block = text.partition("An unknown key is an error.\n\n")[2].partition("\n\n|")[0]
    assert block
    found = config.load(home(tmp_path, "\n".join(line.strip() for line in block.split("\n"))))
    assert found.ports == Ports(pop3=None, pop3s=0)
    for key in config._READ:
        assert f"`{key}" in text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("port = 1", "port"),
        ("bind = 'localhost'", "bind"),
        ("bind = []", "bind"),
        ("bind = ['localhost']", "localhost"),
        ("bind = [1]", "bind"),
        ("allow_remote = 1", "allow_remote"),
        ("names = ['a b']", "a b"),
        ("names = ['-x']", "-x"),
        ("names = ['ä.test']", "ä.test"),
        ("connections = 0", "connections"),
        ("connections = true", "connections"),
        ("connections = 100000", "connections"),
        ("ports = 1", "ports"),
        ("[ports]\nsmtp = 1", "smtp"),
        ("[ports]\nimap = 65536", "imap"),
        ("[ports]\nimap = true", "imap"),
        ("[ports]\nimap = 'no'", "imap"),
        ("[hidden]\npop3 = ['UIDL']", "pop3"),
        ("[hidden]\nimap = 'IDLE'", "imap"),
        ("[hidden]\nimap = ['a b']", "imap"),
        ("= 1", "TOML"),
        ("\x00", "TOML"),
    ],
)
def test_a_fault_names_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(LocalFault) as fault:
        config.load(home(tmp_path, text))
    assert named in str(fault.value)
    assert "proxy.toml" in str(fault.value)


def test_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    here = home(tmp_path, "bind = ['127.0.0.2']\n[ports]\nimap = 2143\n")
    changed = config_of(here, ports="imaps=2993,pop3=off", bind=("::1",), names=("X.test",))
    assert changed == Config(bind=("::1",), names=("x.test",), ports=Ports(2143, 2993, None))
    assert config_of(here, ports=None, bind=(), names=()).ports.imap == 2143
    assert config_of(here, ports="usual").ports == Ports()
    assert config_of(here, ports="auto").ports == Ports(0, 0, 0, 0)
    for wrong in ({"ports": "smtp=1"}, {"ports": "imap"}, {"ports": "imap=0"}, {"bind": ("x",)}):
        with pytest.raises(click.UsageError):
            config_of(here, **wrong)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"])
def test_more_than_loopback_has_to_be_said(address: str) -> None:
    with pytest.raises(LocalFault, match="--allow-remote"):
        Config(bind=("127.0.0.1", address)).checked()
    assert Config(bind=(address,), allow_remote=True, names=("x.test",)).checked()


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_all_addresses_have_no_name_of_their_own(address: str) -> None:
    with pytest.raises(LocalFault, match="--name"):
        Config(bind=(address,), allow_remote=True).checked()


# several accounts


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Accounts whose secret is their own address."""

    def load(paths: AccountPaths):
        return type("Settings", (), {"address": paths.folder.name})

    def unlock(paths: AccountPaths, source: Source, keyring: object) -> str:
        if source.given:
            secret = source.existing(paths.folder.name)
        else:
            secret = paths.folder.name if keyring else ""
        if secret != paths.folder.name:
            raise WrongSecret("it does not fit")
        return secret

    here = Home(tmp_path / "home")
    monkeypatch.setattr(unlocking.config, "load", load)
    monkeypatch.setattr(unlocking, "unlock", unlock)
    for one in ("a@x", "b@x", "c@x"):
        here.account(one).folder.mkdir(parents=True)
        here.account(one).settings.touch()
    return here


NOTHING = Source()


def opened(here: Home, source: Source = NOTHING, keyring: object = None) -> tuple[list, list]:
    failed: list[str] = []
    found = unlocking.unlock_all(
        unlocking.chosen(here, []), source, lambda: keyring, lambda one, _: failed.append(one)
    )
    return found, failed


def test_a_folder_has_a_file_for_each(three: Home, tmp_path: Path) -> None:
    for one in ("a@x", "c@x"):
        (tmp_path / one).write_text(one + "\n")
    assert opened(three, Source(file=tmp_path)) == (["a@x", "c@x"], ["b@x"])


def test_a_file_is_for_all_of_them(three: Home, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("b@x")
    assert opened(three, Source(file=tmp_path / "secret")) == (["b@x"], ["a@x", "c@x"])


def test_credentials_go_before_the_keyring(
    three: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "b@x").write_text("b@x")
    assert opened(three, keyring=object()) == (["a@x", "b@x", "c@x"], [])
    (tmp_path / "passphrase").write_text("c@x")
    assert opened(three, keyring=object()) == (["b@x", "c@x"], ["a@x"])


def test_where_none_can_be_opened_it_is_an_error(three: Home, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("nobody's")
    with pytest.raises(WrongSecret):
        opened(three, Source(file=tmp_path / "secret"))


def test_accounts_are_chosen_once(three: Home) -> None:
    found = unlocking.chosen(three, ["B@x", "b@x"])
    assert [one.folder.name for one in found] == ["b@x"]
    with pytest.raises(NotSetUp):
        unlocking.chosen(three, ["d@x"])


def test_a_machine_without_accounts(tmp_path: Path) -> None:
    assert accounts_config.addresses(Home(tmp_path)) == []
    with pytest.raises(NotSetUp):
        unlocking.chosen(Home(tmp_path), [])


def test_an_alarm_of_the_only_account_keeps_its_code(three: Home, monkeypatch) -> None:
    def damaged(*_: object) -> None:
        raise Alarm("damaged")

    monkeypatch.setattr(unlocking, "unlock", damaged)
    with pytest.raises(Alarm):
        opened(three)


def test_one_whose_files_are_damaged_is_named(three: Home, tmp_path: Path, monkeypatch) -> None:
    def load(paths: AccountPaths):
        if paths.folder.name == "b@x":
            raise LocalFault("not a TOML file")
        return type("Settings", (), {"address": paths.folder.name})

    monkeypatch.setattr(unlocking.config, "load", load)
    assert opened(three, keyring=object()) == (["a@x", "c@x"], ["b@x"])


def test_half_made_accounts_are_none(three: Home) -> None:
    folder = three.accounts / ".new-1"
    folder.mkdir()
    (folder / "account.toml").touch()
    found = unlocking.chosen(three, [])
    assert [one.folder.name for one in found] == ["a@x", "b@x", "c@x"]


# the specification


def test_every_command_and_option_is_specified() -> None:
    spec = Path(__file__).parents[2] / "docs" / "specs" / "cli.md"
    text = spec.read_text("utf-8").partition("## `e2email-proxy`")[2]
    everywhere = spec.read_text("utf-8")
    context = click.Context(e2email_proxy)
    names = e2email_proxy.list_commands(context)
    assert names == ["certificate", "run", "settings"]
    for name in names:
        command = e2email_proxy.get_command(context, name)
        assert command is not None
        assert f"### `e2email-proxy {name}`" in text
        for option in command.params:
            assert f"`{option.opts[0]}`" in (text if option.name != "home" else everywhere)
    for program in PROGRAMS:
        assert f"`{program}`" in text


# the service manager


def test_the_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify.notify("READY=1")
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("where", ["", "/nonexistent", "relative", "@nobody listens"])
def test_without_a_manager_nothing_happens(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    notify.notify("READY=1")
