"""Commands that change keys, killed at any time: either the old or the new works, and said again
they finish."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2email_client.failure import WrongSecret
from e2email_crypto import recovery
from support.system import Server, User, end, environment, server

MAIL = b"From: Carol <carol@example.net>\r\nSubject: number %d\r\n\r\nText %d\r\n"
MAILS = [MAIL % (n, n) for n in range(6)]
KILLS = 12
OTHER = "an entirely other passphrase 47"
THIRD = "seven umbrellas on a Thursday"
# hundreds of programs are started, one after another
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "server") as made:
        yield made


@pytest.fixture
def user(house: Server, tmp_path: Path) -> User:
    made = house.user("alice@example.test", tmp_path / "alice")
    for mail in MAILS:
        house.deliver(mail, made.address)
    made.sync()
    return made


def took(module: str, *arguments: object) -> float:
    """How long a command takes that is not killed."""
    began = time.monotonic()
    ran = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], env=environment(),
                         check=False, capture_output=True)  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()
    return time.monotonic() - began


def killed(seconds: float, module: str, *arguments: object) -> bool:
    """Whether it was still running after so long."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        end(process, signal.SIGKILL)
        return True
    return False


def whole(user: User, folder: Path) -> None:
    user.sync()
    done = user.e2email("export", folder, "--received")
    assert done.code == 0, done.error
    assert sorted(path.read_bytes() for path in folder.rglob("*.eml")) == sorted(MAILS)


def afresh(user: User, folder: Path) -> None:
    """On a machine that has seen nothing, so that every mail is opened with what the server has."""
    other = User(user.address, folder / "home", user.server, user.passphrase)
    folder.mkdir()
    done = other.setup("--least-memory", 64)
    assert done.code == 0, done.error
    whole(other, folder / "mail")


def times(dice: random.Random, most: float) -> Iterator[float]:
    """Mostly in the second half, where something is changed: before it, the program starts."""
    for _ in range(KILLS):
        yield most * dice.uniform(0.3, 1.1)


def test_key_rotate(user: User, tmp_path: Path) -> None:
    arguments = ("e2email_client", "key", "rotate", *user.secrets())
    most, cut = took(*arguments), 0
    for number, seconds in enumerate(times(random.Random(1), most)):
        cut += killed(seconds, *arguments)
        user.sync()
        if number % 4 == 0:
            afresh(user, tmp_path / f"other{number}")
    assert cut
    took(*arguments)
    afresh(user, tmp_path / "other")


def test_account_passphrase(user: User, tmp_path: Path) -> None:
    phrases = [THIRD, OTHER]
    files = [tmp_path / "first", tmp_path / "second"]
    for path, phrase in zip(files, phrases, strict=True):
        path.write_text(phrase)

    def change() -> tuple[object, ...]:
        new = files[user.passphrase == THIRD]  # the other one
        return ("e2email_client", "account", "passphrase", *user.secrets(),
                "--new-passphrase-file", new)  # fmt: skip

    def now(phrase: str) -> str:
        """What opens the account; `phrase` was tried last."""
        user.passphrase = phrase
        try:
            user.unlocked()
        except WrongSecret:
            user.passphrase = next(one for one in phrases if one != phrase)
            user.unlocked()
        return user.passphrase

    most, cut = took(*change()), 0
    assert now(OTHER) == THIRD
    for seconds in times(random.Random(2), most):
        cut += killed(seconds, *change())
        now(user.passphrase)
        user.sync()
        # the server takes one of them: the next change begins with it, or goes on from the other
        ran = user.e2email("account", "refresh")
        if ran.code == 4:
            user.passphrase = next(one for one in phrases if one != user.passphrase)
            ran = user.e2email("account", "refresh")
        assert ran.code == 0, ran.error
    assert cut
    took(*change())
    now(OTHER)
    afresh(user, tmp_path / "other")


def test_restore(user: User, house: Server, tmp_path: Path) -> None:
    file, words, phrase = (tmp_path / name for name in ("file", "words", "phrase"))
    made = user.backup("create", file, "--json")
    assert made.code == 0, made.error
    secret = user.unlocked().vault.recovery
    assert secret is not None
    words.write_text(" ".join(recovery.to_words(secret)))
    phrase.write_text(OTHER)

    def restore(home: Path) -> tuple[object, ...]:
        return ("e2email_client.backup_main", "restore", file, "--words-file", words,
                "--passphrase-file", phrase, "--no-keyring", "--home", home)  # fmt: skip

    most, cut = took(*restore(tmp_path / "clean")), 0
    for number, seconds in enumerate(times(random.Random(3), most)):
        home = tmp_path / f"home{number}"
        cut += killed(seconds, *restore(home))
        took(*restore(home))
        whole(User(user.address, home, house, OTHER), tmp_path / f"mail{number}")
    assert cut


def test_reseal(user: User, tmp_path: Path) -> None:
    arguments = ("e2email_client", "reseal", *user.secrets())
    dice, cut = random.Random(4), 0
    for number in range(KILLS):
        if number % 3 == 0:
            took("e2email_client", "key", "rotate", *user.secrets())
            user.sync()
            most = took(*arguments)
            took("e2email_client", "key", "rotate", *user.secrets())
            user.sync()
        cut += killed(most * dice.uniform(0.5, 1.1), *arguments)
        user.sync()
    assert cut
    took(*arguments)
    left = user.e2email("reseal", "--dry-run", "--json")
    assert (left.code, left.json["pending"]) == (0, 0)
    afresh(user, tmp_path / "other")
