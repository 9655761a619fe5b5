"""Large mail in encrypted files: any stretch, nothing readable, nothing left behind."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2email_client.local import bound, cache, contents, large, mailboxes, mails, reads
from e2email_client.local.chunks import LARGE, PART, ChunkFiles, Gone, file_size
from e2email_client.local.cipher import Database
from e2email_client.local.mails import Body, State
from e2email_client.local.reads import Octets
from support.local_mail import CANARY, KEY, fill, summary

CHUNK_KEY = bytes(range(32, 64))
SIZES = [1, PART - 1, PART, PART + 1, 3 * PART + 17]


def octets(size: int) -> bytes:
    return (b"%08d" * (size // 8 + 1) % tuple(range(size // 8 + 1)))[:size]


@pytest.fixture
def chunks(tmp_path: Path) -> ChunkFiles:
    return ChunkFiles(tmp_path / "chunks", CHUNK_KEY)


@pytest.fixture
def store(tmp_path: Path, chunks: ChunkFiles) -> Iterator[Database]:
    database = cache.open_cache(tmp_path / "cache.db", KEY, chunks)
    yield database
    database.close()


def files(database: Database) -> list[Path]:
    folder = database.path.parent / "chunks"
    return sorted(folder.iterdir()) if folder.exists() else []


def body(view: bytes, delivered: bytes | None = None) -> Body:
    return Body(view, view if delivered is None else delivered, 0, b"header")


BIG = octets(LARGE + 100_000)


def put(store: Database, *contents: Body) -> mailboxes.Mailbox:
    box = fill(store, len(contents))
    mails.put_bodies(
        store,
        [(f"e{n}", summary(state=State.OPENED), one) for n, one in enumerate(contents, 1)],
    )
    return box


@pytest.mark.parametrize("size", SIZES)
def test_any_stretch(chunks: ChunkFiles, size: int) -> None:
    content = octets(size)
    name = chunks.write(content)
    assert chunks.read(name, size) == content
    for start in (0, 1, PART - 1, PART, 2 * PART + 5, size - 1, size, size + 9):
        for count in (0, 1, 2, PART, size + 7):
            assert chunks.read(name, size, start, count) == content[start : start + count]


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_a_file_is_known(tmp_path: Path, chunks: ChunkFiles, size: int) -> None:
    name = chunks.write(octets(size))
    path = tmp_path / "chunks" / name
    assert path.stat().st_size == file_size(size)
    assert chunks.has(name, size)
    assert not chunks.has(name, size + 1)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def flip(octets: bytes) -> bytes:
    return octets[:1000] + bytes([octets[1000] ^ 1]) + octets[1001:]


def exchange(octets: bytes) -> bytes:
    box = file_size(PART)
    return octets[box : 2 * box] + octets[:box] + octets[2 * box :]


DAMAGE = {
    "one bit": flip,
    "exchanged parts": exchange,
    "cut at a part": lambda octets: octets[: file_size(PART)],
    "cut inside": lambda octets: octets[:-5],
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_none(tmp_path: Path, chunks: ChunkFiles, how: str) -> None:
    name = chunks.write(BIG * 2)
    path = tmp_path / "chunks" / name
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    with pytest.raises(Gone):
        chunks.read(name, len(BIG) * 2)


def test_a_file_is_no_other_and_under_no_other_key(tmp_path: Path, chunks: ChunkFiles) -> None:
    one, two = chunks.write(BIG), chunks.write(BIG[::-1])
    with pytest.raises(Gone):
        ChunkFiles(tmp_path / "chunks", KEY).read(one, len(BIG))
    with pytest.raises(Gone):
        chunks.read(one, len(BIG) - 1)
    folder = tmp_path / "chunks"
    (folder / one).rename(folder / two)
    with pytest.raises(Gone):
        chunks.read(two, len(BIG))


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, chunks: ChunkFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Iterator[bytes]:
        yield b"begin"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("e2email_client.local.chunks.blob.seal_chunks", full)
    with pytest.raises(OSError):
        chunks.write(BIG)
    assert list((tmp_path / "chunks").iterdir()) == []


def test_large_views_lie_in_files_and_small_ones_do_not(store: Database) -> None:
    box = put(store, body(BIG), body(b"small"), body(b"view", BIG), body(BIG, BIG + b"x"))
    assert len(files(store)) == 4
    assert large.octets(store) == 4 * len(BIG) + 1
    found = [mails.body(store, f"e{n}") for n in range(1, 5)]
    assert [(one.view, one.delivered) for one in found if one] == [
        (BIG, BIG),
        (b"small", b"small"),
        (b"view", BIG),
        (BIG, BIG + b"x"),
    ]
    known = reads.known(store, box.id, [1, 2, 3, 4], Octets.VIEW)
    assert [one.octets for one in known] == [None, b"small", b"view", None]
    assert mails.view(store, box.id, 1) == BIG
    assert mails.view(store, box.id, 4, 300_000, 10) == BIG[300_000:300_010]
    assert mails.view(store, box.id, 2, 1, 2) == b"ma"
    assert mails.view(store, box.id, 3, 1) == b"iew"
    assert mails.view(store, box.id, 9) is None


def test_nothing_readable_is_in_the_files(store: Database) -> None:
    put(store, body(CANARY.encode() * 50_000))
    (path,) = files(store)
    assert CANARY[:8].encode() not in path.read_bytes()


def test_only_what_is_asked_of_is_read(store: Database) -> None:
    """The last part is damaged: who asks for another one is not concerned."""
    box = put(store, body(octets(4 * PART)))
    (path,) = files(store)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert mails.view(store, box.id, 1, PART, 100) == octets(4 * PART)[PART : PART + 100]
    assert mails.view(store, box.id, 1, 3 * PART, 100) is None


@pytest.mark.parametrize("how", ["missing", "cut", "damaged"])
def test_a_lost_file_is_a_body_that_is_not_here(store: Database, how: str) -> None:
    box = put(store, body(BIG), body(b"small"))
    (path,) = files(store)
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if how == "cut" else flip(path.read_bytes()))
    if how == "damaged":  # seen when it is read
        assert mails.lacking(store, box.id, [1, 2], State.OPENED) == []
        assert mails.view(store, box.id, 1) is None
    assert mails.lacking(store, box.id, [1, 2], State.OPENED) == [(1, "e1")]
    assert mails.body(store, "e1") is None
    assert files(store) == []
    mails.put_bodies(store, [("e1", summary(state=State.OPENED), body(BIG))])
    assert mails.view(store, box.id, 1) == BIG
    assert mails.lacking(store, box.id, [1, 2], State.OPENED) == []


def test_files_go_with_their_rows(store: Database) -> None:
    box = put(store, body(BIG), body(BIG, BIG + b"x"), body(b"small"))
    mails.put_bodies(store, [("e1", summary(state=State.OPENED), body(BIG))])
    assert len(files(store)) == 3  # written anew, the old one removed
    contents.remove(store, box.id, [2])
    mailboxes.sweep(store)
    large.collect(store)
    assert len(files(store)) == 1
    mailboxes.drop(store, [box])
    mailboxes.sweep(store)
    large.collect(store)
    assert files(store) == []


def test_mail_that_was_expunged_meanwhile_leaves_no_file(store: Database) -> None:
    fill(store, 1)
    mails.put_bodies(store, [("e9", summary(state=State.OPENED), body(BIG))])
    assert files(store) == []


def test_a_transaction_that_fails_leaves_no_file(store: Database) -> None:
    fill(store, 1)
    with pytest.raises(ValueError), large.placed(store, [BIG], lambda one: {large.VIEW: one}):
        assert len(files(store)) == 1
        raise ValueError
    assert files(store) == []


def test_room_is_made_of_files_too(store: Database) -> None:
    put(store, *(body(BIG) for _ in range(5)))
    used = bound.Room(store, 1).used()
    assert used > 5 * len(BIG)
    assert bound.Room(store, used).make(()) == 0
    assert bound.Room(store, used - 1).make(()) > 0
    assert len(files(store)) == large.octets(store) // len(BIG) < 5


def test_at_the_start_old_orphans_are_swept(tmp_path: Path, chunks: ChunkFiles) -> None:
    database = cache.open_cache(tmp_path / "cache.db", KEY, chunks)
    put(database, body(BIG))
    (kept,) = files(database)
    database.close()
    folder = kept.parent
    young, old, unfinished = folder / "young", folder / ("ab" * 8), folder / "cd.new"
    for one in (young, old, unfinished):
        one.write_bytes(b"x")
    for one in (kept, old, unfinished):
        os.utime(one, (time.time() - 7200,) * 2)
    cache.open_cache(tmp_path / "cache.db", KEY, chunks).close()
    assert files(database) == sorted([kept, young])
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"cache.db{suffix}").unlink(missing_ok=True)
    cache.open_cache(tmp_path / "cache.db", KEY, chunks).close()
    assert files(database) == [young]


def test_without_files_large_mail_is_kept_in_the_database(tmp_path: Path) -> None:
    database = cache.open_cache(tmp_path / "cache.db", KEY)
    box = put(database, body(BIG))
    assert files(database) == []
    assert mails.view(database, box.id, 1, 5, 10) == BIG[5:15]
    database.close()


def test_reprs_show_no_key(chunks: ChunkFiles) -> None:
    assert repr(chunks) == "ChunkFiles(chunks)"
