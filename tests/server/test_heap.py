"""Freed memory stays mapped for the next mail, and goes when it is given back."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
from e2email_server.heap import give_back, keep_freed
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20
keep_freed()
before = resident()
large = bytearray(b"x") * (20 << 20)
del large
kept = resident()
give_back()
print(kept - before, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_a_freed_block_stays_until_it_is_given_back() -> None:
    command = [sys.executable, "-c", SCRIPT]
    kept, left = map(int, subprocess.check_output(command).split())
    assert kept >= 15
    assert left <= 5
