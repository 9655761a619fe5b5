"""250 leaves after the last sync of the disk: the running server's system calls, in order.

What a disk makes of a sync it acknowledged is beyond any program; docs/specs/durability.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from support import strace
from support.system import DOMAIN, Server

PAUL = f"paul@{DOMAIN}"
MAILS = 100
SYNC = re.compile(r"f(?:data)?sync\(\d+<(?P<path>[^>]*)>\) += 0")
WRITES = ("write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg")
CALLS = (*WRITES, "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "prctl")


@dataclass(frozen=True, slots=True)
class Traced:
    """A server that ran under strace, and what it called."""

    calls: list[str]
    accepted: int
    data: Path

    def replies(self) -> list[int]:
        """Where the reply to the data of each mail was written."""
        return [n for n, call in enumerate(self.calls) if '"250 2.0.0 ' in call and "seale" in call]

    def between_prompt_and_reply(self) -> Iterator[list[str]]:
        """The calls from 354 to 250 of each mail."""
        prompt = 0
        for number, call in enumerate(self.calls):
            if '"354 ' in call:
                prompt = number
            elif '"250 2.0.0 ' in call and "seale" in call:
                yield self.calls[prompt:number]


def large(number: int) -> bytes:
    return b"Subject: large %d\r\n\r\n" % number + b"large line %d\r\n" % number * 25_000


def small(number: int) -> bytes:
    return b"Subject: small %d\r\n\r\nsmall\r\n" % number


def traced(server: Server, output: Path, *mails: bytes) -> Traced:
    """One mail after the other, so that each sync belongs to one of them."""
    server.start(*strace.watching(output, *CALLS))
    try:
        with server.smtp() as client:
            replies = [client.send(mail, [PAUL])[-1][:3] for mail in mails]
    finally:
        server.stop()
    return Traced(strace.completed(output), replies.count("250"), server.data)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    strace.needed()
    made = Server(tmp_path_factory.mktemp("traced") / "server")
    made.start()
    made.user(PAUL, made.folder.parent / "paul")
    made.stop()
    return made


@pytest.fixture(scope="module")
def of_small(server: Server) -> Traced:
    return traced(server, server.folder / "small", *map(small, range(MAILS)))


@pytest.fixture(scope="module")
def of_large(server: Server) -> Traced:
    return traced(server, server.folder / "large", *map(large, range(MAILS // 5)))


def synced(calls: list[str]) -> list[str]:
    """Paths in the order in which they were synchronised."""
    return [found["path"] for call in calls if (found := SYNC.match(call))]


def at_last(calls: list[str], what: str) -> int:
    return max((n for n, call in enumerate(calls) if re.search(what, call)), default=-1)


def test_small_mail_is_in_the_log_before_250(of_small: Traced) -> None:
    found = list(of_small.between_prompt_and_reply())
    assert len(found) == of_small.accepted == MAILS
    for calls in found:
        assert synced(calls)[-1].endswith("/mail.db-wal")
        # nothing of the mail is written after the sync
        wrote = at_last(calls, r"^p?write(64|v)?\(\d+<[^>]*/mail\.db")
        assert 0 <= wrote < at_last(calls, r"^f(data)?sync\(\d+<[^>]*/mail\.db-wal>\) += 0")


def test_a_large_mail_is_a_durable_file_with_a_durable_name_before_250(of_large: Traced) -> None:
    found = list(of_large.between_prompt_and_reply())
    assert len(found) == of_large.accepted == MAILS // 5
    blobs = str(of_large.data / "blobs")
    for calls in found:
        file, folder, *_, log = synced(calls)
        assert file.startswith(blobs + "/")
        assert file.endswith(".tmp")
        assert folder == blobs
        assert log.endswith("/mail.db-wal")
        # write, sync of the file, rename, sync of the folder, then the row that names it
        wrote = at_last(calls, rf"^write\(\d+<{re.escape(file)}>")
        content = at_last(calls, rf"^fsync\(\d+<{re.escape(file)}>\)")
        renamed = at_last(calls, r"^rename.*= 0")
        name = at_last(calls, rf"^fsync\(\d+<{re.escape(blobs)}>\)")
        row = at_last(calls, r"^pwrite64\(\d+<[^>]*/mail\.db-wal>")
        assert 0 <= wrote < content < renamed < name < row


def test_the_syncs_of_a_mail_are_not_another_mails(of_small: Traced) -> None:
    """A guard for the tests above: between two replies there is a sync of its own each time."""
    replies = of_small.replies()
    for before, after in pairwise(replies):
        assert synced(of_small.calls[before:after])


def test_mail_goes_to_no_other_file(of_small: Traced, of_large: Traced) -> None:
    """Everything written lies below the data folder, or is the log."""
    for one in (of_small, of_large):
        written = {
            found[1]
            for call in one.calls
            if (found := re.match(r"p?write(?:64|v)?\(\d+<(/[^>]*)>", call))
        }
        outside = {path for path in written if not path.startswith(str(one.data))}
        names = {Path(path).name.split(".")[0] for path in outside}
        # the event loop wakes itself through a socket; the ports file is the harness's
        assert names <= {"server", "ports"}, outside


def test_the_server_made_itself_not_dumpable(of_small: Traced) -> None:
    assert any(re.match(r"prctl\(PR_SET_DUMPABLE, .*= 0", call) for call in of_small.calls)
