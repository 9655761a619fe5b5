"""The child that parses opened mail: what a hostile mail makes of it stays in its memory."""

import subprocess
import sys

import pytest

_CONFINED = """
import ctypes, os, resource
from e2email_client import confined
confined.limit()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE), os.umask(0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_the_child_dumps_no_core_not_even_to_a_program() -> None:
    """systemd-coredump and its like are programs, and heed no RLIMIT_CORE."""
    done = subprocess.run(
        [sys.executable, "-c", _CONFINED], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"0 (0, 0) {0o077}\n"
