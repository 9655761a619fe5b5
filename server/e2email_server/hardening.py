"""What the process forbids itself, so that mail in its memory stays there.

Called first by every process of the server, worker processes too: the kernel forgets
PR_SET_DUMPABLE at exec.
"""

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4  # <sys/prctl.h>


def harden() -> None:
    """No core dumps, no peeking by other processes of the user, files for the owner only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    # with it set, a panic in a Rust library prints its message and stack to the log
    os.environ.pop("RUST_BACKTRACE", None)
    os.environ.pop("RUST_LIB_BACKTRACE", None)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
