"""`e2email setup, account, device` as they are called: what they ask, write, refuse and say."""

import asyncio
import datetime as dt
import json
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from e2email_client.cli import _words
from e2email_client.failure import ClientError
from e2email_client.main import e2email
from e2email_client.passphrase import Source
from e2email_crypto import kdf, recovery
from e2email_crypto.vault import Custody
from support.account_server import ALICE, PASSPHRASE, Running, account_server
from support.gpg import keyring
from support.owner import Machine

OTHER = "seven umbrellas on Thursday"
Do = Callable[..., Any]


@pytest.fixture(autouse=True)
def floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """New accounts and passphrases at the floor's price."""
    monkeypatch.setattr(kdf, "M_KIB_DEFAULT", kdf.M_KIB_MIN)
    real = kdf.Params.generate
    monkeypatch.setattr(
        kdf.Params,
        "generate",
        lambda t=kdf.T_MIN, m_kib=kdf.M_KIB_MIN: real(t, m_kib),
    )


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def first(running: Running, tmp_path: Path) -> Machine:
    return await Machine(running, tmp_path / "one").create()


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / f"secret-{len(list(tmp_path.iterdir()))}"
        path.write_text(text + "\n")
        return str(path)

    return write


async def called(home: Path, *arguments: str) -> Result:
    """In this process; nobody is at a terminal."""
    given = [*arguments, "--home", str(home), "--no-keyring"]
    return await asyncio.to_thread(CliRunner().invoke, e2email, given)


async def done(home: Path, *arguments: str) -> Any:
    """The JSON of a command that must succeed."""
    result = await called(home, *arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout.splitlines()[-1])


async def refused(home: Path, *arguments: str) -> ClientError:
    result = await called(home, *arguments)
    assert isinstance(result.exception, ClientError), (result.output, result.exception)
    return result.exception


def at(running: Running, tmp_path: Path) -> list[str]:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(running.ca.cert_pem.bytes())
    return [ALICE, "--server", running.server.url, "--server-name", running.server.name,
            "--ca", str(ca)]  # fmt: skip


# --- setup ------------------------------------------------------------------------------------


async def test_without_a_terminal_the_words_must_go_somewhere(
    running: Running, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    invite = await running.accounts.invite(ALICE)
    home = tmp_path / "one"
    where = [*at(running, tmp_path), "--invite", invite, "--passphrase-file", secret(PASSPHRASE)]
    result = await called(home, "setup", *where)
    assert (result.exit_code, "--recovery-file" in result.output) == (2, True)
    assert await running.store.accounts() == []
    assert not home.exists()


async def test_words_in_a_file_and_back(
    running: Running, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    invite = await running.accounts.invite(ALICE)
    words, where = tmp_path / "words", at(running, tmp_path)
    asked = ["setup", *where, "--invite", invite, "--passphrase-file", secret(PASSPHRASE),
             "--recovery-file", str(words)]  # fmt: skip
    await done(tmp_path / "one", *asked)
    assert stat.S_IMODE(words.stat().st_mode) == 0o600
    made = Machine(running, tmp_path / "one").unlocked
    assert recovery.from_words(words.read_text()) == made.vault.recovery
    # a clean machine, the passphrase forgotten
    back = ["setup", *where, "--words-file", str(words), "--passphrase-file", secret(OTHER)]
    await done(tmp_path / "two", *back)
    clean = Machine(running, tmp_path / "two")
    clean.passphrase = OTHER
    assert clean.unlocked.vault == made.vault
    # a word that is none is pointed at, and nothing is made
    words.write_text(words.read_text().replace("1. ", "1. x", 1))
    said = await refused(tmp_path / "three", *back[:-3], str(words), *back[-2:])
    assert said.exit_code == 4
    assert not (tmp_path / "three").exists()


async def test_a_file_of_words_is_not_overwritten_and_does_not_stay_behind(
    running: Running, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    words = tmp_path / "words"
    asked = ["setup", *at(running, tmp_path), "--passphrase-file", secret(PASSPHRASE),
             "--recovery-file", str(words), "--invite", "e2i_" + "a" * 32]  # fmt: skip
    assert (await refused(tmp_path / "one", *asked)).exit_code == 7
    assert not words.exists()
    words.write_text("precious")
    assert "not overwritten" in str(await refused(tmp_path / "one", *asked))
    assert words.read_text() == "precious"


async def test_a_weak_passphrase_makes_no_account(
    running: Running, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    invite = await running.accounts.invite(ALICE)
    asked = ["setup", *at(running, tmp_path), "--invite", invite, "--no-recovery",
             "--passphrase-file", secret("alice.example.test.2026")]  # fmt: skip
    said = await refused(tmp_path / "one", *asked)
    assert said.exit_code == 4
    assert "too easy to guess" in str(said)
    assert "alice" not in str(said)
    assert await running.store.accounts() == []


async def test_an_openpgp_key_that_is_there_already(
    running: Running, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    key = tmp_path / "key.asc"
    with keyring() as gpg:
        gpg.ok("--quick-gen-key", f"Alice <{ALICE}>", "future-default", "default", "never")
        key.write_bytes(gpg.ok("--export-secret-keys", "--armor", ALICE))
        listed = gpg.ok("--list-keys", "--with-colons")
    invite = await running.accounts.invite(ALICE)
    answer = await done(
        tmp_path / "one", "setup", *at(running, tmp_path), "--invite", invite, "--no-recovery",
        "--passphrase-file", secret(PASSPHRASE), "--key", str(key),
    )  # fmt: skip
    assert answer["fingerprint"].encode() in listed


@pytest.mark.parametrize(
    ("name", "usage", "said"),
    [
        (f"Alice <{ALICE}>", "sign", "it cannot encrypt"),
        ("Else <else@example.test>", "default", "no user id of that address"),
    ],
)
async def test_a_key_that_cannot_be_the_account_s(
    running: Running,
    tmp_path: Path,
    secret: Callable[[str], str],
    name: str,
    usage: str,
    said: str,
) -> None:
    key = tmp_path / "key.asc"
    kind = "future-default" if usage == "default" else "ed25519"
    with keyring() as gpg:
        gpg.ok("--quick-gen-key", name, kind, usage, "never")
        key.write_bytes(gpg.ok("--export-secret-keys", "--armor"))
    invite = await running.accounts.invite(ALICE)
    fault = await refused(
        tmp_path / "one", "setup", *at(running, tmp_path), "--invite", invite, "--no-recovery",
        "--passphrase-file", secret(PASSPHRASE), "--key", str(key),
    )  # fmt: skip
    assert said in str(fault)
    assert await running.store.accounts() == []


async def test_machines_with_one_host_name_are_told_apart(
    running: Running, first: Machine, tmp_path: Path, secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = "v" * 70
    monkeypatch.setattr("platform.node", lambda: host)
    asked = ["setup", *at(running, tmp_path), "--passphrase-file", secret(PASSPHRASE)]
    for home in ("two", "three", "four"):
        await done(tmp_path / home, *asked)
    await done(tmp_path / "five", *asked, "--device", "v" * 64)  # as its owner wants
    listed = await done(first.home, "device", "list", "--passphrase-file", secret(PASSPHRASE))
    names = sorted(one["name"] for one in listed["devices"] if one["name"].startswith("v"))
    assert names == sorted([host[:64], host[:64], host[:62] + " 2", host[:62] + " 3"])


async def test_the_server_is_asked_before_the_passphrase(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "new", lambda *_: pytest.fail("asked for a passphrase"))
    where = [one.replace(running.server.name, "other.test") for one in at(running, tmp_path)]
    invite = await running.accounts.invite(ALICE)
    fault = await refused(tmp_path / "one", "setup", *where, "--invite", invite, "--no-recovery")
    assert fault.exit_code in {6, 8}
    assert "server" in str(fault)


@pytest.mark.parametrize(
    "options",
    [
        ["--invite", "e2i_x", "--recover"],
        ["--pair", "--recover"],
        ["--recovery-file", "x"],
        ["--no-recovery"],
        ["--words-file", "x", "--shares-file", "y"],
    ],
)
async def test_options_that_do_not_go_together(
    running: Running, tmp_path: Path, options: list[str]
) -> None:
    result = await called(tmp_path / "one", "setup", *at(running, tmp_path), *options)
    assert result.exit_code == 2


def test_two_words_are_asked_back(monkeypatch: pytest.MonkeyPatch) -> None:
    words = recovery.to_words(bytes(16))
    shown: list[str] = []
    answers = iter(["", "wrong", "", "", *(None, None)])

    def prompt(text: str, **_: Any) -> str:
        answer = next(answers)
        if answer is None or (text.startswith("Word") and answer == ""):
            return f" {words[int(text.removeprefix('Word ')) - 1].upper()} "
        return answer

    monkeypatch.setattr(_words.click, "prompt", prompt)
    monkeypatch.setattr(_words.click, "echo", lambda text, **_: shown.append(text))
    _words.show_words(words)
    assert any("another word" in one for one in shown)
    blocks = [one for one in shown if all(word in one for word in words)]
    assert len(blocks) == 2  # shown again after the wrong answer
    # on a screen that leaves nothing in the scrollback, and left before one is asked back
    first = shown.index(blocks[0])
    assert shown[first - 1].startswith("\x1b[?1049h")
    assert shown[first + 1].endswith("\x1b[?1049l")


# --- account ----------------------------------------------------------------------------------


async def test_passphrase(first: Machine, secret: Callable[[str], str]) -> None:
    old, weak, new = secret(PASSPHRASE), secret("password1"), secret(OTHER)
    command = ["account", "passphrase", "--passphrase-file"]
    said = await refused(first.home, *command, old, "--new-passphrase-file", weak)
    assert "too easy to guess" in str(said)
    said = await refused(first.home, *command, new, "--new-passphrase-file", new)
    assert said.exit_code == 4
    assert first.unlocked.settings.passphrase_generation == 1
    await done(first.home, *command, old, "--new-passphrase-file", new)
    first.passphrase = OTHER
    assert first.unlocked
    answer = await done(first.home, "account", "refresh", "--passphrase-file", new)
    assert answer == {"address": ALICE, "sequence": 1, "vault": 1}


async def test_recovery_words_again_and_anew(
    first: Machine, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    by = ["--passphrase-file", secret(PASSPHRASE)]
    shown = await called(first.home, "account", "recovery", "show", *by)
    assert recovery.from_words(shown.stdout) == first.unlocked.vault.recovery
    result = await called(first.home, "account", "recovery", "new", *by)
    assert (result.exit_code, "--recovery-file" in result.output) == (2, True)
    to = tmp_path / "new-words"
    await called(first.home, "account", "recovery", "new", "--recovery-file", str(to), *by)
    assert recovery.from_words(to.read_text()) == first.unlocked.vault.recovery
    assert recovery.from_words(shown.stdout) != first.unlocked.vault.recovery


async def test_rekey_and_custody(first: Machine, secret: Callable[[str], str]) -> None:
    by = ["--passphrase-file", secret(PASSPHRASE)]
    before = first.unlocked.key
    await done(first.home, "account", "rekey", *by)
    assert first.unlocked.key != before
    assert await done(first.home, "account", "custody", *by) == {"custody": "cautious"}
    said = await refused(first.home, "account", "custody", "paranoid", *by)
    assert "e2email-backup create" in str(said)
    assert first.unlocked.vault.custody is Custody.CAUTIOUS
    sure = ["account", "custody", "paranoid", "--yes-i-have-the-vault"]
    assert await done(first.home, *sure, *by) == {"custody": "paranoid"}
    assert first.unlocked.vault.custody is Custody.PARANOID
    assert await done(first.home, "account", "custody", "cautious", *by) == {"custody": "cautious"}


# --- device -----------------------------------------------------------------------------------


async def test_pair_list_and_revoke(
    running: Running, first: Machine, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    by = ["--passphrase-file", secret(PASSPHRASE)]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    offer = await done(first.home, "device", "pair", "new laptop", *by)
    assert len(offer["words"]) == 12
    listed = (await done(first.home, "device", "list", *by))["devices"]
    assert next(one["used"] for one in listed if one["name"] == "new laptop") is None
    words = secret(" ".join(offer["words"]))
    where = at(running, tmp_path)
    await done(tmp_path / "two", "setup", *where, "--pair-file", words)
    again = await refused(tmp_path / "three", "setup", *where, "--pair-file", words)
    assert again.exit_code == 4
    listed = (await done(first.home, "device", "list", *by))["devices"]
    laptop = next(one for one in listed if one["name"] == "new laptop")
    assert (laptop["login"], laptop["this"]) == (True, False)
    assert laptop["used"] >= today
    assert [one["this"] for one in listed].count(True) == 1
    result = await called(first.home, "device", "revoke", "new laptop", *by)
    for command in ("account passphrase", "account rekey", "key rotate", "reseal"):
        assert f"e2email {command}" in result.stdout
    listed = (await done(first.home, "device", "list", *by))["devices"]
    assert "new laptop" not in [one["name"] for one in listed]
    assert (await refused(first.home, "device", "revoke", "new laptop", *by)).exit_code == 10


async def test_the_words_are_shown_with_a_code(
    first: Machine, secret: Callable[[str], str]
) -> None:
    by = ["--passphrase-file", secret(PASSPHRASE)]
    result = await called(first.home, "device", "pair", "phone", *by)
    assert "12. " in result.stdout
    assert "▀" in result.stdout
    assert "device revoke phone" in result.stdout


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 65])
async def test_what_is_no_name(first: Machine, secret: Callable[[str], str], name: str) -> None:
    by = ["--passphrase-file", secret(PASSPHRASE)]
    assert "letters" in str(await refused(first.home, "device", "pair", name, *by))
