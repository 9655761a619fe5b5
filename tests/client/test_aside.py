"""Blocking work beside the loop, which nobody waits for at the end."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from e2email_client.aside import aside


async def test_it_is_waited_for_and_its_fault_is_raised() -> None:
    seen: list[str] = []
    await aside(lambda: seen.append(threading.current_thread().name))
    assert seen == ["aside"]

    def failing() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await aside(failing)


async def test_what_ends_after_it_was_given_up_is_nobodys() -> None:
    go, ended = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(20)
        ended.set()

    task = asyncio.create_task(aside(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await asyncio.to_thread(ended.wait, 20)
    await asyncio.sleep(0)


def test_a_program_ends_while_it_runs() -> None:
    code = (
        "import asyncio, time\n"
        "from e2email_client.aside import aside\n"
        "async def main():\n"
        "    task = asyncio.create_task(aside(lambda: time.sleep(600)))\n"
        "    await asyncio.sleep(0.1)\n"
        "    task.cancel()\n"
        "asyncio.run(main())\n"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert time.monotonic() - begun < 100
