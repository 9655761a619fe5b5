"""What the C library does with freed memory: it is kept for the next mail instead of unmapped.

By default glibc gives every large block back to the kernel, which clears each page when it comes
again: a quarter of the time that a mail of 5 MB takes. Nothing here exists in other C libraries;
there both functions do nothing.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
MAPPED = 32 * 1024 * 1024  # octets from which a block is mapped by itself; glibc takes no more
KEPT = 64 * 1024 * 1024  # octets that may lie free: what sealing 5 MB uses

_libc = ctypes.CDLL(None)


def keep_freed() -> None:
    """Keep up to KEPT free octets mapped."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_MMAP_THRESHOLD, MAPPED)
        _libc.mallopt(_M_TRIM_THRESHOLD, KEPT)


def give_back() -> None:
    """Unmap what is free, and with it what is left there of mail; some 0.1 ms for each MiB."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
