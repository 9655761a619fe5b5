"""The journal on a disk that is really full: 12 MiB of memory, filled to the last block."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2email_client.failure import LocalFault
from e2email_client.local import cache
from e2email_client.local.entries import Change, Place
from e2email_client.local.journal import Journal
from e2email_client.local.reserve import Reserve
from support.home import eventually, home
from support.sealed_face import house

INBOX = Place("INBOX", "", 7)
SEEN, NONE = frozenset({"\\Seen"}), frozenset()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no disk of its own can be mounted here: a full one is NOT tried")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with suppress(OSError), (folder / "rest").open("ab", buffering=0) as rest:
        while True:
            rest.write(b"x" * 4096)
    assert os.statvfs(folder).f_bavail == 0


def journal_in(folder: Path) -> Journal:
    reserve = Reserve(folder / "journal.reserve", 1024 * 1024)
    reserve.hold()
    return Journal(cache.open_state(folder / "state.db", bytes(32)), reserve)


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


def promises(journal: Journal, most: int) -> int:
    """How many were promised until the disk said no."""
    for count in range(most):
        try:
            journal.flags(INBOX, [Change((count + 1,), SEEN, NONE)])
        except LocalFault:
            return count
    return most


def test_promises_go_on_where_nothing_else_can_be_written(disk: Path) -> None:
    journal = journal_in(disk)
    journal.flags(INBOX, [Change((1,), SEEN, NONE)])
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        (disk / "other").write_bytes(b"x" * 8192)
    (disk / "other").unlink()
    assert promises(journal, 1000) == 1000
    # what is written to the file goes on when there is room, and is complete then
    assert len(journal.pending()) == 1001


def test_every_promise_is_there_and_nothing_else_is_promised(disk: Path) -> None:
    journal = journal_in(disk)
    fill(disk)
    promised = promises(journal, 100_000)
    assert 1000 < promised < 100_000
    again = cache.open_state(disk / "state.db", bytes(32))
    found = Journal(again, Reserve(disk / "journal.reserve", 1)).pending()
    assert [one.uids for one in found] == [(uid + 1,) for uid in range(promised)]
    # and when there is room, it goes on
    (disk / "rest").unlink()
    assert promises(journal, 10) == 10
    ids = [one.id for one in journal.pending()]
    journal.done(ids)
    assert (disk / "journal.reserve").exists()


async def test_a_program_goes_on_reading_and_filing(disk: Path, monkeypatch) -> None:
    """The server is gone and the disk is full: flags and deletions are promised, and kept."""
    async with house() as server:
        await server.deliver(*(mail(number) for number in range(1, 6)))
        async with home(server, disk, monkeypatch) as here:
            await here.shown(1, 2, 3, 4, 5)
            here.lose()
            await eventually(lambda: not here.live.online)
            fill(disk)
            talk = await here.talk().login()
            for number in range(1, 6):
                await talk.ok(b"STORE %d +FLAGS (\\Seen)" % number)
            await talk.ok(b"STORE 2 +FLAGS (\\Deleted)")
            assert b"* 2 EXPUNGE" in await talk.ok(b"EXPUNGE")
            assert here.uids() == [1, 3, 4, 5]
            (disk / "rest").unlink()
            here.down = False
            await eventually(lambda: not here.journal.anything_pending())
            other = await here.remote()
            await other.select("INBOX")
            assert await other.flags(1, 9) == [(uid, SEEN) for uid in (1, 3, 4, 5)]
            other.close()
