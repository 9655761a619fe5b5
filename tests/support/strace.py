"""System calls of a running program as strace saw them, and faults put into them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest


@cache
def _works() -> str:
    """Why strace cannot be used here; empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed: the order of system calls is NOT tested"
    command = ["strace", "-D", "-f", "-e", "inject=fsync:error=EIO:when=1", "-o", "/dev/null"]
    done = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=60)
    return "" if done.returncode == 0 else "strace may not trace here: system calls are NOT tested"


def needed() -> None:
    """Skip the calling test where strace is absent or forbidden."""
    if why := _works():
        pytest.skip(why)


def watching(output: Path, *calls: str) -> list[str]:
    """Run under this, a program's `calls` are in `output`, paths beside descriptors.

    -D: the tracer is a child of its own, and the program keeps its parent and its process id.
    """
    trace = "trace=" + ",".join(calls)
    return ["strace", "-D", "-f", "-y", "-s", "64", "-o", str(output), "-e", trace]


def failing(output: Path, *injections: str) -> list[str]:
    """Run under this, calls fail or kill as said: `fsync:error=EIO:when=3+2`."""
    calls = ",".join(one.partition(":")[0] for one in injections)
    options = [part for one in injections for part in ("-e", f"inject={one}")]
    return [*watching(output, calls), *options]


def completed(output: Path) -> list[str]:
    """The calls in the order in which they ended; strace splits those that another interrupts."""
    calls: list[str] = []
    pending: dict[str, str] = {}
    for line in output.read_text(errors="replace").splitlines():
        process, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            pending[process] = call.removesuffix("<unfinished ...>")
        elif "resumed>" in call:
            calls.append(pending.pop(process, "") + call.partition("resumed>")[2])
        else:
            calls.append(call)
    return calls
