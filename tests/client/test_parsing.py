"""Opened mail is parsed in children without a key: what comes back, and every way they can end."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from e2email_client import parsing
from e2email_client.digest import (
    Digest,
    Heading,
    digest,
    digest_of,
    digest_segments,
    heading_of,
    pack,
)
from e2email_client.parsing import NoParser, Parsing
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.opened import CopyOfStored
from e2email_protocol.sealed.view import join_view, opened_view
from support import corpus, sealing

MAIL = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: a@b\r\nX-A: 1\r\n\r\nSTRA\xc3\x9fE\r\n"
# What a child does instead of its work.
ENDS = {
    "dies": "os._exit(1)",
    "is killed": "os.kill(os.getpid(), 9)",
    "takes too much memory": "b'x' * (1 << 40)",
    "takes too long": "import time; time.sleep(60)",
    "speaks nonsense": "os.write(3, b'x' * 4096); os.write(1, b'x' * 4096)",
}


@pytest.fixture
def parser() -> Iterator[Parsing]:
    made = Parsing(workers=1)
    yield made
    made.close()


def test_what_comes_back_is_what_this_process_would_have_found(parser: Parsing) -> None:
    mails = [octets for _, octets in corpus.messages()][::5]
    assert parser.digests(mails) == [digest(Mail(octets)) for octets in mails]


def test_text_is_folded_for_search(parser: Parsing) -> None:
    (found,) = parser.digests([MAIL])
    assert found is not None
    assert found.header_text == "subject: grüsse\nfrom: a@b\nx-a: 1"
    assert "strasse" in found.text
    assert (found.heading.subject, found.summary.names) == ("Grüße", (b"x-a",))


def test_headings(parser: Parsing) -> None:
    found = parser.headings([b"Subject: a\r\n", b"", b"\xff\xfe: \xff\r\nFrom: \x00\r\n"])
    assert [one.subject for one in found if one] == ["a", "", ""]


@pytest.mark.parametrize(
    "entity",
    [
        b"Content-Type: text/plain\r\nSubject: inner\r\n\r\ntext\r\n",
        b"Content-Type: text/plain\n\nunix\n",
        b"no header at all",
        b"",
    ],
)
def test_the_view_of_an_encrypted_mail(parser: Parsing, entity: bytes) -> None:
    outer = sealing.encrypted_mail(b"x")
    mail = Mail(outer)
    found = parser.view(outer[: mail.root.body], entity)
    assert found is not None
    view = opened_view(mail, entity)
    assert join_view(found.front, found.start, entity) == view
    assert found.digest == digest(Mail(view))


def test_a_copy_of_what_is_stored_is_refused(parser: Parsing) -> None:
    with pytest.raises(CopyOfStored) as caught:
        parser.view(b"From: =?utf-8?q?M?= <m@x>\r\n\r\n", b"E2email-Seal: 1\r\n\r\nhi\r\n")
    assert "m@x" in caught.value.sender


def hostile(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """From now on children end so at any mail that says `hostile`."""
    real = parsing.start

    def start(_: str, __: int) -> subprocess.Popen[bytes]:
        code = (
            f"import os, sys; sys.path[:] = {sys.path!r};"
            "from e2email_client import parsing_child as child; real = child._answer\n"
            "def answer(kind, octets, entity):\n"
            f"    if b'hostile' in octets:\n        {what}\n"
            "    return real(kind, octets, entity)\n"
            "child._answer = answer; child.main()"
        )
        command = [sys.executable, "-c", code]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0
        )

    assert real is not start
    monkeypatch.setattr(parsing, "start", start)
    monkeypatch.setattr(parsing, "DEADLINE", 1.0)


@pytest.mark.parametrize("end", ENDS)
def test_a_mail_that_ends_its_child_costs_only_itself(
    parser: Parsing, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    hostile(monkeypatch, ENDS[end])
    good = [b"Subject: %d\r\n\r\n" % n for n in range(3)]
    found = parser.digests([good[0], b"hostile", good[1], b"hostile too", good[2]])
    assert [one and one.heading.subject for one in found] == ["0", None, "1", None, "2"]
    assert parser.view(b"hostile: 1\r\n\r\n", b"") is None


def test_a_child_that_was_killed_between_two_mails_is_nobodys_fault(parser: Parsing) -> None:
    assert parser.digests([MAIL])[0] is not None
    child = parser._idle.queue[0]
    assert child is not None
    child._process.kill()
    child._process.wait()
    assert parser.digests([MAIL])[0] is not None


def test_a_child_that_does_not_work_at_all_blames_no_mail(
    parser: Parsing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: str, __: int) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", ""], stdin=pipe, stdout=pipe, bufsize=0)

    with monkeypatch.context() as broken:
        broken.setattr(parsing, "start", start)
        with pytest.raises(NoParser):
            parser.digests([MAIL])

    def none(_: str, __: int) -> None:
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(parsing, "start", none)
        with pytest.raises(NoParser):
            parser.headings([MAIL])
    assert parser.digests([MAIL])[0] is not None


def test_the_child_ends_with_its_parent(parser: Parsing) -> None:
    parser.headings([b""])
    (child,) = parser._idle.queue
    assert child is not None
    process = child._process
    process.stdin.close()
    assert process.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_child_is_confined_and_knows_no_cryptography(parser: Parsing) -> None:
    parser.digests([MAIL])
    (child,) = parser._idle.queue
    assert child is not None
    folder = f"/proc/{child._process.pid}"
    assert os.stat(folder).st_uid == 0 or os.getuid() != 0  # not dumpable: owned by root
    with open(f"{folder}/limits") as limits:
        said = {line[:26].strip(): line[26:].split()[0] for line in limits}
    assert (said["Max core file size"], said["Max file size"]) == ("0", "0")
    assert int(said["Max address space"]) == 512 << 20
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys; from e2email_client import parsing_child;"
         "print([m for m in sys.modules if 'crypto' in m.split('.')[0] or 'nacl' in m])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout == "[]\n"


def test_large_mail_within_the_memory(parser: Parsing) -> None:
    text = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "ẞ日".encode() * (50 << 17)
    (found,) = parser.digests([text])
    assert found is not None
    assert found.summary.size == len(text)
    assert 4 << 20 <= len(found.text) <= 12 << 20


@pytest.mark.parametrize("at", range(11), ids=lambda n: f"segment {n}")
def test_an_answer_out_of_form_is_refused(at: int) -> None:
    good = digest_segments(digest(Mail(MAIL)))
    assert digest_of(good) == digest(Mail(MAIL))
    for bad in (b"\xff\xfe)(", b"[1, 2, 3]", b'{"size": 1e99}'):
        broken = [*good[:at], bad, *good[at + 1 :]]
        try:
            read = digest_of(broken)
        except (ValueError, TypeError, KeyError):
            continue
        assert isinstance(read, Digest)  # free text may be anything
        assert read.summary.structure == good[2]
        assert read.heading.envelope == good[8]
    with pytest.raises((ValueError, TypeError)):
        digest_of(good[:at])


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [b"0", b"(", b"", b"", b""],
        [b"0", b"() ()", b"", b"", b""],
        [b"0", b"()\r\n* BYE", b"", b"", b""],
        [b"x", b"()", b"", b"", b""],
        [b"9" * 40, b"()", b"", b"", b""],
        [b"0", b"()", b"\xff", b"", b""],
    ],
)
def test_a_heading_out_of_form_is_refused(segments: list[bytes]) -> None:
    with pytest.raises((ValueError, TypeError)):
        heading_of(segments)


def test_many_threads_share_the_children() -> None:
    from concurrent.futures import ThreadPoolExecutor

    parser = Parsing(workers=2)
    try:
        with ThreadPoolExecutor(6) as threads:
            asked = [[b"Subject: %d.%d\r\n" % (n, i) for i in range(150)] for n in range(6)]
            for n, found in enumerate(threads.map(parser.headings, asked)):
                assert [one.subject for one in found if one] == [f"{n}.{i}" for i in range(150)]
    finally:
        parser.close()
    with pytest.raises(ValueError):
        parser.headings([b""])


def test_reprs_show_no_mail() -> None:
    found = digest(Mail(b"Subject: CANARY\r\n\r\nCANARY\r\n"))
    heading = Heading(b"(CANARY)", "CANARY", "CANARY", "CANARY", 0)
    assert "CANARY" not in repr((found, heading, parsing.View(b"CANARY", 0, found)))


def test_packed_lengths() -> None:
    assert (
        pack([b"a", b"", b"bcd"]) == bytes.fromhex("00000003 00000001 00000000 00000003") + b"abcd"
    )
