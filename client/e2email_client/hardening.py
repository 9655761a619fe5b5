"""What every program of the client forbids itself: mail and keys in its memory stay there."""

import os
import sys

_PR_SET_DUMPABLE = 4  # <sys/prctl.h>


def harden() -> None:
    """No core dumps, no peeking by other processes of the user, files for the owner only.

    Not dumpable besides the limit: a core dump that is piped to a program heeds no limit.
    """
    if sys.platform == "win32":
        return  # refused, but not here
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
