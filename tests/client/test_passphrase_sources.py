"""A passphrase by descriptor, file or terminal, and what is none."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from e2email_client import passphrase
from e2email_client.failure import LocalFault, NoSecret, WrongSecret
from e2email_client.passphrase import Source

PHRASE = "pässword with spaces "


def by_descriptor(octets: bytes) -> str:
    reading, writing = os.pipe()
    os.write(writing, octets)
    os.close(writing)
    try:
        return Source(descriptor=reading).existing("a@b")
    finally:
        os.close(reading)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_descriptor(end: str) -> None:
    assert by_descriptor((PHRASE + end).encode()) == PHRASE


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "phrase"
    path.write_text(PHRASE + "\n")
    assert Source(file=path).existing("a@b") == PHRASE
    assert Source(file=path).new("a@b") == PHRASE


def test_a_long_passphrase_in_pieces() -> None:
    assert by_descriptor(b"x" * 1000) == "x" * 1000


@pytest.mark.parametrize("octets", [b"", b"\n"])
def test_empty(octets: bytes) -> None:
    with pytest.raises(NoSecret):
        by_descriptor(octets)


@pytest.mark.parametrize("octets", [b"\xff\xfe", b"x" * 5000])
def test_no_passphrase(octets: bytes) -> None:
    with pytest.raises(LocalFault) as caught:
        by_descriptor(octets)
    assert "xxx" not in str(caught.value)


def test_descriptor_that_is_none() -> None:
    with pytest.raises(LocalFault, match="descriptor 250"):
        Source(descriptor=250).existing("a@b")


def test_file_that_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(LocalFault):
            Source(file=path).existing("a@b")


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(NoSecret, match="--passphrase-fd"):
            Source().existing("a@b")


def answers(monkeypatch: pytest.MonkeyPatch, *entered: str) -> list[str]:
    prompts: list[str] = []
    left = list(entered)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return left.pop(0)

    monkeypatch.setattr(passphrase, "_ask", ask)
    return prompts


def test_a_new_one_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = answers(monkeypatch, PHRASE, PHRASE)
    assert Source().new("a@b") == PHRASE
    assert len(prompts) == 2


ASKING = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # what a login shell does
from e2email_client.passphrase import Source
print(len(Source().existing("a@b")), "characters", flush=True)
"""


def test_a_terminal_does_not_show_it() -> None:
    main, side = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", ASKING], stdin=side, stdout=side, stderr=side, start_new_session=True
    )
    os.close(side)
    shown = b""
    while b"Passphrase of a@b: " not in shown:
        shown += os.read(main, 1000)
    os.write(main, b"correct horse\n")
    while b"characters" not in shown:
        shown += os.read(main, 1000)
    assert child.wait(20) == 0
    os.close(main)
    assert b"13 characters" in shown
    assert b"horse" not in shown


def test_a_weak_or_mistyped_choice_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["password1", PHRASE, "0ther-one", PHRASE, PHRASE])
    said: list[str] = []
    monkeypatch.setattr(passphrase, "_ask", lambda _prompt: next(typed))
    monkeypatch.setattr(passphrase, "say", lambda text, **_: said.append(text))
    assert Source().new("a@b") == PHRASE
    assert ["too easy" in one or "differ" in one for one in said] == [True, True]
    assert not any("password1" in one or "0ther-one" in one for one in said)


def test_asking_for_a_choice_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "_ask", lambda _prompt: "password1")
    with pytest.raises(WrongSecret):
        Source().new("a@b")
