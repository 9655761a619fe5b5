"""What the process forbids itself, so that mail in its memory stays there.

Called first by every process of the server, worker processes too: the kernel forgets
PR_SET_DUMPABLE at exec.
"""

import contextlib
import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4  # <sys/prctl.h>
# Every connection is a descriptor; the usual 1,024 are fewer than the connections that may come in.
DESCRIPTORS = 65_536


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


def allow_descriptors() -> None:
    """As many open files and connections as the system lets us have, for the serving process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS names a hard limit above what it grants
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
