"""Child processes that read opened mail: no key, no environment, nothing to write to but a pipe.

`start` is the parent's half, `confine` the child's.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from e2email_client.hardening import harden

# Octets of address space: a mail of 50 MiB, its copies while it is scanned, and the interpreter.
MEMORY = 512 * 1024 * 1024
# what the dynamic loader of an unusual installation needs
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def start(module: str, buffered: int = -1) -> subprocess.Popen[bytes]:
    """Run main() of a module of this package in an interpreter of its own. Raises OSError.

    `buffered` as subprocess has it: 0 where the pipes are read and written by descriptor.
    """
    path = [str(Path(entry).absolute()) for entry in sys.path if entry]
    code = f"import sys; sys.path[:] = {path!r}; from e2email_client import {module} as child"
    # -I -S: no user site, no environment, no start-up hooks
    return subprocess.Popen(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-I", "-S", "-B", "-c", f"{code}; child.main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a traceback would quote mail
        bufsize=buffered,
        cwd="/",
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,  # Ctrl-C in the terminal is for the program, not for this
    )


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
