"""The programs as a user meets them: exit codes, one sentence, and a fast start."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import types
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest

from e2email_client import entry, failure
from e2email_client.entry import LazyGroup
from e2email_client.main import e2email
from support.account_server import ALICE, NAME, PASSPHRASE, Running, account_server


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


def run(*arguments: str, passphrase: str = PASSPHRASE) -> subprocess.CompletedProcess[str]:
    """`e2email` in a process of its own; descriptor 0 holds the passphrase."""
    return subprocess.run(
        [sys.executable, "-m", "e2email_client", *arguments],
        input=passphrase + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "E2EMAIL_KEYRING": "off"},
        check=False,
    )


async def setup(
    running: Running, home: Path, *more: str, passphrase: str = PASSPHRASE, name: str = NAME
) -> subprocess.CompletedProcess[str]:
    ca = home.parent / "ca.pem"
    ca.write_bytes(running.ca.cert_pem.bytes())
    arguments = (
        "setup", "Alice@example.test", "--server", running.server.url, "--server-name", name,
        "--ca", str(ca), "--home", str(home), "--passphrase-fd", "0", *more,
    )  # fmt: skip
    return await asyncio.to_thread(run, *arguments, passphrase=passphrase)


async def test_setup_on_two_machines(running: Running, tmp_path: Path) -> None:
    invite = await running.accounts.invite(ALICE)
    first = await setup(
        running, tmp_path / "one", "--invite", invite, "--no-recovery", "--name", "Alice", "--json"
    )
    assert (first.returncode, first.stderr) == (0, "")
    answer = json.loads(first.stdout)
    assert answer["address"] == ALICE
    assert (answer["new"], answer["policy"], answer["keyring"]) == (True, "sealed", False)
    second = await setup(running, tmp_path / "two")
    assert (second.returncode, second.stderr) == (0, "")
    fingerprint = answer["fingerprint"]
    assert fingerprint in second.stdout.replace(" ", "")
    assert PASSPHRASE not in first.stdout + second.stdout
    again = await setup(running, tmp_path / "two")
    assert again.returncode == 0


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What stderr says: exactly one line that begins with the program's name."""
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("e2email: ")
    assert done.stderr.endswith(".\n")
    return done.stderr


async def test_exit_codes(running: Running, tmp_path: Path) -> None:
    invite = await running.accounts.invite(ALICE)
    assert (
        await setup(running, tmp_path / "one", "--invite", invite, "--no-recovery")
    ).returncode == 0
    home = tmp_path / "other"
    wrong = await setup(running, home, passphrase="not the one")
    assert (wrong.returncode, "passphrase" in sentence(wrong)) == (4, True)
    assert running.store._people[1].boxes.pop("vault")
    refused = await setup(running, home)
    assert (refused.returncode, "paranoid custody" in sentence(refused)) == (7, True)
    used = await setup(running, home, "--invite", invite, "--no-recovery")
    assert (used.returncode, "invite" in sentence(used)) == (7, True)
    strange = await setup(running, home, name="other.test")
    assert (strange.returncode, "not trusted" in sentence(strange)) == (8, True)
    twice = await setup(running, tmp_path / "one", "--invite", invite, "--no-recovery")
    assert (twice.returncode, "already" in sentence(twice)) == (9, True)
    short = await setup(running, home, "--invite", invite, "--no-recovery", passphrase="short")
    assert (short.returncode, "too easy" in sentence(short)) == (4, True)
    assert not home.exists()


def test_offline(tmp_path: Path) -> None:
    done = run(
        "setup", "a@b.test", "--server", "https://127.0.0.1:9",
        "--passphrase-fd", "0", "--home", str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, "was not reached" in sentence(done)) == (6, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["setup"],
        ["setup", "no address", "--server", "https://x"],
        ["setup", "a@b", "--server", "https://x", "--name", "Alice"],
        ["setup", "a@b", "--server", "https://x", "--passphrase-fd", "0", "--passphrase-file", "x"],
    ],
)
def test_usage(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Usage: e2email")


def test_every_failure_has_its_code() -> None:
    kinds = [kind for kind in vars(failure).values() if isinstance(kind, type)]
    codes = {kind.__name__: kind.exit_code for kind in kinds if hasattr(kind, "exit_code")}
    spec = Path(__file__).parents[2] / "docs" / "specs" / "cli.md"
    text = spec.read_text(encoding="utf-8")
    for code in {*codes.values(), 0, 2, 130}:
        assert f"\n| {code} |" in text, f"exit code {code} is not in {spec}"


def test_every_command_and_option_is_in_the_specification() -> None:
    text = (Path(__file__).parents[2] / "docs" / "specs" / "cli.md").read_text(encoding="utf-8")
    context = click.Context(e2email)
    for name in e2email.list_commands(context):
        command = e2email.get_command(context, name)
        assert command is not None
        assert f"`e2email {name}" in text
        for option in command.params:
            for word in option.opts:
                assert not word.startswith("--") or f"`{word}" in text, f"{name} {word}"


def test_version() -> None:
    from importlib.metadata import version

    for program, module in (("e2email", "main"), ("e2email-proxy", "proxy_main")):
        done = subprocess.run(
            [sys.executable, "-m", f"e2email_client.{module}", "--version"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout == f"{program} {version('e2email')}\n"


def test_the_start_is_cheap() -> None:
    """Help and version load neither cryptography nor keyring, TLS or the terminal toolkit."""
    code = (
        "import sys\n"
        "from e2email_client.main import e2email\n"
        "try:\n"
        "    e2email.main(['--version'], 'e2email')\n"
        "except SystemExit:\n"
        "    heavy = {'nacl', 'pysequoia', 'openpgp', 'pgpy', 'keyring', 'ssl', 'asyncio',\n"
        "             'textual', 'sqlcipher3', 'e2email_server', 'aioimaplib', 'platformdirs'}\n"
        "    print(sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[1] == "[]"


def test_no_client_program_loads_the_server() -> None:
    code = (
        "import sys, e2email_client.account, e2email_client.cli.setup\n"
        "print([name for name in sys.modules if name.startswith('e2email_server')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


# --- the frame that later commands are put into ---------------------------------------------


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LazyGroup:
    """A program whose commands are files in a folder."""
    folder = tmp_path / "some_commands"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_shared.py").write_text("raise AssertionError('not a command')")
    (folder / "app_password.py").write_text(
        "import click\n"
        "from e2email_client.failure import Alarm\n"
        "@click.command('app-password')\n"
        "@click.argument('what')\n"
        "def command(what):\n"
        "    if what == 'alarm':\n"
        "        raise Alarm('It is damaged.')\n"
        "    if what == 'interrupt':\n"
        "        raise KeyboardInterrupt\n"
        "    if what == 'number':\n"
        "        return 5\n"
        "    {}[what]\n"
    )
    (folder / "broken.py").write_text("raise AssertionError('loaded although not called')")
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module("some_commands")
    yield LazyGroup("program", package=package)
    for name in [name for name in sys.modules if name.startswith("some_commands")]:
        del sys.modules[name]


def exit_code(group: LazyGroup, *arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        entry.run("program", group, list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_commands_are_files(group: LazyGroup) -> None:
    assert group.list_commands(click.Context(group)) == ["app-password", "broken"]
    assert exit_code(group, "app-password", "number") == 5
    assert "some_commands.broken" not in sys.modules


def test_failures_are_sentences(group: LazyGroup, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(group, "app-password", "alarm") == 5
    assert exit_code(group, "app-password", "interrupt") == 130
    assert exit_code(group, "app-password", "CANARY") == 1
    assert capsys.readouterr().err == (
        "program: It is damaged.\n"
        "\n"  # click ends the line that ^C stands in
        "program: Internal error (KeyError); set E2EMAIL_DEBUG=1 to see where.\n"
    )


def test_who_wants_to_see_sees(group: LazyGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2EMAIL_DEBUG", "1")
    with pytest.raises(KeyError):
        entry.run("program", group, ["app-password", "x"])


def test_windows_is_refused(
    group: LazyGroup, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry, "sys", types.SimpleNamespace(platform="win32", exit=sys.exit))
    assert exit_code(group, "app-password", "number") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_closed_pipe_is_quiet() -> None:
    code = (
        "import click\n"
        "from e2email_client import entry\n"
        "@click.command()\n"
        "def group():\n"
        "    for _ in range(100000):\n"
        "        click.echo('x' * 1000)\n"
        "entry.run('program', group, [])\n"
    )
    done = subprocess.run(
        f"{sys.executable} -c \"{code}\" | head -c 10",
        shell=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == b"x" * 10
    assert done.stderr == b""


def test_an_invite_need_not_stand_in_the_list_of_processes() -> None:
    from click.testing import CliRunner

    asks = importlib.import_module("e2email_client.cli.setup").command
    (invite,) = (one for one in asks.params if one.name == "invite")
    said = click.Command("x", params=[invite], callback=lambda invite: click.echo(f"<{invite}>"))
    given = CliRunner().invoke(said, ["--invite", "-"], input="e2i_secret\n")
    assert given.stdout.endswith("<e2i_secret>\n")
    assert CliRunner().invoke(said, ["--invite", "e2i_other"]).stdout == "<e2i_other>\n"
    assert CliRunner().invoke(said, []).stdout == "<None>\n"
