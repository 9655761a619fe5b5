"""Child processes that read opened mail: no key, no environment, nothing to write to but a pipe.

The child's half: it loads no cryptography. The parent's is e2email_crypto.child_process.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import BinaryIO

from e2email_client.hardening import harden

# Octets of address space: a mail of 50 MiB, its copies while it is scanned, and the interpreter.
MEMORY = 512 * 1024 * 1024


def confine() -> tuple[BinaryIO, BinaryIO]:
    """Give up what reading mail does not need; where requests come from and answers go to.

    No core dump, no file written, no more memory than allowed.
    """
    source, answers = sys.stdin.buffer, os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # nothing that a library prints goes into the answer
    limit()
    return source, os.fdopen(answers, "wb")


def limit() -> None:
    harden()  # the kernel forgets at exec what the parent forbade itself
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ValueError, OSError):
        if sys.platform == "linux":  # macOS refuses what is below the space mapped already
            raise
