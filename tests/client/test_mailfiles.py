"""mbox, Maildir and single files: every message, its octets, flags and time."""

import mailbox
import os
from email.message import Message
from pathlib import Path

import pytest

from e2email_client import mailfiles
from e2email_client.failure import LocalFault
from e2email_client.mailfiles import Found, Kind, kind_of, messages, size_of
from support import corpus

FROM = b"From bob@example.net Tue Jan  5 10:11:12 2021\n"
TIME = 1_609_841_472


def mbox(path: Path, octets: bytes) -> list[Found]:
    path.write_bytes(octets)
    assert size_of(path, Kind.MBOX) == len(octets)
    found = list(messages(path, Kind.MBOX))
    assert sum(one.taken for one in found) == len(octets)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mail"


# --- mbox -------------------------------------------------------------------------------------


def test_messages_of_an_mbox(file: Path) -> None:
    one, two = mbox(file, FROM + b"Subject: a\n\nText\n\n\n" + FROM + b"Subject: b\n\nend\n\n")
    assert one.octets == b"Subject: a\r\n\r\nText\r\n\r\n"
    assert two.octets == b"Subject: b\r\n\r\nend\r\n"
    assert one.when == two.when == TIME
    assert one.where.endswith("mail, message 1")


@pytest.mark.parametrize(
    "line",
    [
        b"From - Tue Jan 05 10:11:12 2021",  # Thunderbird
        b"From 1234@xxx Tue Jan 05 10:11:12 +0000 2021",  # Google Takeout
        b"From MAILER-DAEMON Tue Jan  5 10:11:12 2021 +0000",
        b"From a b@example.net  Tue Jan  5 10:11:12 UTC 2021",
    ],
)
def test_separators_of_other_programs(file: Path, line: bytes) -> None:
    found = mbox(file, FROM + b"\na\n\n" + line + b"\n\nb\n\n")
    assert [one.octets for one in found] == [b"\r\na\r\n", b"\r\nb\r\n"]
    assert found[1].when == TIME


@pytest.mark.parametrize(
    "text",
    [
        b"From here on it rains.\n",  # no date
        b"x\n" + FROM,  # no empty line in front
        b"\nFrom: a@example.net\n",
        b"\nFrom bob@example.net Tue Jan 33\n",
    ],
)
def test_what_only_looks_like_a_separator(file: Path, text: bytes) -> None:
    (one,) = mbox(file, FROM + b"Subject: a\n\n" + text + b"\n")
    assert one.octets == (b"Subject: a\n\n" + text).replace(b"\n", b"\r\n")


def test_quoted_lines_lose_one_sign(file: Path) -> None:
    (one,) = mbox(file, FROM + b"\n>From a\n>>From b\n> From c\nx >From d\n\n")
    assert one.octets == b"\r\nFrom a\r\n>From b\r\n> From c\r\nx >From d\r\n"


def test_a_message_with_its_own_line_ends_stays_as_it_is(file: Path) -> None:
    (one,) = mbox(file, FROM + b"Subject: a\r\n\r\nbare\nand\rcr\r\n\n")
    assert one.octets == b"Subject: a\r\n\r\nbare\nand\rcr\r\n"


def test_no_end_and_no_message(file: Path) -> None:
    assert [one.octets for one in mbox(file, FROM + b"\nno end")] == [b"\r\nno end"]
    assert [one.octets for one in mbox(file, FROM)] == [b""]
    assert mbox(file, b"") == []


def test_flags_that_programs_write_into_the_header(file: Path) -> None:
    header = b"Status: RO\nX-Status: AFT\nSubject: a\n\n"
    (one,) = mbox(file, FROM + header + b"Status: D\n\n")
    assert one.flags == {"\\Seen", "\\Answered", "\\Flagged", "\\Draft"}
    (one,) = mbox(file, FROM + b"X-Mozilla-Status: 1007\nSubject: a\n\n")
    assert one.flags == {"\\Seen", "\\Answered", "\\Flagged", "$Forwarded"}
    assert not one.deleted


def test_what_thunderbird_deleted_is_told(file: Path) -> None:
    """Unless it was the sender who wrote the field: then the mail would get lost."""
    (one,) = mbox(file, FROM + b"X-Mozilla-Status: 0009\nSubject: a\n\n")
    assert one.deleted
    (one,) = mbox(file, FROM + b"Subject: a\nX-Mozilla-Status: 0009\n\n")
    assert not one.deleted


def test_too_large_a_message_is_passed_over(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailfiles, "MAX_MAIL", 1000)
    monkeypatch.setattr(mailfiles, "PIECE", 64)
    fits = b"x" * 998 + b"\r\n"
    found = mbox(file, FROM + fits + b"\n" + FROM + b"x" + fits + b"\n" + FROM + b"\nb\n\n")
    assert [one.octets for one in found] == [fits, None, b"\r\nb\r\n"]


def test_long_lines_come_in_pieces(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailfiles, "PIECE", 64)
    line = b"\n" + b"y" * 64 + FROM + b">From z\n"
    (one,) = mbox(file, FROM + line + b"\n")
    assert one.octets == (line.replace(b"\n>From", b"\nFrom")).replace(b"\n", b"\r\n")


def test_what_is_no_mbox(file: Path) -> None:
    with pytest.raises(LocalFault, match="From line"):
        mbox(file, b"Subject: a\n\n" + FROM)


def test_what_python_writes_comes_back(file: Path) -> None:
    """The standard library's mbox quotes and separates as mutt does."""
    store = mailbox.mbox(file, create=True)
    mails = [
        octets.replace(b"\r\n", b"\n")
        for _, octets in list(corpus.messages())[::9]
        if b"\r" not in octets.replace(b"\r\n", b"\n") and not octets.startswith(b"From ")
    ]
    for octets in mails:
        store.add(octets)
    store.close()
    found = list(messages(file, Kind.MBOX))
    quoted = [one for one in mails if b"\n>From " in one]  # it quotes no second time
    assert len(found) == len(mails)
    for one, octets in zip(found, mails, strict=True):
        if octets not in quoted:
            assert one.octets == octets.replace(b"\n", b"\r\n")


# --- Maildir and single files -----------------------------------------------------------------


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    path = tmp_path / "Maildir"
    store = mailbox.Maildir(path)
    for number, flags in enumerate(("FRS", "", "DTP")):
        message = mailbox.MaildirMessage(Message())
        message["Subject"] = str(number)
        message.set_flags(flags)
        message.set_subdir("cur" if flags else "new")
        message.set_date(TIME + number)
        store.add(message)
    (path / "cur" / ".hidden").write_bytes(b"x")
    (path / "tmp" / "half").write_bytes(b"x")
    (path / ".Sub" / "cur").mkdir(parents=True)
    (path / ".Sub" / "cur" / "1").write_bytes(b"x")
    return path


def test_a_maildir(maildir: Path) -> None:
    assert kind_of(maildir) is Kind.MAILDIR
    found = {one.when: one for one in messages(maildir, Kind.MAILDIR)}
    assert found.keys() == {TIME, TIME + 1, TIME + 2}
    assert [found[TIME + n].flags for n in range(3)] == [
        {"\\Flagged", "\\Answered", "\\Seen"},
        set(),
        {"\\Draft", "\\Deleted", "$Forwarded"},
    ]
    assert found[TIME].octets == b"Subject: 0\r\n\r\n"
    assert size_of(maildir, Kind.MAILDIR) == sum(one.taken for one in found.values())


def test_names_of_maildir_files() -> None:
    flags = mailfiles._maildir_flags
    assert flags("1.M2P3.host,S=4:2,SZ") == {"\\Seen"}
    assert flags("1.host;2,S") == flags("1.host!2,S") == {"\\Seen"}  # on Windows' file systems
    assert flags("1.host,2,S") == flags("1.host:1,S") == flags("1.host") == set()


def test_a_single_file(file: Path) -> None:
    file.write_bytes(b"Subject: a\n\nb\n")
    assert kind_of(file) is Kind.EML
    (one,) = messages(file, Kind.EML)
    assert (one.octets, one.flags, one.when) == (b"Subject: a\r\n\r\nb\r\n", frozenset(), None)


def test_a_single_file_that_is_too_large(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailfiles, "MAX_MAIL", 10)
    file.write_bytes(b"x" * 11)
    (one,) = messages(file, Kind.EML)
    assert one.octets is None


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for kind in Kind:
        with pytest.raises(LocalFault):
            size_of(tmp_path / "nowhere", kind)
    with pytest.raises(LocalFault, match="not a Maildir"):
        kind_of(tmp_path)
    with pytest.raises(LocalFault):
        kind_of(tmp_path / "nowhere")


def test_nothing_of_the_mail_in_its_repr(file: Path) -> None:
    (one,) = mbox(file, FROM + b"Subject: canary\n\n")
    assert "canary" not in repr(one)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_is_forbidden(file: Path) -> None:
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(LocalFault):
        list(messages(file, Kind.EML))
