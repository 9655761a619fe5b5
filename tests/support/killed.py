"""A process that writes to a store on disk until it is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path


async def killed_once(writer: str, folder: Path, seconds: float) -> bytes:
    """Run the code `writer`; what it said before it was killed, so long after its first line.

    Its arguments are the folder and the one that `support` is imported from.
    """
    tests = str(Path(__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", writer, str(folder), tests], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    first = await asyncio.to_thread(process.stdout.readline)
    await asyncio.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    rest = await asyncio.to_thread(process.stdout.read)
    process.wait()
    process.stdout.close()
    return first + rest
