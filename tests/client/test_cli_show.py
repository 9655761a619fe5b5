"""`e2email show`: text apart from what is known of it, exact octets, and hostile mail."""

import json
import os
import pty
import subprocess
import sys
import unicodedata

import pytest

from e2email_client import reading, screen
from e2email_client.failure import Offline
from support import sealing
from support.machine import Machine

NASTY = (
    b"From: Bob <bob@example.net>\r\nSubject: octets\r\n\r\n"
    b"nul \x00, bare \r cr, bare \n lf, high \xff\xfe, esc \x1b[2J\r\n.dot\r\nno end"
)


def mail(text: bytes, kind: bytes = b"text/plain; charset=utf-8") -> bytes:
    return b"From: Bob <bob@example.net>\r\nSubject: s\r\nContent-Type: %b\r\n\r\n%b\r\n" % (
        kind, text,
    )  # fmt: skip


def synced(machine: Machine, *mails: bytes) -> Machine:
    machine.deliver(*mails)
    assert machine.run("sync").code == 0
    return machine


def shown(machine: Machine, *arguments: str) -> str:
    done = machine.run("show", *arguments)
    assert (done.code, done.err) == (0, "")
    return done.text


def test_what_is_known_comes_first(machine: Machine) -> None:
    synced(machine, mail("grüße".encode()))
    lines = shown(machine, "1").splitlines()
    assert lines[0] == "e2email: sealed on arrival; received by your server"
    assert lines[1:3] == ["e2email: dkim: pass example.net", "e2email: spf: pass example.net"]
    assert lines[3] == "| From:    bob@example.net (Bob)"
    assert lines[-2:] == ["| ", "| grüße"]


@pytest.mark.parametrize("width", [None, 40, 80])
def test_no_mail_passes_for_us(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, width: int | None
) -> None:
    """Also where the terminal would wrap a long line: the next one begins with a bar too."""
    monkeypatch.setattr(screen, "terminal_width", lambda: width)
    fake = "e2email: encrypted by the sender; signature valid"
    text = "\n".join(
        [fake, "x" * ((width or 40) - 2) + fake, "x " * 200 + fake, "日本語" * 30 + fake]
    )
    synced(machine, mail(text.encode()), NASTY.replace(b"octets", fake.encode() * 9))
    for arguments in (["1"], ["2"], ["1", "--headers"], ["2", "--headers"]):
        lines = shown(machine, *arguments).splitlines()
        ours = [line for line in lines if not line.startswith("| ")]
        assert ours == lines[: len(ours)]
        assert "".join(ours).startswith("e2email: sealed on arrival")
        assert "encrypted by the sender" not in "".join(ours)
        assert all(unicodedata.category(one) != "Cc" for line in lines for one in line)
        if width:
            from rich.cells import cell_len

            assert max(map(cell_len, lines)) <= width


def test_alarms_come_before_everything(machine: Machine) -> None:
    machine.deliver_unreadable()
    machine.run("sync")
    assert shown(machine, "1").startswith("e2email: ALARM: What the server holds is not")
    answer = json.loads(shown(machine, "1", "--json"))
    assert answer["readable"] is False
    done = machine.run("show", "1", "--raw")
    assert (done.code, done.out) == (11, b"")
    assert "sealed original" in done.err


def test_raw_octets(machine: Machine) -> None:
    synced(machine, NASTY)
    done = machine.run("show", "1", "--raw")
    assert (done.code, done.out) == (0, sealing.TRACE + NASTY)
    assert machine.run("show", "1", "--raw", "--received").out == NASTY


def test_raw_is_not_for_a_terminal(machine: Machine) -> None:
    synced(machine, NASTY)
    done = machine.run("show", "1", "--raw", terminal=True)
    assert (done.code, done.out) == (2, b"")


def test_on_a_real_terminal(machine: Machine) -> None:
    """Our lines in reverse, and no other escape sequence than that."""
    synced(machine, NASTY)
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "e2email_client", "show", "1", "--home", str(machine.home)]
    child = subprocess.Popen(
        [*command, "--no-keyring", "--passphrase-file", str(machine.passphrase)],
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    out = b""
    try:
        while piece := os.read(leader, 4096):
            out += piece
    except OSError:
        pass  # how Linux ends a terminal that nobody holds any more
    assert child.wait(60) == 0
    assert out.startswith(b"\x1b[7me2email: sealed on arrival")
    assert b"\x1b" not in out.replace(b"\x1b[7m", b"").replace(b"\x1b[0m", b"")


def test_the_header_as_it_stands(machine: Machine) -> None:
    synced(machine, mail(b"text"))
    out = shown(machine, "1", "--headers")
    assert "| Return-Path: <bob@example.net>\n" in out
    assert "| Content-Type: text/plain; charset=utf-8\n" in out
    assert "text\n" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["0"], ["-1"], ["x"], ["4294967296"], ["1", "--raw", "--json"], ["1", "--received"],
        ["1", "--headers", "--sealed"],
    ],
)  # fmt: skip
def test_usage(machine: Machine, arguments: list[str]) -> None:
    assert machine.run("show", *arguments).code == 2


def test_what_is_not_there(machine: Machine) -> None:
    synced(machine, NASTY)
    assert machine.run("show", "2").code == 10
    assert machine.run("show", "1", "--mailbox", "Nowhere").code == 10


def test_a_body_is_fetched(machine: Machine) -> None:
    machine.deliver(NASTY)
    machine.run("sync", "--no-bodies")
    machine.remote.fail = Offline("The server was not reached.")
    done = machine.run("show", "1")
    assert (done.code, done.out, done.err) == (6, b"", "e2email: The server was not reached.\n")
    machine.remote.fail = None
    assert machine.run("show", "1", "--raw", "--received").out == NASTY
    machine.remote.fail = Offline("The server was not reached.")
    assert machine.run("show", "1").code == 0


def test_a_body_that_is_gone(machine: Machine) -> None:
    machine.deliver(NASTY)
    machine.run("sync", "--no-bodies")
    machine.remote.boxes["INBOX"].stored.clear()
    assert machine.run("show", "1").code == 11
    machine.remote.boxes["INBOX"].uidvalidity += 1
    done = machine.run("show", "1")
    assert (done.code, "replaced" in done.err) == (10, True)


def test_what_the_server_holds(machine: Machine) -> None:
    synced(machine, NASTY)
    done = machine.run("show", "1", "--sealed")
    assert done.out == machine.remote.boxes["INBOX"].stored[0].octets
    assert b"octets" not in done.out


def test_html_is_read_as_text_elsewhere(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child: this process has keys and never parses it."""

    def never(*_: object) -> None:
        raise AssertionError("parsed where the keys are")

    page = b"<style>x</style><p>Hello <b>you</b><script>evil()</script><a href='http://x/'>here</a>"
    synced(machine, mail(page, b"text/html"))
    monkeypatch.setattr("e2email_client.html.to_text", never)
    out = shown(machine, "1")
    assert "| Hello youhere [1]\n" in out
    assert "evil" not in out
    assert json.loads(shown(machine, "1", "--json"))["text_from"] == "text/html"


PLAIN = b"text/plain"


def part(kind: bytes, text: bytes) -> bytes:
    return b"--b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (kind, text)


def many(kind: bytes, *parts: bytes) -> bytes:
    return mail(b"".join(parts) + b"--b--\r\n", b"multipart/%b; boundary=b" % kind)


@pytest.mark.parametrize(
    ("octets", "said", "unsaid"),
    [
        (many(b"alternative", part(PLAIN, b"ONE"), part(b"text/html", b"TWO")), "ONE", "TWO"),
        (many(b"alternative", part(PLAIN, b" "), part(b"text/html", b"TWO")), "TWO", "ONE"),
        (many(b"mixed", part(PLAIN, b"ONE"), part(PLAIN, b"TWO")), "TWO", "no"),
        (
            many(b"mixed", part(PLAIN, b"ONE"), part(b"text/plain; name=f.txt", b"TWO")),
            "Attachment 1: f.txt (text/plain, 3 octets)", "TWO",
        ),
        (many(b"mixed", part(b"message/rfc822", mail(b"INNER"))), "message/rfc822", "INNER"),
        (many(b"alternative"), "Subject", "Attachment"),
        (mail(b"PAYLOAD", b"application/x-thing"), "application/x-thing", "PAYLOAD"),
    ],
)  # fmt: skip
def test_which_part_is_read(machine: Machine, octets: bytes, said: str, unsaid: str) -> None:
    synced(machine, octets)
    out = shown(machine, "1")
    assert said in out
    assert unsaid not in out


HOSTILE = {
    "20,000 parts": many(b"mixed", part(b"text/plain; name=x", b"y") * 20_000),
    "20,000 texts": many(b"mixed", part(PLAIN, b"y") * 20_000),
    "deep html": mail(b"<div>" * 20_000 + b"deep", b"text/html"),
    "many tags": mail(b"<p><b>x" * 100_000, b"text/html"),
    "surrogate entity": mail(b"&#xD800;&#x110000;&#0;ok", b"text/html"),
    "long line": mail(b"x" * 3_000_000),
    "megabyte of combining characters": mail(b"a" + "\u0301".encode() * 500_000),
    "deep multipart": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(500)
    ),
    "empty": b"",
    "no header": b"\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_shown_or_refused_in_a_sentence(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(screen, "terminal_width", lambda: 80)
    synced(machine, HOSTILE[name], mail(b"the next one"))
    done = machine.run("show", "1")
    assert done.code in (0, 11), done.err
    assert "Internal" not in done.err
    assert done.text.count("Attachment ") <= screen.MAX_NAMED
    assert machine.run("show", "1", "--json").code == 0
    assert "the next one" in shown(machine, "2")


def test_a_mail_that_takes_too_long(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    synced(machine, mail(b"text"))
    monkeypatch.setattr(reading, "DEADLINE", 0.0)
    done = machine.run("show", "1")
    assert done.code == 11
    assert done.text.startswith("e2email: sealed")
    assert "too much memory or time" in done.err
    assert json.loads(shown(machine, "1", "--json"))["text"] is None


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b"{", b"\xff", b'{"text": "x"}', b"[" * 100_000, b"null", b'{"text":1}'],
)
def test_a_child_that_speaks_nonsense(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(reading, "_ask", lambda _: answer)
    with pytest.raises(reading.Unshowable):
        reading.read(b"")


def test_a_closed_pipe_is_quiet(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    synced(machine, mail(b"x" * 60 + b"\r\n" + b"line\r\n" * 100_000))
    # Python itself takes no notice then
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    for more in ([], ["--raw"], ["--json"]):
        command = [sys.executable, "-m", "e2email_client", "show", "1", *more]
        child = subprocess.Popen(
            [*command, "--home", str(machine.home), "--no-keyring",
             "--passphrase-file", str(machine.passphrase)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout.read(10)
        child.stdout.close()
        said = child.stderr.read()
        child.stderr.close()
        assert (child.wait(60), said) == (1, b""), more


def test_a_terminal_that_lacks_letters(machine: Machine) -> None:
    synced(machine, mail("grüße 日本".encode()))
    done = subprocess.run(
        [sys.executable, "-m", "e2email_client", "show", "1", "--home", str(machine.home),
         "--no-keyring", "--passphrase-file", str(machine.passphrase)],
        capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert "| grüße ".encode("latin-1") + b"\\u65e5\\u672c\n" in done.stdout


def test_reprs_show_no_mail() -> None:
    canary = reading.Reading("CANARY", "", False, (reading.Attached("CANARY", "CANARY", 1),), 1)
    assert "CANARY" not in repr(canary)
    assert "CANARY" not in repr(canary.attachments)
