"""`e2email list` and `search`: what they print, and what of a mail never reaches the terminal."""

import json

import pytest

from e2email_client import listing
from support.cli_output import assert_harmless, documented, keys
from support.machine import Machine

HOSTILE = {
    "escape": "\x1b[2J\x1b[1;1Hpwned",
    "osc 52": "\x1b]52;c;ZXZpbA==\x07",
    "c1 csi": "\x9b2J",
    "bidi": "invoice \u202efdp.exe",
    "newline": "one\r\ne2email: encrypted by the sender",
    "null": "a\x00b",
    "backspace": "good\x08\x08\x08\x08evil",
    "invisible": "pay\u200bpal\u2066",
    "lone surrogate": "\ud800",
}


def word(text: str) -> bytes:
    """As an encoded word, which carries anything."""
    octets = text.encode("utf-7" if "\ud800" in text else "utf-8")
    charset = "utf-7" if "\ud800" in text else "utf-8"
    return f"=?{charset}?q?{''.join(f'={octet:02X}' for octet in octets)}?=".encode()


def mail(subject: bytes, sender: bytes = b"Bob <bob@example.net>", text: bytes = b"text") -> bytes:
    return b"From: %b\r\nTo: alice@example.test\r\nSubject: %b\r\n\r\n%b\r\n" % (
        sender, subject, text,
    )  # fmt: skip


@pytest.fixture
def full(machine: Machine) -> Machine:
    machine.deliver(mail(b"first"), mail(b"second zeppelin", text=b"needle in it"))
    machine.deliver(mail(b"third zeppelin"), mailbox="Archive")
    assert machine.run("sync").code == 0
    return machine


def listed(machine: Machine, *arguments: str) -> dict:
    done = machine.run(*arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_newest_first(full: Machine) -> None:
    assert [one["uid"] for one in listed(full, "list")["messages"]] == [2, 1]
    lines = full.run("list").text.splitlines()
    assert "second" in lines[0]
    assert "bob@example.net Bob" in lines[0]
    limited = listed(full, "list", "--limit", "1")
    assert ([one["uid"] for one in limited["messages"]], limited["total"]) == ([2], 2)


def test_other_mailboxes(full: Machine) -> None:
    assert listed(full, "list", "Archive")["messages"][0]["subject"] == "third zeppelin"
    assert listed(full, "list", "inbox")["mailbox"] == "INBOX"
    boxes = listed(full, "list", "--mailboxes")["mailboxes"]
    assert [(box["name"], box["messages"]) for box in boxes] == [("INBOX", 2), ("Archive", 1)]
    assert "Archive" in full.run("list", "--mailboxes").text


@pytest.mark.parametrize(
    "arguments", [["list", "Nowhere\x1b[2J"], ["search", "x", "--mailbox", "Nowhere\x1b[2J"]]
)
def test_a_mailbox_that_is_not_there(full: Machine, arguments: list[str]) -> None:
    done = full.run(*arguments)
    assert (done.code, done.out) == (10, b"")
    assert done.err.startswith("e2email: There is no mailbox Nowhere")
    assert "\x1b" not in done.err


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "--mailboxes"], ["list", "X"], ["search", "x"], ["show", "1"]]
)
def test_never_synced(machine: Machine, arguments: list[str]) -> None:
    done = machine.run(*arguments)
    assert (done.code, done.out, done.err) == (
        10, b"", "e2email: There is no mail on this machine yet: run e2email sync.\n",
    )  # fmt: skip


def test_an_empty_mailbox(machine: Machine) -> None:
    machine.run("sync")
    done = machine.run("list")
    assert (done.code, done.out, done.err) == (0, b"", "INBOX is empty.\n")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_made_visible(machine: Machine, name: str) -> None:
    text = HOSTILE[name]
    evil = word(text)
    hostile = mail(evil, b"%b <evil@example.net>" % evil, text.encode("utf-8", "replace"))
    machine.deliver(hostile, mail(text.encode("utf-8", "replace").replace(b"\r\n", b"\r\n ")))
    machine.deliver(mail(b"x"), mailbox="b" + text.replace("\ud800", ""))
    assert machine.run("sync").code == 0
    for arguments in (
        ["list"], ["list", "--mailboxes"], ["show", "1"], ["show", "2"], ["sync"],
        ["show", "1", "--headers"], ["search", "evil"],
    ):  # fmt: skip
        done = machine.run(*arguments)
        assert done.code == 0, done.err
        assert_harmless(done.out + done.err.encode())
    assert len(machine.run("list").text.splitlines()) == 2
    for command in (["list", "--json"], ["show", "1", "--json"], ["search", "evil", "--json"]):
        out = machine.run(*command).out
        assert out.isascii()
        assert_harmless(out)
        json.loads(out)


def test_a_subject_of_a_megabyte(machine: Machine) -> None:
    machine.deliver(mail(b"\r\n ".join([b"x" * 900] * 1200)))
    machine.run("sync")
    for arguments in (["list"], ["show", "1"]):
        done = machine.run(*arguments)
        assert done.code == 0
        assert max(map(len, done.text.splitlines())) < 1200


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        (b'"ceo@bank.example" <evil@example.net>', "evil@example.net"),
        (b"%b <evil@example.net>" % (b"long name " * 20), "evil@example.net"),
        (b"a@bank.example, evil@example.net", "a@bank.example +1"),
        (b"a@bank.example\r\nFrom: evil@example.net", "a@bank.example +1"),
        (b"%b@example.net" % (b"a" * 64), "…aaa"),
        (b"=?utf-8?q?ceo=40bank.example?=@evil.example", "@evil.example"),
        (b"just a name", "just a name"),
        (b"", " "),
    ],
)
def test_the_address_is_shown(machine: Machine, sender: bytes, shown: str) -> None:
    machine.deliver(mail(b"subject", sender))
    machine.run("sync")
    line = machine.run("list").text
    assert line[30:].startswith(shown) or (shown in line and "ceo@" not in line.split(shown)[0])
    assert line.rstrip().endswith("subject")


def test_lines_fit_a_terminal(full: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    full.deliver(mail("日本語".encode() * 60))
    full.run("sync")
    monkeypatch.setattr(os, "get_terminal_size", lambda _=1: os.terminal_size((80, 24)))
    from rich.cells import cell_len

    lines = full.run("list", terminal=True).text.splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    assert lines[0].endswith("…")


def test_marks() -> None:
    from e2email_client.local.mails import Security

    assert listing.mark(Security("encrypted by the sender", "smtp")) == "E"
    assert listing.mark(Security("sealed on arrival", "smtp")) == "s"
    assert listing.mark(Security("sealed on arrival", "unproven")) == "?"
    assert listing.mark(Security("sealed on arrival", "smtp", alarms=("x",))) == "!"


@pytest.mark.parametrize("name", ["your device", "e2email", "smtp", "device", ""])
def test_a_program_cannot_name_itself_as_one_of_ours(name: str) -> None:
    from e2email_client.local.mails import Security

    said = listing.origin(Security("sealed when it was stored", f"append:{name}"))
    assert said == f'stored by a program that calls itself "{name}"'


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (["needle"], [("INBOX", 2)]),
        (["zepp"], [("INBOX", 2), ("Archive", 1)]),
        (["zeppelin", "third"], [("Archive", 1)]),
        (["zeppelin", "--mailbox", "Archive"], [("Archive", 1)]),
        (["zeppelin", "--limit", "1"], [("INBOX", 2)]),
        (["nothing"], []),
        (['"', "needle", "OR"], []),
        (["bob@example.net"], [("INBOX", 2), ("INBOX", 1), ("Archive", 1)]),
    ],
)
def test_search(full: Machine, query: list[str], found: list[tuple[str, int]]) -> None:
    done = full.run("search", *query, "--json")
    answer = json.loads(done.out)
    assert [(one["mailbox"], one["uid"]) for one in answer["messages"]] == found
    assert answer["not_searched"] == 0
    assert done.err == ("" if found else "Nothing found.\n")


def test_search_says_what_it_did_not_see(full: Machine) -> None:
    full.deliver(mail(b"fourth"))
    full.run("sync", "--no-bodies")
    done = full.run("search", "needle", "--json")
    assert json.loads(done.out)["not_searched"] == 1
    assert done.err == "1 messages are not here and were not searched.\n"


@pytest.mark.parametrize("words", [["!!"], ["*"], [""], ["word "] * 101])
def test_what_is_no_search(full: Machine, words: list[str]) -> None:
    done = full.run("search", *words)
    assert done.code == 2
    assert "1 to 100 words" in done.err


def test_json_is_as_documented(full: Machine) -> None:
    assert keys(listed(full, "sync")) == documented("sync")
    assert keys(listed(full, "list")) | keys(listed(full, "list", "--mailboxes")) == documented(
        "list"
    )
    messages = keys(listed(full, "list")["messages"])
    assert keys(listed(full, "show", "1")) | {"media", "name"} == documented("show") | messages
    assert keys(listed(full, "search", "zeppelin")) == documented("search") | messages
