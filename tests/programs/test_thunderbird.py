"""A day in Thunderbird: every step is done as a person does it and looked up behind its back.

`make test-thunderbird` runs it and keeps screenshots.
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import thunderbird
from support.system import Proxy, Server, User, eventually, server
from support.thunderbird import Thunderbird

SHOTS = os.environ.get("E2EMAIL_SHOTS")
LETTERS = 12
PUSH_SECONDS = 20.0  # below Thunderbird's own minute of polling

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(thunderbird.missing()),
        reason=f"{thunderbird.missing()} not installed: NOT tested with Thunderbird",
    ),
]


def mail(subject: str, body: str, extra: str = "") -> bytes:
    slug = re.sub(r"\W+", "-", subject.encode("ascii", "replace").decode())
    header = (
        "From: =?utf-8?q?J=C3=BCrgen_Gro=C3=9F?= <juergen@example.net>\n"
        "To: alice@example.test\n"
        f"Subject: {subject}\n"
        "Date: Sun, 22 Nov 2026 10:00:00 +0000\n"
        f"Message-ID: <{slug}@example.net>\n"
        "MIME-Version: 1.0\n"
        f"{extra or 'Content-Type: text/plain; charset=utf-8'}\n\n"
    )
    return (header + body).encode().replace(b"\n", b"\r\n")


WITH_ATTACHMENT = mail(
    "photos of the garden",
    "--x\nContent-Type: text/html; charset=utf-8\n\n<p>Here is the <b>old pear tree</b>.</p>\n"
    "--x\nContent-Type: image/png; name=tree.png\n"
    "Content-Disposition: attachment; filename=tree.png\nContent-Transfer-Encoding: base64\n\n"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg==\n--x--\n",
    'Content-Type: multipart/mixed; boundary="x"',
)


class Day:
    """What the steps share: who, through what, and who looks."""

    def __init__(self, house: Server, user: User, proxy: Proxy, bird: Thunderbird) -> None:
        self.house, self.user, self.proxy, self.bird = house, user, proxy, bird

    def deliver(self, octets: bytes) -> None:
        self.house.deliver(octets, self.user.address)

    def flags(self, subject: str, mailbox: str = "INBOX") -> set[str]:
        """What the proxy tells another program of the one mail with this subject."""
        with self.proxy.imap(mailbox) as client:
            _, found = client.search(None, "SUBJECT", f'"{subject}"')
            numbers = found[0].split()
            assert len(numbers) == 1, f"{len(numbers)} of {subject} in {mailbox}"
            _, fetched = client.fetch(numbers[0].decode(), "(FLAGS)")
        inside = re.search(rb"FLAGS \(([^)]*)\)", fetched[0])
        assert inside is not None
        return set(inside[1].decode().split())

    def subjects(self, mailbox: str) -> list[str]:
        with self.proxy.imap(mailbox) as client:
            _, fetched = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        fields = [one[1] for one in fetched if isinstance(one, tuple)]
        return sorted(one.decode().partition(":")[2].strip() for one in fields)

    def has(self, mailbox: str, *subjects: str) -> bool:
        found = self.subjects(mailbox)
        return all(found.count(one) == 1 for one in subjects)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    shots = Path(SHOTS) if SHOTS else None
    with server(folder / "server") as house:
        user = house.user("alice@example.test", folder / "alice")
        for n in range(LETTERS):
            house.deliver(
                mail(f"letter {n}", f"The word of day {n} is mulberry{n}.\n"), user.address
            )
        house.deliver(WITH_ATTACHMENT, user.address)
        user.sync()
        with user.proxy() as proxy, Thunderbird(proxy, folder / "bird", shots) as bird:
            bird.show("INBOX")
            bird.wait("headers(folder('INBOX')).length == args[0]", 60, LETTERS + 1)
            yield Day(house, user, proxy, bird)


def test_folders_have_their_roles(day: Day) -> None:
    flags = dict(day.bird.value("root.descendants.map(f => [f.name, f.flags])"))
    for name, role in (
        ("INBOX", 0x1000),
        ("Drafts", 0x400),
        ("Sent", 0x200),
        ("Trash", 0x100),
        ("Archive", 0x4000),
        ("Junk", 0x40000000),
    ):
        assert flags[name] & role, name
    day.bird.shot("1-folders")


def test_lists_subjects_and_senders(day: Day) -> None:
    expected = [f"letter {n}" for n in range(LETTERS)] + ["photos of the garden"]
    assert day.bird.subjects("INBOX") == sorted(expected)
    assert day.bird.value("headers(folder('INBOX'))[0].mime2DecodedAuthor").startswith(
        "Jürgen Groß"
    )


def test_reads_a_letter_and_it_is_read_for_everybody(day: Day) -> None:
    day.bird.select("letter 3")
    day.bird.wait_text("mulberry3")
    assert eventually(lambda: "\\Seen" in day.flags("letter 3"))
    assert "\\Seen" not in day.flags("letter 4")
    day.bird.shot("2-reads")


def test_shows_html_and_lists_the_attachment(day: Day) -> None:
    day.bird.select("photos of the garden")
    day.bird.wait_text("old pear tree")
    day.bird.wait("message().currentAttachments.length == 1")
    assert day.bird.value("message().currentAttachments[0].name") == "tree.png"
    day.bird.shot("3-html-and-attachment")


def test_stars_and_tags(day: Day) -> None:
    day.bird.select("letter 5")
    day.bird.command("cmd_markAsFlagged")
    day.bird.script("about().commandController._toggleMessageTag('$label1', true);")
    assert eventually(lambda: {"\\Flagged", "$label1"} <= day.flags("letter 5"))
    day.bird.shot("4-star-and-tag")
    day.bird.script("about().commandController._toggleMessageTag('$label1', false);")
    assert eventually(lambda: "$label1" not in day.flags("letter 5"))


def test_what_another_program_does_is_seen(day: Day) -> None:
    with day.proxy.imap() as client:
        _, found = client.search(None, "SUBJECT", '"letter 6"')
        client.store(found[0].decode(), "+FLAGS", "(\\Flagged \\Seen)")
    day.bird.wait(
        "headers(folder('INBOX')).some(h => h.mime2DecodedSubject == 'letter 6'"
        " && h.isFlagged && h.isRead)",
        PUSH_SECONDS,
    )


def test_new_mail_appears_by_itself(day: Day) -> None:
    day.deliver(mail("just arrived", "Pushed.\n"))
    began = time.monotonic()
    day.bird.wait(
        "headers(folder('INBOX')).some(h => h.mime2DecodedSubject == 'just arrived')", PUSH_SECONDS
    )
    print(f"new mail was listed after {time.monotonic() - began:.1f} s")
    day.bird.shot("5-new-mail")


def test_makes_a_folder_and_files_mail_in_it(day: Day) -> None:
    day.bird.script("root.createSubfolder('Garten & Küche', pane().msgWindow);")
    day.bird.wait("folder('Garten & Küche')")
    day.bird.select("letter 7")
    day.bird.command_with_folder("cmd_moveMessage", "Garten & Küche")
    day.bird.wait("!headers(folder('INBOX')).some(h => h.mime2DecodedSubject == 'letter 7')")
    day.bird.show("Garten & Küche")
    day.bird.wait("headers(folder('Garten & Küche')).length == 1")
    assert eventually(lambda: day.has('"Garten &- K&APw-che"', "letter 7"))
    assert "letter 7" not in day.subjects("INBOX")
    day.bird.shot("6-filed")


def test_copies(day: Day) -> None:
    day.bird.show("INBOX")
    day.bird.select("letter 8")
    day.bird.command_with_folder("cmd_copyMessage", "Archive")
    assert eventually(lambda: day.has("Archive", "letter 8"))
    assert day.has("INBOX", "letter 8")
    assert day.flags("letter 8", "Archive") == day.flags("letter 8")


def test_deletes_to_the_trash_and_for_good(day: Day) -> None:
    day.bird.select("letter 9")
    day.bird.command("cmd_delete")
    day.bird.wait("!headers(folder('INBOX')).some(h => h.mime2DecodedSubject == 'letter 9')")
    assert eventually(lambda: day.has("Trash", "letter 9"))
    assert "letter 9" not in day.subjects("INBOX")
    day.bird.show("Trash")
    day.bird.wait("headers(folder('Trash')).length == 1")
    day.bird.script("folder('Trash').emptyTrash(null);")
    assert eventually(lambda: day.subjects("Trash") == [])


def test_a_draft_is_kept_once_however_often_it_is_saved(day: Day) -> None:
    day.bird.compose("bob@example.net", "to be continued", "The first line.")
    day.bird.save_draft()
    assert eventually(lambda: day.has("Drafts", "to be continued"))
    assert "$e2email-sealed-when-stored" in day.flags("to be continued", "Drafts")
    day.bird.write(" And a second.")
    day.bird.save_draft()
    assert eventually(lambda: "a second" in draft(day))
    # the new one is stored before the old one is removed
    assert eventually(lambda: day.has("Drafts", "to be continued"))
    day.bird.close_composer()
    day.bird.show("Drafts")
    day.bird.wait("headers(folder('Drafts')).length == 1")
    assert day.bird.subjects("Drafts") == ["to be continued"]
    day.bird.shot("7-draft")


def draft(day: Day) -> str:
    with day.proxy.imap("Drafts") as client:
        _, fetched = client.fetch("1:*", "(BODY.PEEK[TEXT])")
    return b"".join(one[1] for one in fetched if isinstance(one, tuple)).decode()


def test_searches_bodies_on_the_server(day: Day) -> None:
    day.bird.show("INBOX")
    assert day.bird.search("INBOX", "mulberry2") == ["letter 2"]
    assert day.bird.search("INBOX", "nowhere to be found") == []


def test_renames_a_folder(day: Day) -> None:
    day.bird.script("folder('Garten & Küche').rename('Haus', pane().msgWindow);")
    day.bird.wait("folder('Haus') && !folder('Garten & Küche')")
    assert eventually(lambda: day.has("Haus", "letter 7"))
    day.bird.show("Haus")
    day.bird.wait("headers(folder('Haus')).length == 1")
    assert day.bird.subjects("Haus") == ["letter 7"]
    day.bird.shot("8-renamed")


def test_says_what_protects_each_mail(day: Day) -> None:
    """The keywords are there for whoever gives them a name under Settings, Tags."""
    assert "$e2email-sealed-on-arrival" in day.flags("letter 0")
    day.bird.wait(
        "headers(folder('INBOX')).find(h => h.mime2DecodedSubject == 'letter 0')"
        ".getStringProperty('keywords').includes('$e2email-sealed-on-arrival')"
    )


def test_reads_and_flags_while_the_server_is_away(day: Day) -> None:
    day.house.stop()
    try:
        day.bird.show("INBOX")
        day.bird.select("letter 10")
        day.bird.wait_text("mulberry10")
        day.bird.command("cmd_markAsFlagged")
        assert eventually(lambda: {"\\Flagged", "\\Seen"} <= day.flags("letter 10"))
        day.bird.shot("9-server-away")
    finally:
        day.house.start()
    assert eventually(lambda: "\\Flagged" in sealed_flags(day, "letter 10"), 120)


def sealed_flags(day: Day, subject: str) -> str:
    """What the server itself holds for the mail with this subject: the proxy knows its UID."""
    with day.proxy.imap() as client:
        _, found = client.uid("SEARCH", "SUBJECT", f'"{subject}"')
    with day.house.imap(day.user) as sealed:
        sealed.select("INBOX", readonly=True)
        _, fetched = sealed.uid("FETCH", found[0].decode(), "(FLAGS)")
    return str(fetched[0])
