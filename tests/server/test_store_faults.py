"""Disk errors under the store, injected where the system calls are."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

DELIVER = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from e2email_server.store.errors import Failure
from support.store_data import message, new_account, sql_store

async def main():
    store = await sql_store(Path(sys.argv[1]))
    alice = await store.register(new_account(), None)
    told, failures = [], set()
    for number in range(60):
        try:
            told.append((await store.deliver([message(alice.inbox)]))[0].uid)
        except Failure as error:
            failures.add(type(error).__name__)
    await store.close()
    again = await sql_store(Path(sys.argv[1]))
    held = [entry.uid for entry in (await again.entries(alice.inbox)).entries]
    print(json.dumps([told == held, len(told), sorted(failures)]))
    await again.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("call", "error", "failure"),
    [("fdatasync", "EIO", "StoreFailed"), ("pwrite64", "ENOSPC", "DiskFull")],
)
def test_what_was_told_is_what_is_held(tmp_path: Path, call: str, error: str, failure: str) -> None:
    """Some deliveries meet a broken disk: they fail, no other does, and nothing is told falsely."""
    (tmp_path / "store").mkdir()
    when = "20..30" if call == "fdatasync" else "300..320"  # of the writer: counted by thread
    inject = f"inject={call}:error={error}:when={when}"
    strace = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
    tests = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [*strace, sys.executable, "-c", DELIVER, str(tmp_path / "store"), tests],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "ptrace" in done.stderr or "invalid" in done.stderr:
        pytest.skip("strace cannot inject here")
    same, told, failures = json.loads(done.stdout)
    assert same
    assert 0 < told < 60
    assert failures == [failure]
