"""Mail written as Maildir and mbox, read back by our own reader and by Python's."""

import mailbox
import os
import stat
from pathlib import Path

import pytest

from e2email_client import mailfiles, mailfolders
from e2email_client.failure import LocalFault
from e2email_client.mailfiles import Kind

WHEN = 1_609_841_472
ODD = b"Subject: odd\r\nFrom \r\n\r\n>From here\nbare\rand\x00 no end"
MAILS = [
    (b"Subject: one\r\n\r\nText\r\n", ("\\Seen", "\\Flagged"), WHEN),
    (b"Subject: two\r\n\r\nFrom the start\r\n>From quoted\r\n\r\n", ("\\Answered", "label"), 7),
    (b"", (), 0),
    (ODD + b"\r\n", ("\\Draft", "\\Deleted", "$Forwarded"), WHEN + 2),
]  # fmt: skip


def fill(folder: Path, kind: str, mails=MAILS, name: str = "INBOX") -> None:
    with mailfolders.writing(folder, kind) as target:
        for octets, flags, when in mails:
            target.put(name, octets, flags, when)


def test_a_maildir_holds_octets_flags_and_times(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    fill(folder, "maildir", [*MAILS, (ODD, (), WHEN)])
    found = list(mailfiles.messages(folder / "INBOX", Kind.MAILDIR))
    wanted = [(octets, {f for f in flags if f != "label"}, when) for octets, flags, when in MAILS]
    got = [(one.octets, set(one.flags), one.when) for one in found]
    assert sorted(got, key=repr) == sorted([*wanted, (ODD, set(), WHEN)], key=repr)
    assert len(list(mailbox.Maildir(folder / "INBOX", create=False))) == len(MAILS) + 1


def test_an_mbox_holds_octets_and_times(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    fill(folder, "mbox")
    found = list(mailfiles.messages(folder / "INBOX.mbox", Kind.MBOX))
    assert [(one.octets, one.when) for one in found] == [
        (octets, when) for octets, _, when in MAILS
    ]


@pytest.mark.parametrize("kind", mailfolders.KINDS)
def test_only_the_owner_reads_it_and_no_name_leaves_the_folder(tmp_path: Path, kind: str) -> None:
    before = os.umask(0o077)
    try:
        fill(tmp_path / "mail", kind, name="../../weird/\u00fc\n")
    finally:
        os.umask(before)
    assert [one.name for one in tmp_path.iterdir()] == ["mail"]
    for path in [tmp_path / "mail", *(tmp_path / "mail").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    with pytest.raises(LocalFault, match="exists already"):
        fill(tmp_path / "mail", "maildir")
    assert list(tmp_path.rglob("*")) == [tmp_path / "mail"]


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_half_a_folder_is_none(tmp_path: Path, fault: BaseException) -> None:
    wanted = LocalFault if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(wanted), mailfolders.writing(tmp_path / "mail", "maildir") as target:
        target.put("INBOX", b"x", (), WHEN)
        raise fault
    assert list(tmp_path.iterdir()) == []
