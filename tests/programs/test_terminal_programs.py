"""mutt, neomutt, alpine and aerc in a terminal: reading, flagging, filing, searching."""

from urllib.parse import quote

import pytest

from support.programs import MUTTRC, Desk, Terminal, needs
from support.system import eventually

SETTINGS = (
    MUTTRC
    + """
set record = +Sent
set postponed = +Drafts
set confirmcreate = no
set mail_check = 1
set timeout = 2
set pipe_decode = no
set wait_key = no
set sort = date
set tmpdir = {home}
set sendmail = false
set from = {user}
set edit_headers = yes
set autoedit = yes
set editor = {home}/edit.sh
set recall = no
set auto_tag = no
"""
)

BOTH = [
    pytest.param("mutt", marks=needs("mutt")),
    pytest.param("neomutt", marks=needs("neomutt")),
]


def find(subject: str) -> str:
    return f'<search>~s "{subject}"<enter>'


@pytest.mark.parametrize("program", BOTH)
def test_mutt_reads_flags_files_and_searches(desk: Desk, program: str) -> None:
    desk.write("muttrc", SETTINGS)
    with Terminal(desk, [program, "-F", desk.home / "muttrc"]) as terminal:
        terminal.wait_for("letter 11")
        for keys in (
            find("letter 03") + "<pipe-message>cat > read.txt<enter>",
            find("letter 03") + "<display-message><exit>",
            find("letter 04") + "<flag-message>",
            find("letter 05") + "<delete-message>",
            find("letter 06") + "<save-message>=Archive<enter>",
            find("letter 07") + "<copy-message>=Projects<enter>",
            # only the server can look into bodies that mutt has not fetched
            '<tag-pattern>=b "mulberry09"<enter><tag-prefix><flag-message>',
            "<sync-mailbox><quit>",
        ):
            terminal.send(":push '" + keys + "'\r")
        assert terminal.wait() == 0
    assert b"mulberry03" in (desk.home / "read.txt").read_bytes()
    assert "\\Seen" in desk.flags("letter 03")
    assert "\\Flagged" in desk.flags("letter 04")
    assert "\\Flagged" in desk.flags("letter 09")
    assert "\\Flagged" not in desk.flags("letter 10")
    assert desk.subjects() == [f"letter {n:02}" for n in range(12) if n not in (5, 6)]
    assert desk.subjects("Archive") == ["letter 06"]
    assert desk.subjects("Projects") == ["letter 07"]


@pytest.mark.parametrize("program", BOTH)
def test_mutt_finds_its_cache_again(desk: Desk, program: str) -> None:
    """The second time it asks for changes only (QRESYNC)."""
    desk.write("muttrc", SETTINGS)
    for _ in range(2):
        with Terminal(desk, [program, "-F", desk.home / "muttrc"]) as terminal:
            terminal.wait_for("letter 11")
            terminal.send("q")
            assert terminal.wait() == 0
        with desk.proxy.imap() as client:
            client.store("1", "+FLAGS", "\\Deleted")
            client.store("2", "+FLAGS", "\\Flagged")
            client.expunge()
    with Terminal(desk, [program, "-F", desk.home / "muttrc"]) as terminal:
        terminal.wait_for("letter 11")
        terminal.send(
            ":push '<tag-pattern>~F<enter><tag-prefix><pipe-message>cat > f.txt<enter>'\r"
        )
        terminal.send(":push '<quit>'\r")
        assert terminal.wait() == 0
    # what the first round flagged the second one removed
    assert (desk.home / "f.txt").read_text().count("Subject:") == 1
    assert len(desk.subjects()) == 10


@pytest.mark.parametrize("program", BOTH)
def test_mutt_sees_new_mail_come(desk: Desk, program: str) -> None:
    desk.write("muttrc", SETTINGS)
    with Terminal(desk, [program, "-F", desk.home / "muttrc"]) as terminal:
        terminal.wait_for("letter 11")
        fresh = b"From: carol@example.net\r\nSubject: pushed to mutt\r\n\r\nhello\r\n"
        desk.proxy.user.server.deliver(fresh, desk.address)
        with desk.proxy.imap() as client:
            assert eventually(lambda: client.search(None, "SUBJECT", '"pushed to mutt"')[1][0])
        terminal.wait_for("pushed to mutt")
        terminal.send("q")
        assert terminal.wait() == 0


@pytest.mark.parametrize("program", BOTH)
def test_mutt_keeps_a_draft(desk: Desk, program: str) -> None:
    desk.write("muttrc", SETTINGS)
    desk.write("edit.sh", '#!/bin/sh\necho "a draft of mutt" >> "$1"\n').chmod(0o700)
    with Terminal(
        desk, [program, "-F", desk.home / "muttrc", "-s", "later", "bob@example.net"]
    ) as terminal:
        terminal.wait_for("later")
        terminal.send("P")  # postpone
        terminal.wait()  # nothing was sent: its exit code says so
    assert eventually(lambda: desk.subjects("Drafts") == ["later"])
    assert b"a draft of mutt" in desk.views("Drafts")[0]


AERC = """
[proxy]
source = imaps://{quoted}:{{password}}@{{host}}:{{imaps}}
from = Owner <{{user}}>
default = INBOX
archive = Archive
postpone = Drafts
outgoing = /bin/true
cache-headers = true
"""


@needs("aerc")
def test_aerc_flags_files_and_removes(desk: Desk) -> None:
    desk.write(".config/aerc/accounts.conf", AERC.format(quoted=quote(desk.address, safe="")))
    with Terminal(desk, ["aerc"]) as terminal:
        terminal.wait_for("letter 11")
        for subject, command, done in (
            ("letter 04", ":flag", lambda: "\\Flagged" in desk.flags("letter 04")),
            ("letter 05", ":copy Sent", lambda: desk.subjects("Sent") == ["letter 05"]),
            ("letter 06", ":archive flat", lambda: desk.subjects("Archive") == ["letter 06"]),
            ("letter 07", ":delete-message", lambda: "letter 07" not in desk.subjects()),
            ("letter 08", ":read", lambda: "\\Seen" in desk.flags("letter 08")),
            ("letter 09", ":mkdir Projects", lambda: "Projects" in desk.mailboxes()),
        ):
            terminal.send(f":search {subject[-2:]}\r")
            terminal.settle()
            terminal.send(f"{command}\r")
            terminal.until(done)
        terminal.send(":quit\r")
        assert terminal.wait() == 0
    assert desk.subjects() == [f"letter {n:02}" for n in range(12) if n not in (6, 7)]


PINERC = """
inbox-path={{{host}:{imaps}/ssl/user={user}}}INBOX
folder-collections=proxy {{{host}:{imaps}/ssl/user={user}}}[]
default-fcc=
personal-name=Owner
feature-list=quit-without-confirm,enable-aggregate-command-set,enable-flag-cmd,
  expunge-without-confirm,enable-jump-cmd
"""


@needs("alpine")
def test_alpine_flags_files_and_removes(desk: Desk) -> None:
    desk.write(".pinerc", PINERC)
    with Terminal(desk, ["alpine", "-p", desk.home / ".pinerc", "-i"]) as terminal:
        terminal.wait_for("Exit this greeting")
        terminal.send("E")
        terminal.wait_for("ENTER PASSWORD")
        terminal.send(desk.password + "\r")
        terminal.wait_for("Preserve password")
        terminal.send("N")
        terminal.wait_for("letter 11")
        for keys in ("J", "5\r", "*", "*"):
            terminal.send(keys)
            terminal.settle(0.5)
        terminal.until(lambda: "\\Flagged" in desk.flags("letter 04"))
        for keys in ("J", "6\r", "S", "Archive\r"):
            terminal.send(keys)
            terminal.settle(0.5)
        terminal.until(lambda: desk.subjects("Archive") == ["letter 05"])
        for keys in ("J", "7\r", "D", ";", "T", "A", "mulberry09\r", "A", "*", "A"):
            terminal.send(keys)
            terminal.settle(0.5)
        terminal.until(lambda: "\\Answered" in desk.flags("letter 09"))
        terminal.send("X")
        terminal.until(lambda: "letter 06" not in desk.subjects())
        terminal.send("Q")
        assert terminal.wait() == 0
    assert desk.subjects() == [f"letter {n:02}" for n in range(12) if n not in (5, 6)]
