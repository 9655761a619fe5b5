"""Large bodies as files: one contract for both kinds, and the order of syncs on disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2email_server.store.blobs import BlobFiles, Blobs, MemoryBlobs


@pytest.fixture(params=["files", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return BlobFiles(tmp_path / "blobs") if request.param == "files" else MemoryBlobs()


def test_what_was_written_is_read_in_ranges(blobs: Blobs) -> None:
    name = blobs.write(b"0123456789")
    assert blobs.read(name, 0, 100) == b"0123456789"
    assert blobs.read(name, 4, 3) == b"456"
    assert blobs.read(name, 10, 3) == b""


def test_two_writes_are_two_files(blobs: Blobs) -> None:
    assert blobs.write(b"same") != blobs.write(b"same")


def test_what_is_unlinked_is_gone(blobs: Blobs) -> None:
    name = blobs.write(b"x")
    blobs.unlink([name, "0" * 32])
    with pytest.raises(FileNotFoundError):
        blobs.read(name, 0, 1)


def test_a_sweep_keeps_what_is_known(blobs: Blobs) -> None:
    kept, orphan = blobs.write(b"kept"), blobs.write(b"orphan")
    assert blobs.sweep({kept}) == 1
    assert blobs.read(kept, 0, 4) == b"kept"
    with pytest.raises(FileNotFoundError):
        blobs.read(orphan, 0, 1)


def test_content_and_name_are_durable_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that DESIGN §6 asks for: write, fsync, rename, fsync of the folder."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def watched_fsync(descriptor: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"
        steps.append(f"fsync {kind}")
        fsync(descriptor)

    def watched_rename(self: Path, target: Path) -> Path:
        assert self.read_bytes() == b"body"
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    BlobFiles(tmp_path / "blobs").write(b"body")
    if sys.platform == "linux":
        assert steps == ["fsync file", "rename", "fsync folder"]


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    blobs = BlobFiles(tmp_path / "blobs")

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, fail)
    with pytest.raises(OSError, match="Input/output error"):
        blobs.write(b"body")
    assert list((tmp_path / "blobs").iterdir()) == []


DELIVER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.store_data import message, new_account, sql_store

async def main():
    store = await sql_store(Path(sys.argv[1]))
    alice = await store.register(new_account(), None)
    os.write(1, b"START\\n")
    await store.deliver([message(alice.inbox), message(alice.inbox, b"x" * 300000)])
    os.write(1, b"STORED\\n")
    os._exit(0)

asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_strace_sees_the_syncs_before_the_answer(tmp_path: Path) -> None:
    """The last sync of log and blob comes before whoever waits learns of the delivery."""
    trace = tmp_path / "trace"
    (tmp_path / "store").mkdir()
    strace = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=fsync,fdatasync,write,rename"]
    tests = str(Path(__file__).parent.parent)
    command = [*strace, sys.executable, "-c", DELIVER, str(tmp_path / "store"), tests]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.stdout == "START\nSTORED\n", done.stderr
    calls = _completed(trace.read_text().splitlines())
    between = calls[_at(calls, '"START') : _at(calls, '"STORED')]
    synced = [call for call in between if "sync(" in call and call.endswith("= 0")]
    assert "/blobs/" in synced[0]
    assert "/blobs>" in synced[1]
    assert "mail.db-wal>" in synced[-1]


def _completed(lines: list[str]) -> list[str]:
    """The calls in the order in which they ended; strace splits those that another interrupts."""
    calls: list[str] = []
    pending: dict[str, str] = {}
    for line in lines:
        process, _, call = line.partition(" ")
        if call.endswith("<unfinished ...>"):
            pending[process] = call.removesuffix("<unfinished ...>")
        elif "resumed>" in call:
            calls.append(pending.pop(process) + call.partition("resumed>")[2])
        else:
            calls.append(call)
    return calls


def _at(calls: list[str], text: str) -> int:
    return next(number for number, call in enumerate(calls) if text in call)
