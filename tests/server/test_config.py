"""server.toml: what is read, and one broken file for each thing that can be wrong with it."""

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from e2email_server import config, hardening, main, setup
from e2email_server.config import GIB, MIB, Endpoint, Limits
from e2email_server.config_values import ConfigError

BAD = Path(__file__).parent / "bad_configs"
GOOD = """
hostname = "Mail.Example.Test"
domains = ["example.test", "Example.ORG"]
data = "/var/lib/e2email"
postmaster = "Alice@example.test"

[aliases]
"Sales@example.test" = ["alice@example.test", "bob@example.org"]
"info@example.org" = "sales@example.test"

[listen]
smtp = ["0.0.0.0:25", "[::]:25"]
imaps = "127.0.0.1:0"
pop3s = "127.0.0.1:0"

[listen.hide]
imaps = ["qresync", "STATUS=SIZE"]

[listen.compress]
imaps = true

[tls]
certificate = "own.crt"
key = "/etc/own.key"

[limits]
message_size = "20 MiB"
recipients = 10
free_space = 0

[log]
level = "debug"
"""


def read(folder: Path, text: str) -> config.Config:
    (folder / "server.toml").write_text(text)
    return config.load(folder / "server.toml")


def test_everything_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.hostname == "mail.example.test"
    assert found.domains == {"example.test", "example.org"}
    assert found.data == Path("/var/lib/e2email")
    assert found.postmaster == "alice@example.test"
    assert found.aliases == {
        "sales@example.test": ("alice@example.test", "bob@example.org"),
        "info@example.org": ("sales@example.test",),
    }
    assert found.listen.smtp == (Endpoint("0.0.0.0", 25), Endpoint("::", 25))
    assert found.listen.imaps == (Endpoint("127.0.0.1", 0),)
    assert found.listen.pop3s == (Endpoint("127.0.0.1", 0),)
    assert (found.listen.pop3, found.listen.https) == ((), ())
    assert found.listen.hide == {"imap": (), "imaps": ("QRESYNC", "STATUS=SIZE")}
    assert found.listen.compress == {"imap": False, "imaps": True}
    assert found.tls.certificate == tmp_path / "own.crt"
    assert found.tls.key == Path("/etc/own.key")
    assert (found.limits.message_size, found.limits.recipients) == (20 * MIB, 10)
    assert found.limits.free_space == 0
    assert found.limits.memory == Limits().memory
    assert found.log_level == "debug"


def test_the_defaults_are_those_of_the_design() -> None:
    limits = Limits()
    assert limits.message_size == 50 * MIB
    assert limits.recipients == 100
    assert limits.transaction_size == GIB
    assert limits.memory == 512 * MIB
    assert (limits.free_percent, limits.free_space) == (5, GIB)


def test_the_template_names_every_limit_at_its_default(tmp_path: Path) -> None:
    """Uncommenting every line of [limits] changes nothing; a limit left out fails here."""
    made = setup.make(tmp_path / "new", "example.test", "mail.example.test", loopback=True)
    lines = made.read_text().splitlines()
    for limit in fields(Limits):
        matching = [line for line in lines if line.startswith(f"# {limit.name} = ")]
        assert len(matching) == 1, limit.name
        lines[lines.index(matching[0])] = matching[0].removeprefix("# ")
    assert read(tmp_path, "\n".join(lines)).limits == Limits()


@pytest.mark.parametrize("loopback", [True, False])
def test_what_init_writes_is_read(tmp_path: Path, loopback: bool) -> None:
    made = setup.make(tmp_path / "new", "example.test", "mx.example.test", loopback=loopback)
    found = config.load(made)
    assert found.hostname == "mx.example.test"
    assert found.domains == {"example.test"}
    assert found.data == tmp_path / "new" / "data"
    assert all((found.tls.certificate.exists(), found.tls.key.exists()))
    assert (found.listen.smtp == (Endpoint("127.0.0.1", 0),)) is loopback


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.toml")))
def test_a_broken_file_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = BAD / f"{name}.toml"
    monkeypatch.setattr(hardening, "harden", lambda: None)  # it would hold for this process
    monkeypatch.setattr(sys, "argv", ["e2email-server", "run", "-c", str(path)])
    with pytest.raises(SystemExit) as caught:
        main.main()
    expected = (BAD / f"{name}.expected").read_text().strip()
    assert caught.value.code == f"e2email-server: {path}: {expected}"
    assert capsys.readouterr() == ("", "")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file or directory$"):
        config.load(tmp_path / "none.toml")


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than"):
        read(tmp_path, "#" * (config.MAX_FILE + 1))


@pytest.mark.parametrize(
    "address",
    [
        "a b@example.test",
        "@example.test",
        "a@",
        "a@b@c",
        ".a@example.test",
        "x" * 65 + "@e.test",
        "ü@example.test",
        '"a"@example.test',
        "a@[127.0.0.1]",
        "a\n@example.test",
        "a@-x.test",
    ],
)
def test_what_is_no_address_of_an_account(address: str) -> None:
    from e2email_server.config_values import address as read_address

    with pytest.raises(ValueError, match=r"is not|must be"):
        read_address(address)


def test_the_operators_page_names_every_limit_and_command() -> None:
    page = (Path(__file__).parents[2] / "docs/server.md").read_text("utf-8")
    for limit in fields(Limits):
        assert f"| `{limit.name}` |" in page, limit.name
    for command in main.cli.commands:
        assert f"| `{command} " in page, command
